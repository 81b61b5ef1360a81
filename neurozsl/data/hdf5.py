"""Arrays and names of an HDF5 data set that nobody vouches for.

In: a path, and the remedy to tell. Out: numbers, text, and where an array lies in the file. Only
what hard links inside the file reach is read: no external or soft link, no virtual data set, no
external raw storage, which would take values from other files after the set was hashed. How a
dataset is stored is checked before it is read (`core/hdf5.py`). Text of variable length is taken
from its heap here: libhdf5 2.0 loops for ever on an entry of size 0, and allocates what a stored
string claims.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.hdf5 import (
    CLAIM,
    H5PY_ERRORS,
    HEAP,
    Limits,
    Storage,
    has_plain_head,
    heap_entries,
    is_contiguous,
)
from neurozsl.core.reading import brief, file_size

LIMITS: Final = Limits(values=2**38, chunks=2**20, text_bytes=2**28)
MAX_ENTRIES: Final = 1_000  # of a group
BLOCK_BYTES: Final = 2**24  # read at once for a hash


@contextmanager
def opened(path: Path, *, remedy: str) -> Iterator["PlainFile"]:
    """Opens a file for reading; whatever its damage raises inside is one `BadInput`.

    Raises:
        BadInput: no such file, not HDF5, damaged, or a refusal of the module docstring.
    """
    size = file_size(path, remedy=remedy)
    try:
        with path.open("rb") as stream:
            if not has_plain_head(stream.read(64)):
                raise BadInput(
                    f"{path}: cannot be read (truncated or not an HDF5 file: {size} bytes); "
                    f"{remedy}"
                )
            with h5py.File(path, "r") as file, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
                yield PlainFile(file, data, path, remedy)
    except H5PY_ERRORS as error:
        raise BadInput(f"{path}: cannot be read ({brief(error)}); {remedy}") from error


class PlainFile:
    """An open file; see the module docstring."""

    def __init__(self, file: Any, data: mmap, path: Path, remedy: str) -> None:
        self._file = file
        self._data = data
        self._remedy = remedy
        self._storage = Storage(path, LIMITS, remedy=remedy, limited="such a data set is not read")
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self._checked: dict[str, Any] = {}

    def holds(self, group: str, name: str) -> bool:
        """Whether a group ("" for the file) has a link of that name, wherever it leads."""
        found = self._object(group) if group else self._file
        return isinstance(found, h5py.Group) and bool(found.id.links.exists(name.encode()))

    def keys(self, group: str) -> tuple[str, ...]:
        """The names in a group."""
        found = self._object(group) if group else self._file
        if not isinstance(found, h5py.Group):
            raise self._storage.refuse(group, "is no group")
        if len(found) > MAX_ENTRIES:
            raise self._storage.refuse(group, f"holds {len(found)} entries, limit {MAX_ENTRIES}")
        return tuple(found)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a dataset that passed all checks."""
        return tuple(self._dataset(name).shape)

    def numbers(self, name: str, types: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """The values of a dataset of that shape, None for any size.

        types: numpy's letters ("f" real, "iu" whole, "b" truth values), or one type ("u1").
        """
        dataset = self._dataset(name)
        self._check_form(dataset, name, types, shape)
        values = np.asarray(dataset[()])
        if values.dtype.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
            raise self._storage.refuse(name, "holds truth values other than 0 and 1")
        return values

    def fields(self, name: str) -> tuple[str, ...] | None:
        """The fields of a dataset of flat records of numbers; None of one of numbers or a group."""
        if not isinstance(self._object(name), h5py.Dataset):
            return None
        return self._dataset(name, records=True).dtype.names  # type: ignore[no-any-return]

    def parts(self, name: str, rows: int) -> Iterator[npt.NDArray[Any]]:
        """A dataset (n,) of numbers or flat records of numbers, that many values at once."""
        dataset = self._dataset(name, records=True)
        if len(dataset.shape) != 1 or h5py.check_string_dtype(dataset.dtype) is not None:
            raise self._storage.refuse(
                name, f"is {dataset.dtype} of shape {dataset.shape}, expected numbers (n,)"
            )
        for start in range(0, len(dataset), rows):
            yield np.asarray(dataset[start : start + rows])

    def place(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> tuple[int, Any]:
        """(first byte, shape) of a dataset whose values lie in the file as they are.

        dtype: exactly the type that it must have.
        """
        dataset = self._dataset(name)
        wanted = np.dtype(dtype)
        self._check_form(dataset, name, dtype, shape)
        offset = dataset.id.get_offset() if is_contiguous(dataset) else None
        if offset is None or offset % wanted.itemsize:
            raise self._storage.refuse(name, f"is no contiguous array of {dtype}")
        if offset + dataset.size * wanted.itemsize > len(self._data):
            raise self._storage.refuse(name, "ends after the file")
        return offset, tuple(dataset.shape)

    def content(self, name: str) -> Iterator[bytes]:
        """Type and shape of a dataset, then its values in blocks: what a hash of it is made of."""
        dataset = self._dataset(name)
        yield f"{dataset.dtype.str} {dataset.shape}".encode()
        if h5py.check_string_dtype(dataset.dtype) is not None:
            for text in self.texts(name):
                yield text.encode() + b"\0"
            return
        rows = max(1, BLOCK_BYTES // max(1, dataset.nbytes // max(1, len(dataset))))
        for start in range(0, len(dataset), rows):
            yield dataset[start : start + rows].tobytes()

    def texts(self, name: str) -> tuple[str, ...]:
        """The names in a dataset of shape (n,)."""
        dataset = self._dataset(name)
        info = h5py.check_string_dtype(dataset.dtype)
        if info is None or len(dataset.shape) != 1:
            raise self._storage.refuse(
                name, f"has type {dataset.dtype} and shape {dataset.shape}, expected text (n,)"
            )
        if info.length is None:
            stored = self._long_texts(dataset, name)
        else:
            stored = [bytes(value) for value in dataset[()].tolist()]
        try:
            return tuple(value.split(b"\0", 1)[0].decode("utf-8") for value in stored)
        except UnicodeDecodeError as error:
            raise self._storage.refuse(name, "holds text that is not UTF-8") from error

    def flag(self, name: str) -> bool:
        """A truth value among the attributes of the file; False where there is none."""
        if name not in self._file.attrs:
            return False
        attribute = self._file.attrs.get_id(name)
        if attribute.shape != () or attribute.dtype.kind not in "biu":
            raise self._storage.refuse(
                name, f"is an attribute of {attribute.dtype} {attribute.shape}, expected one truth"
            )
        return bool(self._file.attrs[name])

    def _object(self, name: str) -> Any:
        """What stands at a path of hard links."""
        found = self._file
        for part in name.split("/"):
            if not isinstance(found, h5py.Group):
                raise self._storage.refuse(name, "lies in what is no group")
            if not found.id.links.exists(part.encode()):
                raise self._storage.refuse(name, "is missing")
            link = found.get(part, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise self._storage.refuse(
                    name, f"is a {type(link).__name__}, which points elsewhere"
                )
            found = found[part]
        return found

    def _dataset(self, name: str, *, records: bool = False) -> Any:
        if name not in self._checked:
            found = self._object(name)
            if not isinstance(found, h5py.Dataset):
                raise self._storage.refuse(name, "is no dataset")
            self._storage.check(found, name, records=records)
            self._checked[name] = found
        return self._checked[name]

    def _check_form(
        self, dataset: Any, name: str, types: str, shape: tuple[int | None, ...]
    ) -> None:
        exact = any(letter.isdigit() for letter in types)
        known = dataset.dtype == np.dtype(types) if exact else dataset.dtype.kind in types
        fits = len(dataset.shape) == len(shape) and all(
            wanted in (None, size) for size, wanted in zip(dataset.shape, shape, strict=True)
        )
        if not known or not fits:
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise self._storage.refuse(
                name,
                f"is {dataset.dtype} of shape {dataset.shape}, expected type {types} of shape "
                f"({sizes})",
            )

    def _long_texts(self, dataset: Any, name: str) -> list[bytes]:
        """Text of variable length, from the heaps that its claims name."""
        declared = dataset.size * CLAIM.itemsize
        packed = b"".join(self._storage.claims(dataset, name, declared))
        if dataset.chunks is not None and len(dataset.shape) == 1:
            packed = packed[:declared]  # the last chunk goes beyond
        if len(packed) != declared:
            raise self._storage.refuse(name, f"stores {len(packed)} of {declared} bytes of text")
        claims = np.frombuffer(packed, CLAIM)
        self._storage.text_bytes += int(claims["length"].sum(dtype=np.int64))
        self._storage.check_text(name, self._storage.text_bytes)
        found = []
        for length, heap, number in claims.tolist():
            if heap not in self._heaps and length:
                self._heaps[heap] = self._heap(heap, name)
            begin, size = self._heaps[heap].get(number, (0, -1)) if length else (0, 0)
            if length > size:
                raise self._storage.refuse(name, f"claims text of {length} bytes, stored {size}")
            found.append(self._data[begin : begin + length])
        return found

    def _heap(self, start: int, name: str) -> dict[int, tuple[int, int]]:
        if self._data[start : start + len(HEAP)] != HEAP:
            raise self._storage.refuse(name, f"names a store of text at {start}, where none is")
        try:
            entries = heap_entries(self._data, start, len(self._data) // 16)
            return {number: (begin, size) for number, begin, size in entries if number}
        except ValueError as error:
            raise self._storage.refuse(name, f"is damaged, {error}") from error
