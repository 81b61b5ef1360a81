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

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.hdf5 import (
    CLAIM,
    H5PY_ERRORS,
    HEAP,
    Limits,
    Storage,
    has_plain_head,
    heap_entries,
)

MAX_VALUES: Final = 2**28  # numbers in all datasets together; 2 GiB in float64
MAX_ENTRIES: Final = 200_000  # groups and datasets
MAX_DEPTH: Final = 48  # three levels of groups per nested graph
MAX_TEXT_BYTES: Final = 2**24  # all strings together
MAX_NAME: Final = 1_000  # characters of a name
MAX_CHUNKS: Final = 2**17


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
    except H5PY_ERRORS as error:
        raise BadInput(
            f"{path}: truncated or not an HDF5 file ({short(error)}); copy or export it again"
        ) from error


def short(error: Exception) -> str:
    """The first words of an error of a library."""
    text = str(error).strip("\"'").split("(")[0].strip()
    return text[:120] or type(error).__name__


def _check_string_stores(path: Path) -> None:
    """Walk every global heap as libhdf5 will: an entry of size 0 would stop it for ever.

    Found by its first five bytes, because a pointer to it may sit anywhere.
    """
    if path.stat().st_size < 64:
        raise BadInput(f"{path}: truncated or not an HDF5 file; copy or export it again")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        if not has_plain_head(data[:64]):
            raise BadInput(
                f"{path}: truncated, not an HDF5 file, or one with addresses of other than 8 bytes "
                "from its begin; copy or export it again"
            )
        # Heaps that lie in each other would take the square of them.
        start, steps = data.find(HEAP), len(data) // 16 + 1_000
        while start >= 0:
            try:
                steps -= sum(1 for _ in heap_entries(data, start, steps))
            except ValueError as error:
                raise BadInput(f"{path}: damaged, {error}; copy or export it again") from error
            start = data.find(HEAP, start + 1)


class _TreeReader(Storage):
    """One pass over one file; counts what it has met."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            Limits(MAX_VALUES, MAX_CHUNKS, MAX_TEXT_BYTES),
            remedy="export it again",
            limited="such a network is not read",
        )
        self.entries = 0
        self.groups: set[int] = set()

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
        declared = self.check(dataset, where)
        if h5py.check_string_dtype(dataset.dtype) is not None:
            return self._text(dataset, where, declared)
        value = dataset[()]
        return value if isinstance(value, np.ndarray) else np.asarray(value)[()]

    def _text(self, dataset: Any, where: str, declared: int) -> Any:
        """Strings as str, in nested lists like the dataset.

        libhdf5 would allocate the length that a stored string claims before it looks into the heap.
        """
        if h5py.check_string_dtype(dataset.dtype).length is None:
            for claims in self.claims(dataset, where, declared):
                whole = len(claims) // CLAIM.itemsize * CLAIM.itemsize
                lengths = np.frombuffer(claims[:whole], CLAIM)["length"]
                self.text_bytes += int(lengths.sum(dtype=np.int64))
        else:
            self.text_bytes += declared
        self.check_text(where, self.text_bytes)
        return self._words(np.asarray(dataset[()], dtype=object).tolist(), where)

    def _words(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._words(one, where) for one in value]
        try:
            return value.decode("utf8") if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError as error:
            raise self.refuse(where, "holds text that is not UTF-8") from error
