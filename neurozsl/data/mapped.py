"""One file in the address space: read-only arrays on its bytes, with a bound on resident pages.

In: a file, and where its arrays lie. Out: numpy arrays; the system reads a page when it is touched.
Pages that were read stay mapped and count as this process's memory, although they can be taken away
at any time; after a pass over 1.6 GB of features all of them would. `Pages.touched` lets them go
each time that about `LIMIT` bytes may have been mapped: they stay in the system's cache, so that
touching them again costs no disk.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LIMIT = 256 * 2**20  # bytes
AROUND = 64 * 2**10  # Linux maps so many cached bytes around each page that is touched


class Pages:
    """The mapping of a file, shared by all arrays on it."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._mapped = 0

    def array(self, offset: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """Returns a read-only array on the bytes from `offset` on."""
        return np.ndarray(shape, dtype=dtype, buffer=self._map, offset=offset)

    def touched(self, rows: int, row_bytes: int) -> None:
        """Says that `rows` scattered rows were read; lets pages go when it is time."""
        self._mapped += rows * (row_bytes + AROUND)
        if self._mapped >= LIMIT:
            self._mapped = 0
            if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, whose system trims by itself
                self._map.madvise(mmap.MADV_DONTNEED)
