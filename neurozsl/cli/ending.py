"""SIGTERM, with which clusters end jobs, ends a command as Ctrl-C does: what it opened is closed.

Without this the process is gone at once; folders of intermediate files and processes that it had
started would stay. What was saved is kept in both cases, and `--resume` goes on from there.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EXIT_CODE: Final = 128 + signal.SIGTERM


class Terminated(BaseException):
    """The process was asked to end; like KeyboardInterrupt no error that a library may swallow."""


@contextmanager
def raising() -> Iterator[None]:
    """Inside, SIGTERM raises `Terminated`; in another than the main thread it stays as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def at_once() -> None:
    """SIGTERM ends this process without a word from Python.

    For one process of a team: while it waits in a collective for others, Python runs no handler.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the closing
    raise Terminated
