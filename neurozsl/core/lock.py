"""One process at a time writes into a folder: of a run, of a study.

`.lock` in the folder is held by the system's `flock`, which ends with the process however that
ends, so a lock of a process that is gone is taken over. The file says who holds it: process, host,
since when. A lock that another host left may still be held there, as not every shared file system
passes `flock` on; it is refused until a person removes the file. Where the system or the file
system has no `flock` (Windows), folders are not locked.
"""

import errno
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import brief, parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME: Final = ".lock"
_NONE: Final = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_LARGEST: Final = 4096  # bytes that are read of it


class Lock:
    """The lock of a folder, held from `take` to `release` or inside a `with`."""

    def __init__(self, folder: Path, what: str = "run", *, then: str = "try again") -> None:
        """Describes the lock; nothing is held yet.

        what: what the folder is, for messages. then: what to do when its process is ended.
        """
        self._folder = folder
        self._name = f"{what} '{folder}'"
        self._then = then
        self._file: int | None = None

    def take(self) -> None:
        """Hold the lock; the folder is made where it is missing.

        Raises:
            BadInput: another process holds it, or the folder cannot be written.
        """
        if fcntl is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._take()
        except OSError as error:
            raise BadInput(
                f"{self._name}: cannot be written ({brief(error)}); free the place, or "
                "choose a folder that this user may write"
            ) from error

    def _take(self) -> None:
        while self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                if self._held(file):
                    self._note(file)
                    self._file = file
            finally:
                if self._file is None:
                    os.close(file)

    def release(self) -> None:
        """Remove the lock, if it is held."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def _path(self) -> Path:
        return self._folder / NAME

    def _held(self, file: int) -> bool:
        """Whether this process holds the lock now; False: its file was removed meanwhile."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            raise BadInput(
                f"{self._name}: is being written by {_said(holder)}; wait until it is done, or "
                f"end that process and {self._then}"
            ) from None
        except OSError as error:
            if error.errno not in _NONE:
                raise
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False
        if not os.path.samestat(found, os.fstat(file)):
            return False
        holder = _holder(file)
        if holder and holder.get("host") != socket.gethostname():
            raise BadInput(
                f"{self._name}: was last written by {_said(holder)}, which did not finish "
                f"and cannot be looked at from {socket.gethostname()}; where that process is gone, "
                f"remove {self._path} and go on"
            )
        return True

    def _note(self, file: int) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)


def _holder(file: int) -> dict[str, Any]:
    """What the file says; nothing in the moment before it is written, or where it is damaged."""
    try:
        found = parse_json(os.pread(file, _LARGEST, 0), NAME, remedy="")
    except BadInput:
        return {}
    return found if isinstance(found, dict) else {}


def _said(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
