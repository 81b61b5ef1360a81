"""HDF5 files written so that a full disk is one error of ours and nothing of the library's.

libhdf5 writes what it holds back when objects and files are closed. Where that write fails, h5py
prints tracebacks from its destructors, keeps the file, and can end the process with SIGSEGV. So it
writes to a stream that takes everything: the first error of the system is kept, what comes after it
is thrown away, the file is closed in peace, and then the error is raised.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

_NOTHING = b"\0"


class Output(io.RawIOBase):
    """A file that never refuses; `error` is what the system refused first."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise what was refused so far: long work asks, as it would else go on for nothing."""
        if self.error is not None:
            raise self.error

    def _tried(self, work: Callable[[], None]) -> None:
        if self.error is None:
            try:
                work()
            except OSError as error:
                self.error = error

    def write(self, data: Any) -> int:
        """All of `data`, at the place that was sought."""
        left = memoryview(data).cast("B")
        size = len(left)

        def whole() -> None:
            nonlocal left
            while left:
                left = left[self._file.write(left) :]

        self._tried(whole)
        return size

    def readinto(self, buffer: Any) -> int:
        """What lies at the place that was sought; zeros where it was thrown away."""
        view = memoryview(buffer).cast("B")
        found = 0
        while found < len(view) and (more := self._file.readinto(view[found:])):
            found += more
        view[found:] = _NOTHING * (len(view) - found)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Make the file so long."""
        wanted = self._file.tell() if size is None else size
        self._tried(lambda: os.truncate(self._file.fileno(), wanted))
        return wanted

    def close(self) -> None:
        """As of any file."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error
        super().close()


@contextmanager
def output(path: Path) -> Iterator[Output]:
    """Yields what h5py may write to in the place of `path`.

    Raises:
        OSError: what the system refused, whatever else went wrong after it.
    """
    stream = Output(path)
    try:
        yield stream
    except Exception:
        stream.check()
        raise
    finally:
        stream.close()
    stream.check()


@contextmanager
def hdf5_output(path: Path, **options: Any) -> Iterator[tuple[h5py.File, Output]]:
    """Yields a new HDF5 file, and the stream that says whether it can still be written.

    options: of `h5py.File`.

    Raises:
        OSError: what the system refused.
    """
    with output(path) as stream, h5py.File(stream, "w", **options) as file:
        yield file, stream
