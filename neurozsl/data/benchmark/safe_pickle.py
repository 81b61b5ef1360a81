"""Reads the benchmark's pickled `.npy` and `.pkl` files without running what they say.

Only plain values come out: numpy arrays and scalars, strings, bytes, numbers, lists, tuples,
dicts. Every other name in the stream is refused before it is looked up (`plain_pickle`).
"""

from collections.abc import Callable
from contextlib import closing
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.npz import read_header, read_npy
from neurozsl.core.reading import file_size
from neurozsl.data.benchmark.plain_pickle import load

MAX_PICKLE_BYTES: Final = 2**31
REMEDY: Final = "get the file from its first source"
_NUMBERS: Final = object()  # no pickle: the array's own reader takes it


def load_npy(path: Path) -> object:
    """Returns what a `.npy` holds: an array, or the value inside a 0-d object array.

    Raises:
        BadInput: not readable, or it holds anything but plain values.
    """
    value = _guarded(path, _read_npy)
    return read_npy(path, remedy=REMEDY) if value is _NUMBERS else value


def load_pickle(path: Path) -> object:
    """Returns the plain value of a pickle file.

    Raises:
        BadInput: not readable, or it holds anything but plain values.
    """
    return _guarded(path, load)


def _read_npy(file: mmap) -> object:
    header = read_header(file, "its head", remedy=REMEDY)
    if not header.dtype.hasobject:
        return _NUMBERS
    value: Any = load(file)
    return value.item() if getattr(value, "shape", None) == () else value


def _guarded(path: Path, read: Callable[[mmap], object]) -> object:
    size = file_size(path, remedy="check the benchmark folder")
    if not 0 < size <= MAX_PICKLE_BYTES:
        raise BadInput(
            f"{path}: is not a plain array, dict or list ({size} bytes, expected 1 to "
            f"{MAX_PICKLE_BYTES}); {REMEDY}"
        )
    try:
        with path.open("rb") as file, closing(mmap(file.fileno(), 0, access=ACCESS_READ)) as data:
            return read(data)
    except Exception as error:
        # A hostile or damaged stream can fail in any way; every way means: do not use this file.
        raise BadInput(
            f"{path}: is not a plain array, dict or list ({str(error)[:300]}); only numpy arrays, "
            f"strings, numbers, lists and dicts are read; {REMEDY}"
        ) from error
