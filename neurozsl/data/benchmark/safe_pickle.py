"""Reads the benchmark's pickled `.npy` and `.pkl` files without running what they say.

Only plain values come out: numpy arrays and scalars, strings, bytes, numbers, lists, tuples,
dicts. Every other global in the stream is refused before it is looked up. Arrays and dtypes are
rebuilt by own code, because numpy's `__setstate__` believes the flags in the file (an object
dtype without its flag would turn bytes into pointers).
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput

PLAIN_KINDS = "biufSU"  # bool, integers, floats, bytes, text
ARRAY = object()  # stands for the class numpy.ndarray; not callable


class _DType:
    """numpy.dtype of a plain kind or of objects; of its state only the byte order counts."""

    def __init__(self, code: str, *_: object) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in PLAIN_KINDS + "O" or self.dtype.subdtype is not None:
            raise pickle.UnpicklingError(f"dtype {code!r}")

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if self.dtype.kind != "O" and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder("<" if state[1] == "<" else ">")


class _Array:
    """numpy.ndarray as it stands in the stream; `value` after its state was read."""

    def __init__(self) -> None:
        self.value: object = None

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _DType) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("array state")
        flat: npt.NDArray[np.generic] | npt.NDArray[np.object_]
        if kind.dtype.kind == "O":
            if not isinstance(data, list):
                raise pickle.UnpicklingError("object array without a list")
            flat = np.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                flat[i] = item
        else:
            flat = np.frombuffer(_bytes(data), dtype=kind.dtype).copy()
        self.value = flat.reshape(tuple(int(side) for side in shape), order="F" if fortran else "C")


def _bytes(data: object) -> bytes:
    """Raw bytes; files written by Python 2 hold them as text."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError(f"{type(data).__name__} instead of bytes")
    return bytes(data)


def _no_bytes() -> bytes:
    """How protocol 2 writes b""."""
    return b""


def _frombuffer(
    data: object, kind: object, shape: object, order: str, axes: object = None
) -> _Array:
    """How protocol 5 writes a contiguous array."""
    if axes is not None:
        raise pickle.UnpicklingError("array with permuted axes")
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", _bytes(data)))
    return array


def _reconstruct(mark: object, shape: object, code: object) -> _Array:
    if mark is not ARRAY:
        raise pickle.UnpicklingError("array class")
    return _Array()


def _scalar(kind: object, data: object) -> object:
    if not isinstance(kind, _DType) or kind.dtype.kind not in PLAIN_KINDS:
        raise pickle.UnpicklingError("scalar")
    return np.frombuffer(_bytes(data), dtype=kind.dtype)[0]


def _encode(text: str, codec: str) -> bytes:
    if codec != "latin1":
        raise pickle.UnpicklingError(f"codec {codec}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    **{
        (f"numpy.{core}.multiarray", name): part
        for core in ("core", "_core")
        for name, part in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}


class _SafeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"refused: {module}.{name}")
        return _ADMITTED[module, name]


def load_npy(path: Path) -> object:
    """Returns what a `.npy` holds: an array, or the value inside a 0-d object array.

    Raises:
        BadInput: not readable, or it holds anything but plain values.
    """
    return _guarded(path, _read_npy)


def load_pickle(path: Path) -> object:
    """Returns the plain value of a pickle file.

    Raises:
        BadInput: not readable, or it holds anything but plain values.
    """
    return _guarded(path, _read_pickle)


def _read_npy(file: BinaryIO) -> object:
    form = np.lib.format
    read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    version = form.read_magic(file)
    if version not in read:
        raise ValueError(f"npy version {version}")
    _, _, dtype = read[version](file)
    if dtype.hasobject:
        value = _read_pickle(file)
        return value.item() if isinstance(value, np.ndarray) and value.shape == () else value
    file.seek(0)
    array: npt.NDArray[np.generic] = np.load(file, allow_pickle=False)
    return array


def _read_pickle(file: BinaryIO) -> object:
    return _plain(_SafeUnpickler(file, encoding="latin1").load())


def _guarded(path: Path, read: Callable[[BinaryIO], object]) -> object:
    try:
        with path.open("rb") as file:
            return read(file)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: does not exist; check the benchmark folder") from error
    except Exception as error:
        # A hostile or damaged stream can fail in any way; every way means: do not use this file.
        raise BadInput(
            f"{path}: is not a plain array, dict or list ({error}); only numpy arrays, strings, "
            "numbers, lists and dicts are read; get the file from its first source"
        ) from error


def _plain(value: object) -> object:
    """Replaces array placeholders and refuses left-over parts."""
    if isinstance(value, _Array):
        array = value.value
        if not isinstance(array, np.ndarray):
            raise pickle.UnpicklingError("array without content")
        if array.dtype == object:
            flat = array.reshape(-1)
            for i in range(flat.size):
                flat[i] = _plain(flat[i])
            return flat.reshape(array.shape)
        return array
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        return value
    raise pickle.UnpicklingError(f"value of type {type(value).__name__}")
