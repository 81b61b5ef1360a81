"""Integers as registers hold them: whole, and inside a width; anything else is refused by name."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput


def check_integer(where: str, value: object, low: int, high: int) -> None:
    """One integer, Python's or NumPy's.

    Raises:
        BadInput: it is none, or outside low..high.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise BadInput(f"{where} is {value!r}, expected an integer")
    if not low <= value <= high:
        raise BadInput(f"{where} is {value}, expected {low}..{high}")


def check_integers(where: str, value: object, low: int, high: int) -> npt.NDArray[Any]:
    """An array of integers, in the type that it came in.

    Raises:
        BadInput: they are none, or one is outside low..high.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise BadInput(f"{where} has type {array.dtype}, expected integers")
    if array.size and (array.min() < low or array.max() > high):
        raise BadInput(f"{where} spans {array.min()}..{array.max()}, expected {low}..{high}")
    return array
