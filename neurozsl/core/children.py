"""Processes that a command starts end with it, even where it is killed and can end nothing itself.

The parent puts its number into the child's environment; the child takes it out, so that its own
children do not see it, and asks the system to be killed with its parent (Linux), or looks for it
twice a second (macOS). What a killed trainer leaves is what any kill leaves: a run to go on with.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

VARIABLE: Final = "NEUROZSL_PARENT"
_PR_SET_PDEATHSIG: Final = 1
_LOOK_S: Final = 0.5


def environment() -> dict[str, str]:
    """What the environment of a child needs; the thread that starts it waits for its end.

    Linux ends the child with the thread, not with the process.
    """
    return {VARIABLE: str(os.getpid())}


@contextmanager
def inherited() -> Iterator[None]:
    """Inside, children that a library starts with our own environment end with this process."""
    os.environ.update(environment())
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)


def end_with_parent() -> None:
    """In a child: from here on it ends with the process that started it; elsewhere nothing."""
    parent = os.environ.pop(VARIABLE, "")
    if not parent.isdigit():
        return
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()
    _end_without(int(parent))  # it may have ended before the system was asked


def _watch(parent: int) -> None:
    while True:
        _end_without(parent)
        time.sleep(_LOOK_S)


def _end_without(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
