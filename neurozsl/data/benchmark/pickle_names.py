"""The names that a pickle of plain values may hold, and what is rebuilt for each of them.

In: module and name, as they stand in the stream. Out: a function of our own, never the one that is
named. Arrays, dtypes and scalars are rebuilt here, because numpy's `__setstate__` believes the
flags in the file (an object dtype without its flag would turn bytes into pointers).
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.npz import KINDS, check_content

_ARRAY_CLASS: Final = object()  # stands for the class numpy.ndarray


@dataclass
class DType:
    """numpy.dtype of a plain kind or of objects; of its state only the byte order counts."""

    dtype: np.dtype[Any]

    def build(self, state: Any) -> None:
        if self.dtype.kind != "O" and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


@dataclass
class Array:
    """numpy.ndarray as it stands in the stream: numbers, or a list of objects and a shape."""

    value: npt.NDArray[Any] | None = None
    objects: list[Any] | None = None
    shape: tuple[int, ...] = ()
    order: str = "C"

    def build(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, DType) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("array state")
        self.shape, self.order = tuple(int(side) for side in shape), "F" if fortran else "C"
        if kind.dtype.kind == "O":
            if not isinstance(data, list):
                raise pickle.UnpicklingError("object array without a list")
            self.objects = data
            return
        values = np.frombuffer(_bytes(data), dtype=kind.dtype)
        check_content(values.view(np.uint8), kind.dtype, "array", remedy="mend it")
        self.value = values.reshape(self.shape, order=self.order)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Function:
    """What a name of the stream does here."""

    make: Callable[..., Any]


def _bytes(data: object) -> bytes:
    """Raw bytes; files written by Python 2 hold them as text."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"{type(data).__name__} instead of bytes")
    return data


def _dtype(code: object, *_: object) -> DType:
    if not isinstance(code, str) or len(code) > 32:
        raise pickle.UnpicklingError(f"dtype {str(code)[:40]!r}")
    dtype = np.dtype(code)
    if dtype.kind not in KINDS + "O" or dtype.subdtype is not None:
        raise pickle.UnpicklingError(f"dtype {code!r}")
    return DType(dtype)


def _frombuffer(
    data: object, kind: object, shape: object, order: str, axes: object = None
) -> Array:
    """How protocol 5 writes a contiguous array."""
    if axes is not None:
        raise pickle.UnpicklingError("array with permuted axes")
    array = Array()
    array.build((1, shape, kind, order == "F", data))
    return array


def _reconstruct(mark: object, shape: object, code: object) -> Array:
    if mark is not _ARRAY_CLASS:
        raise pickle.UnpicklingError("array class")
    return Array()


def _scalar(kind: object, data: object) -> object:
    if not isinstance(kind, DType) or kind.dtype.kind == "O":
        raise pickle.UnpicklingError("scalar")
    values = np.frombuffer(_bytes(data), dtype=kind.dtype)
    check_content(values.view(np.uint8), kind.dtype, "scalar", remedy="mend it")
    return values[0]


def _encode(text: str, codec: str) -> bytes:
    """How protocol 2 writes bytes."""
    if codec != "latin1":
        raise pickle.UnpicklingError(f"codec {codec}")
    return text.encode("latin1")


ADMITTED: Final[Mapping[tuple[str, str], object]] = {
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): Function(_dtype),
    ("_codecs", "encode"): Function(_encode),
    ("__builtin__", "bytes"): Function(lambda: b""),  # how protocol 2 writes b""
    ("numpy.core.numeric", "_frombuffer"): Function(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): Function(_frombuffer),
    **{
        (f"numpy.{core}.multiarray", name): Function(part)
        for core in ("core", "_core")
        for name, part in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}


def named(module: object, name: object) -> object:
    if not isinstance(module, str) or not isinstance(name, str):
        raise pickle.UnpicklingError("a name that is no text")
    if (module, name) not in ADMITTED:
        raise pickle.UnpicklingError(f"refused: {module}.{name}"[:200])
    return ADMITTED[module, name]
