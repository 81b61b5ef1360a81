"""`compiled`: a loop as machine code that keeps the signature it was written with."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Machine code of a loop, kept on disk where a folder can be written."""
    try:
        return cast(Callable[P, R], numba.njit(cache=True)(function))
    except RuntimeError:  # no writable folder for the cache
        return cast(Callable[P, R], numba.njit(function))
