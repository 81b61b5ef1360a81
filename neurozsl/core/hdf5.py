"""How a dataset of an HDF5 file is stored, checked before memory is asked for it.

In: an open dataset of a file that nobody vouches for. Out: the bytes that reading it takes, or a
refusal: the file's own figures are claims. Refused are

    virtual and external data                          they read other files
    compound, complex, reference and object data       numbers and text are read, and flat records
                                                       of numbers where the caller asks for them
    filters other than gzip, lzf, shuffle, checksum    others load plugins
    more values or chunks than the limits
    more data declared than stored, or than any compressor makes of it
    a gzip chunk that unpacks to more than its declared size           zlib measures it first

`export/nir/hdf5tree.py` reads whole trees with it, `data/hdf5.py` the arrays of data sets.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from mmap import mmap
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.records import is_plain_record

# Deflate packs at most 1032 : 1. Datasets below SMALL may never have been written (fill values).
MAX_RATIO: Final = 1_100
SMALL_BYTES: Final = 2**20

GZIP, FLETCHER = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32
FILTERS: Final = frozenset((GZIP, FLETCHER, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF))
HEAP: Final = b"GCOL\x01"
CLAIM: Final = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
"""A stored string of variable length: its bytes, and where they lie."""

_ENTRY: Final = struct.Struct("<H6xQ")  # number, and size, of an entry of a heap
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
# Whatever a broken file makes h5py raise; it has no error type of its own.
H5PY_ERRORS: Final = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)


@dataclass(frozen=True)
class Limits:
    """Of one file: values in all datasets together, chunks of one, bytes of all text."""

    values: int
    chunks: int
    text_bytes: int


def has_plain_head(head: bytes) -> bool:
    """Whether a file begins as HDF5 with addresses of 8 bytes that count from its first byte."""
    if len(head) < 64 or head[:8] != _SIGNATURE:
        return False
    widths, base = (head[13:15], head[24:32]) if head[8] < 2 else (head[9:11], head[12:20])
    return widths == b"\x08\x08" and base == bytes(8)


def heap_entries(data: mmap, start: int, steps: int) -> Iterator[tuple[int, int, int]]:
    """(number, begin, size) of the entries of a global heap, as libhdf5 will walk it.

    A heap is `GCOL`, version 1, 3 bytes, its size in 8 bytes, then entries of number (2 bytes), use
    (2), 4 bytes, size (8) and content in steps of 8; number 0 is free space, whose size counts
    itself (HDF5 File Format Specification 3.0, III.E).

    Raises:
        ValueError: an entry of impossible size (libhdf5 2.0 loops on 0), or more than `steps`.
    """
    end = start + int.from_bytes(data[start + 8 : start + 16], "little")
    at, last = start + 16, min(end, len(data)) - 16
    while at <= last:
        number, size = _ENTRY.unpack_from(data, at)
        step = size if number == 0 else 16 + (size + 7) // 8 * 8
        steps -= 1
        if step < 16 or at + step > end or steps < 0:
            raise ValueError(f"a stored string claims {size} bytes")
        yield number, at + 16, size
        at += step


def filters_of(dataset: Any) -> list[int]:
    """Numbers of the filters that a dataset is packed by."""
    plan = dataset.id.get_create_plist()
    return [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]


def is_contiguous(dataset: Any) -> bool:
    """Whether its values lie in one piece."""
    return bool(dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS)


class Storage:
    """The checks of one file; counts what it has met. `limited`: what is not read above them."""

    def __init__(self, path: Path, limits: Limits, *, remedy: str, limited: str) -> None:
        self.path = path
        self.limits = limits
        self.remedy = remedy
        self.limited = limited
        self.file_bytes = max(1, path.stat().st_size)
        self.values = 0
        self.text_bytes = 0

    def refuse(self, where: str, problem: str, remedy: str = "") -> BadInput:
        """The refusal of a part of the file."""
        return BadInput(f"{self.path}: '{where or '/'}' {problem}; {remedy or self.remedy}")

    def check(self, dataset: Any, where: str, *, records: bool = False) -> int:
        """Bytes that reading takes, after all limits; nothing of the size claimed is allocated.

        records: take flat records of numbers too (`core/records.py`).
        """
        if dataset.shape is None:
            raise self.refuse(where, "holds no value (an empty dataspace)")
        if dataset.is_virtual or dataset.external:
            raise self.refuse(where, "keeps its values in other files")
        text = h5py.check_string_dtype(dataset.dtype) is not None
        plain = dataset.dtype.kind in "fiub" and dataset.dtype.itemsize <= 8
        if not text and not plain and not (records and is_plain_record(dataset.dtype)):
            raise self.refuse(where, f"has type {dataset.dtype}, expected numbers or text")
        declared = self._check_size(dataset, where)
        if text:
            self.check_text(where, declared)
        return declared

    def check_text(self, where: str, count: int) -> None:
        """Refuse text of that many bytes above the limit."""
        if count > self.limits.text_bytes:
            raise self.refuse(
                where, f"claims {count} bytes of text, limit {self.limits.text_bytes}"
            )

    def _check_size(self, dataset: Any, where: str) -> int:
        filters = filters_of(dataset)
        if not set(filters) <= FILTERS or filters.count(GZIP) > 1:
            raise self.refuse(where, f"is packed by filters {filters}", "write it with gzip")
        shape, chunk = dataset.shape, dataset.chunks
        # numpy shows a string of variable length as a pointer; stored is a claim.
        width = max(dataset.dtype.itemsize, CLAIM.itemsize if dataset.dtype.kind == "O" else 0)
        values = prod(shape)
        if chunk is not None:
            if 0 in chunk:
                raise self.refuse(where, f"has chunks of shape {chunk}")
            counts = [-(-size // part) for size, part in zip(shape, chunk, strict=True)]
            if prod(counts) > self.limits.chunks:
                raise self.refuse(where, f"has {prod(counts)} chunks, limit {self.limits.chunks}")
            values = max(values, prod(counts) * prod(chunk))
        self.values += values
        if self.values > self.limits.values or values * width > 8 * self.limits.values:
            raise self.refuse(
                where,
                f"declares {values} values of {width} bytes, the limit for a file "
                f"is {self.limits.values} values",
                self.limited,
            )
        declared = int(values * width)
        stored = min(dataset.id.get_storage_size(), self.file_bytes)
        ratio = MAX_RATIO if filters else 1
        if declared > SMALL_BYTES and declared > ratio * stored:
            raise self.refuse(where, f"declares {declared} bytes, the file stores {stored} of them")
        if filters and chunk is not None:
            for _ in self.chunks(dataset, where, prod(chunk) * width):
                pass  # every gzip chunk is unpacked once into nothing
        return declared

    def chunks(self, dataset: Any, where: str, limit: int) -> Iterator[bytes]:
        """The chunks, gzip undone, at most `limit` bytes of each."""
        filters = filters_of(dataset)
        found: list[tuple[tuple[int, ...], bool]] = []

        def note(info: Any) -> None:
            # A chunk that its filters made longer is stored as it was, so little can be added.
            if info.size > self.file_bytes or info.size > limit + 4096:
                raise self.refuse(where, f"has a chunk of {info.size} bytes for {limit}")
            packed = GZIP in filters and not info.filter_mask & (1 << filters.index(GZIP))
            found.append((tuple(info.chunk_offset), packed))

        dataset.id.chunk_iter(note)
        tail = 4 if filters and filters[-1] == FLETCHER else 0
        for offset, packed in found:
            stored = dataset.id.read_direct_chunk(offset)[1]
            stored = stored[: len(stored) - tail]
            if not packed:
                yield stored
                continue
            unpacker = zlib.decompressobj()
            try:
                content = unpacker.decompress(stored, limit + 1)
            except zlib.error as error:
                raise self.refuse(where, f"holds damaged gzip data ({error})") from error
            if len(content) > limit or not unpacker.eof:
                raise self.refuse(where, f"holds gzip data that unpacks to more than {limit} bytes")
            yield content

    def claims(self, dataset: Any, where: str, declared: int) -> Iterator[bytes]:
        """The stored `CLAIM`s of text of variable length, in pieces."""
        if dataset.chunks is not None:
            if not set(filters_of(dataset)) <= {GZIP, FLETCHER}:
                raise self.refuse(where, "is text packed otherwise than by gzip")
            yield from self.chunks(dataset, where, max(declared, CLAIM.itemsize))
        elif not is_contiguous(dataset):
            raise self.refuse(where, "is text inside the header of its dataset", "store it plainly")
        elif (offset := dataset.id.get_offset()) is not None:
            with self.path.open("rb") as file:
                file.seek(offset)
                yield file.read(prod(dataset.shape) * CLAIM.itemsize)
