"""Which record types are read from files that nobody vouches for: flat ones of numbers."""

from typing import Any, Final

import numpy as np

MAX_RECORD_BYTES: Final = 64
MAX_FIELDS: Final = 16


def is_plain_record(dtype: np.dtype[Any]) -> bool:
    """Whether a type is a record of whole numbers, reals and truth values alone, and small.

    >>> is_plain_record(np.dtype([("t", "<i8"), ("p", "?")]))
    True
    >>> is_plain_record(np.dtype([("t", "<i8", (2,))])), is_plain_record(np.dtype("<i8"))
    (False, False)
    """
    if dtype.names is None or dtype.hasobject:
        return False
    if not 0 < len(dtype.names) <= MAX_FIELDS or not 0 < dtype.itemsize <= MAX_RECORD_BYTES:
        return False
    return all(dtype[name].kind in "fiub" and dtype[name].itemsize <= 8 for name in dtype.names)
