"""An HDF5 file as nested dicts of arrays and strings, in bounded time and memory.

In: the path of a file that nobody vouches for. Out: what its groups hold, read whole. Everything is
checked before memory is asked for: the file's own figures are claims. Refused are

    links to other files or paths, a group met twice (a loop)      only hard links are followed
    virtual, external, compound, complex, reference and object data    numbers and text are read
    filters other than gzip, lzf, shuffle, checksum                    others load plugins
    more values, entries, text or levels than the limits below
    much more data declared than stored: no compressor shrinks so far
    a gzip chunk that unpacks to more than its declared size           zlib measures it first
    a store of strings with entries of impossible size                 libhdf5 2.0 loops on them
"""

import zlib
from collections.abc import Iterator
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurozsl.core.errors import BadInput

MAX_VALUES: Final = 2**28  # numbers in all datasets together; 2 GiB in float64
MAX_ENTRIES: Final = 200_000  # groups and datasets
MAX_DEPTH: Final = 48  # three levels of groups per nested graph
MAX_TEXT_BYTES: Final = 2**24  # all strings together
MAX_NAME: Final = 1_000  # characters of a name
# Deflate packs at most 1032 : 1. Datasets below SMALL may never have been written (fill values).
MAX_RATIO: Final = 1_100
SMALL_BYTES: Final = 2**20
MAX_CHUNKS: Final = 2**17

_GZIP, _FLETCHER = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32
_FILTERS: Final = frozenset((_GZIP, _FLETCHER, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF))
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_HEAP: Final = b"GCOL\x01"
_CLAIM: Final = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
# Whatever a broken file makes h5py raise; it has no error type of its own.
_H5PY_ERRORS: Final = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)


def load(path: Path | str) -> dict[str, Any]:
    """Everything in the file, nothing outside it: groups as dicts in the order of the file.

    Numbers are arrays, text is str, or nested lists of str in the shape of its dataset.

    Raises:
        BadInput: no such file, not HDF5, damaged, or one of the refusals of the module docstring.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give the path of a .nir file")
    try:
        _check_string_stores(path)
        with h5py.File(path, "r") as file:
            return _TreeReader(path).group(file, "", 0)
    except _H5PY_ERRORS as error:
        raise BadInput(
            f"{path}: truncated or not an HDF5 file ({short(error)}); copy or export it again"
        ) from error


def short(error: Exception) -> str:
    """The first words of an error of a library."""
    text = str(error).strip("\"'").split("(")[0].strip()
    return text[:120] or type(error).__name__


def _check_string_stores(path: Path) -> None:
    """Walk every global heap as libhdf5 will: an entry of size 0 would stop it for ever.

    A heap is `GCOL`, version 1, 3 bytes, its size in 8 bytes, then entries of number (2 bytes), use
    (2), 4 bytes, size (8) and content in steps of 8; number 0 is free space, whose size counts
    itself (HDF5 File Format Specification 3.0, III.E). Found by its first five bytes, because a
    pointer to it may sit anywhere.
    """
    if path.stat().st_size < 64:
        raise BadInput(f"{path}: truncated or not an HDF5 file; copy or export it again")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        if data[:8] != _SIGNATURE:
            raise BadInput(f"{path}: truncated or not an HDF5 file; copy or export it again")
        widths = data[13:15] if data[8] < 2 else data[9:11]
        if widths != b"\x08\x08":
            raise BadInput(f"{path}: addresses in it do not have 8 bytes; export it again")
        start, steps = data.find(_HEAP), len(data) // 16 + 1_000
        while start >= 0:
            end = start + int.from_bytes(data[start + 8 : start + 16], "little")
            at = start + 16
            while at + 16 <= min(end, len(data)):
                size = int.from_bytes(data[at + 8 : at + 16], "little")
                free = data[at : at + 2] == b"\0\0"
                step = size if free else 16 + (size + 7) // 8 * 8
                steps -= 1  # heaps that lie in each other would take the square of them
                if step < 16 or at + step > end or steps < 0:
                    raise BadInput(
                        f"{path}: damaged, a stored string claims {size} bytes; copy or export it "
                        "again"
                    )
                at += step
            start = data.find(_HEAP, start + 1)


def _filters(dataset: Any) -> list[int]:
    plan = dataset.id.get_create_plist()
    return [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]


class _TreeReader:
    """One pass over one file; counts what it has met."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file_bytes = max(1, path.stat().st_size)
        self.entries = 0
        self.values = 0
        self.text_bytes = 0
        self.groups: set[int] = set()

    def refuse(self, where: str, problem: str, remedy: str = "export it again") -> BadInput:
        return BadInput(f"{self.path}: '{where or '/'}' {problem}; {remedy}")

    def group(self, group: Any, where: str, depth: int) -> dict[str, Any]:
        address = h5py.h5o.get_info(group.id).addr
        if address in self.groups:
            raise self.refuse(where, "is reached twice, the groups form a loop")
        self.groups.add(address)
        if depth > MAX_DEPTH:
            raise self.refuse(where, f"lies more than {MAX_DEPTH} groups deep")
        found: dict[str, Any] = {}
        for name in self._names(group, where):
            inside = f"{where}/{name}" if where else name
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise self.refuse(inside, f"is a {type(link).__name__}, which points elsewhere")
            item = group[name]
            if isinstance(item, h5py.Group):
                found[name] = self.group(item, inside, depth + 1)
            elif isinstance(item, h5py.Dataset):
                found[name] = self._dataset(item, inside)
            else:
                raise self.refuse(inside, "is neither a group nor a dataset")
        return found

    def _names(self, group: Any, where: str) -> Iterator[str]:
        self.entries += len(group)
        if self.entries > MAX_ENTRIES:
            raise self.refuse(where, f"the file holds more than {MAX_ENTRIES} entries")
        for name in group:
            if len(name) > MAX_NAME or not name.isprintable():
                raise self.refuse(
                    where, f"holds the name {name[:40]!r}, expected at most {MAX_NAME} letters"
                )
            yield name

    def _dataset(self, dataset: Any, where: str) -> Any:
        if dataset.shape is None:
            raise self.refuse(where, "holds no value (an empty dataspace)")
        if dataset.is_virtual or dataset.external:
            raise self.refuse(where, "keeps its values in other files")
        text = h5py.check_string_dtype(dataset.dtype) is not None
        if not text and (dataset.dtype.kind not in "fiub" or dataset.dtype.itemsize > 8):
            raise self.refuse(where, f"has type {dataset.dtype}, expected numbers or text")
        declared = self._check_size(dataset, where)
        if text:
            return self._text(dataset, where, declared)
        value = dataset[()]
        return value if isinstance(value, np.ndarray) else np.asarray(value)[()]

    def _check_size(self, dataset: Any, where: str) -> int:
        """Bytes that reading takes, after all limits; nothing of the size claimed is allocated."""
        filters = _filters(dataset)
        if not set(filters) <= _FILTERS or filters.count(_GZIP) > 1:
            raise self.refuse(where, f"is packed by filters {filters}", "write it with gzip")
        shape, chunk = dataset.shape, dataset.chunks
        # numpy shows a string of variable length as a pointer; stored is a claim.
        width = max(dataset.dtype.itemsize, _CLAIM.itemsize if dataset.dtype.kind == "O" else 0)
        values = prod(shape)
        if chunk is not None:
            if 0 in chunk:
                raise self.refuse(where, f"has chunks of shape {chunk}")
            counts = [-(-size // part) for size, part in zip(shape, chunk, strict=True)]
            if prod(counts) > MAX_CHUNKS:
                raise self.refuse(where, f"has {prod(counts)} chunks, limit {MAX_CHUNKS}")
            values = max(values, prod(counts) * prod(chunk))
        self.values += values
        if self.values > MAX_VALUES or values * width > 8 * MAX_VALUES:
            raise self.refuse(
                where,
                f"declares {values} values of {width} bytes, the limit for a file "
                f"is {MAX_VALUES} values",
                "such a network is not read",
            )
        declared = int(values * width)
        stored = min(dataset.id.get_storage_size(), self.file_bytes)
        if declared > SMALL_BYTES and declared > MAX_RATIO * stored:
            raise self.refuse(where, f"declares {declared} bytes, the file stores {stored} of them")
        if filters and chunk is not None:
            for _ in self._chunks(dataset, where, filters, prod(chunk) * width):
                pass  # every gzip chunk is unpacked once into nothing
        return declared

    def _chunks(self, dataset: Any, where: str, filters: list[int], limit: int) -> Iterator[bytes]:
        """The chunks, gzip undone, at most `limit` bytes of each."""
        found: list[tuple[tuple[int, ...], bool]] = []

        def note(info: Any) -> None:
            # A chunk that its filters made longer is stored as it was, so little can be added.
            if info.size > self.file_bytes or info.size > limit + 4096:
                raise self.refuse(where, f"has a chunk of {info.size} bytes for {limit}")
            packed = _GZIP in filters and not info.filter_mask & (1 << filters.index(_GZIP))
            found.append((tuple(info.chunk_offset), packed))

        dataset.id.chunk_iter(note)
        tail = 4 if filters and filters[-1] == _FLETCHER else 0
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

    def _text(self, dataset: Any, where: str, declared: int) -> Any:
        """Strings as str, in nested lists like the dataset.

        A stored string of variable length is a claim `(length, heap, number)`: libhdf5 would
        allocate the length before it looks into the heap.
        """
        if declared > MAX_TEXT_BYTES:
            raise self.refuse(where, f"declares {declared} bytes of text, limit {MAX_TEXT_BYTES}")
        if h5py.check_string_dtype(dataset.dtype).length is None:
            for claims in self._claims(dataset, where, declared):
                whole = len(claims) // _CLAIM.itemsize * _CLAIM.itemsize
                lengths = np.frombuffer(claims[:whole], _CLAIM)["length"]
                self.text_bytes += int(lengths.sum(dtype=np.int64))
        else:
            self.text_bytes += declared
        if self.text_bytes > MAX_TEXT_BYTES:
            raise self.refuse(where, f"claims {self.text_bytes} bytes, limit {MAX_TEXT_BYTES}")
        return self._words(np.asarray(dataset[()], dtype=object).tolist(), where)

    def _claims(self, dataset: Any, where: str, declared: int) -> Iterator[bytes]:
        if dataset.chunks is not None:
            filters = _filters(dataset)
            if not set(filters) <= {_GZIP, _FLETCHER}:
                raise self.refuse(where, "is text packed otherwise than by gzip")
            yield from self._chunks(dataset, where, filters, max(declared, _CLAIM.itemsize))
        elif dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
            raise self.refuse(where, "is text inside the header of its dataset", "store it plainly")
        elif (offset := dataset.id.get_offset()) is not None:
            with self.path.open("rb") as file:
                file.seek(offset)
                yield file.read(prod(dataset.shape) * _CLAIM.itemsize)

    def _words(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._words(one, where) for one in value]
        try:
            return value.decode("utf8") if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError as error:
            raise self.refuse(where, "holds text that is not UTF-8") from error
