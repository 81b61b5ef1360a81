"""One file in the address space: read-only arrays on its bytes, and rows of them without mapping.

In: a file, and where its arrays lie. Out: numpy arrays; the system reads a page when it is touched.
Pages that were touched stay mapped and count as this process's memory, although they can be taken
away at any time, and Linux maps up to megabytes around each: after a pass over 1.6 GB of features
in random order all of them would. `Pages.take` therefore reads the rows of a batch from the file
(from the system's cache, if they are there), and memory stays as it is.
"""

import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Pages:
    """The mapping of a file, shared by all arrays on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
        self._begin = address(np.frombuffer(self._map, dtype=np.uint8))

    def array(self, offset: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """Returns a read-only array on the bytes from `offset` on."""
        return np.ndarray(shape, dtype=dtype, buffer=self._map, offset=offset)

    def offset(self, array: npt.NDArray[Any]) -> int:
        """Where an array of this file begins in it, for `array` in another process."""
        return address(array) - self._begin

    def take(self, array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Returns `array[rows]`, read from the file where the array lies in it.

        array: (n, ...); one that lies elsewhere is indexed as usual. rows: (k,), -n to n - 1.

        Raises:
            IndexError: a row does not exist.
            OSError: the file is shorter than when it was opened.
        """
        offset = self.offset(array)
        inside = 0 <= offset and offset + array.nbytes <= len(self._map)
        if not inside or not array.flags.c_contiguous or not hasattr(os, "preadv"):
            return np.asarray(array[rows])
        n, size = len(array), array.strides[0]
        if len(rows) and not -n <= rows.min() <= rows.max() < n:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {n}")
        out = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
        wanted = rows % n if n else rows
        parts = out.data.cast("B") if out.size else memoryview(b"")
        if len(rows) and np.all(np.diff(wanted) == 1):  # evaluation reads in order: one call
            self._read(parts, offset + int(wanted[0]) * size)
            return out
        for i, row in enumerate(wanted.tolist()):
            self._read(parts[i * size : (i + 1) * size], offset + row * size)
        return out

    def _read(self, into: memoryview, offset: int) -> None:
        done = os.preadv(self._file, [into], offset)
        while done < len(into):  # a call may give less than was asked
            got = os.preadv(self._file, [into[done:]], offset + done)
            if got == 0:
                raise OSError(f"mapped file ends at byte {offset + done}; it was cut short")
            done += got


def address(array: npt.NDArray[Any]) -> int:
    """Where its first value lies in memory."""
    return int(array.__array_interface__["data"][0])
