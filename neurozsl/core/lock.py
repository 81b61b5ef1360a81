"""One command at a time in a folder: a lock that ends with the process that holds it.

The lock (`flock`) is on the folder itself, so no file is left and none can be stale: however the
process ends, the system gives the lock back. Where a file system knows no locks (some network file
systems lock files alone), the work goes on without one.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurozsl.core.errors import BadInput

_TAKEN = (errno.EAGAIN, errno.EACCES)


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Inside, no other process is inside with the same folder, which exists.

    what: what the folder is, for the message, as "run".

    Raises:
        BadInput: another process is.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                raise BadInput(
                    f"{what} '{folder}': another command{_holder(held)} is writing it; wait until "
                    "it has ended, end it, or choose another folder"
                ) from None
        yield
    finally:
        os.close(held)


def _holder(held: int) -> str:
    """The process that has the lock, where the system says it (Linux)."""
    status = os.fstat(held)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF
    for fields in map(str.split, lines):
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place and fields[4] != "0":
            return f" (process {fields[4]})"
    return ""
