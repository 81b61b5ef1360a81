"""What a task is, where tasks run, and how a worker calls one.

A task, a `Call`, is a function of a module and its arguments, with a key of all that its result
depends on. What computes does so inside `one_thread`, here as there: the numbers are the same bits.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput, NeuroZSLError
from neurozsl.core.version import __version__

MOST_JOBS: Final = 512  # processes of one machine
TRIES: Final = 2
LOOK_S: Final = 0.5
Look = Callable[[Collection[int]], None]
"""Called about twice a second with the indices of the tasks that have begun and not ended."""


_LOOKING: ContextVar[Callable[[], None] | None] = ContextVar("_LOOKING", default=None)


@contextmanager
def looking(look: Callable[[], None]) -> Iterator[None]:
    """Inside, `still_at_it` calls this."""
    token = _LOOKING.set(look)
    try:
        yield
    finally:
        _LOOKING.reset(token)


def still_at_it() -> None:
    """Called every `LOOK_S` by a task that waits for something; here it moves the progress on."""
    look = _LOOKING.get()
    if look is not None:
        look()


@dataclass(frozen=True)
class Workers:
    """Where tasks run.

    Attributes:
        jobs: processes of this machine; 1 is this process alone.
        scheduler: address of a Dask scheduler, whose workers are used instead.
    """

    jobs: int = 1
    scheduler: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= MOST_JOBS:
            raise BadInput(f"--jobs {self.jobs}: expected 1 to {MOST_JOBS}, a process each")
        if self.scheduler and self.jobs != 1:
            raise BadInput(
                f"--jobs {self.jobs}, --scheduler '{self.scheduler}': a scheduler has workers of "
                "its own; leave one of the two out"
            )

    @property
    def alone(self) -> bool:
        """Whether all is done in this process."""
        return self.jobs == 1 and not self.scheduler


ALONE: Final = Workers()


@dataclass(frozen=True)
class Call:
    """One call. label: for people. key: digest of all that its result depends on."""

    label: str
    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a call: its value, or the error that the second try would give as well.

    notes: (logger, level, text) of what it told on the way.
    """

    value: Any = None
    error: NeuroZSLError | None = None
    notes: tuple[tuple[str, int, str], ...] = ()


def key_of(*parts: object) -> str:
    """A key of these parts, each by its `repr`."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode("utf-8", "replace")).hexdigest()


def lasting(error: NeuroZSLError) -> bool:
    """Whether the second try would end like the first: what is foreseen of an input or machine."""
    return error.exit_code != NeuroZSLError.exit_code


class _OneThread:
    """The tasks of this process that compute with one thread, and what to take back after them.

    A Dask worker may run several tasks in threads of its own, and how many threads BLAS uses is a
    setting of the process: the first task sets it, the last one that leaves takes it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._after = ExitStack()

    def enter(self) -> None:
        import torch
        from threadpoolctl import threadpool_limits

        with self._lock:
            if self._inside == 0:
                self._after.callback(torch.set_num_threads, torch.get_num_threads())
                self._after.enter_context(threadpool_limits(1))
            torch.set_num_threads(1)  # OpenMP's number is one of the calling thread
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._after.close()


_COMPUTING: Final = _OneThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch and numpy's BLAS compute with one thread: sums of another order, other bits."""
    _COMPUTING.enter()
    try:
        yield
    finally:
        _COMPUTING.leave()


def worker() -> str:
    """This machine as a worker's errors name it."""
    return f"worker on '{platform.node()}'"


def see_here(*paths: Path, what: str) -> None:
    """Called by a task: refuse a machine that does not have these files and folders.

    what: all that the workers need, in words.

    Raises:
        BadInput: the first that is not there.
    """
    for path in paths:
        if not path.exists():
            raise BadInput(
                f"{worker()}: has no '{path}'; the workers need {what} under the same path (a "
                "shared file system)"
            )


def versions() -> Mapping[str, str]:
    """What the bits of a result depend on beside the task."""
    found = {"python": ".".join(map(str, sys.version_info[:2])), "neurozsl": __version__}
    # Not from the packages themselves: who starts trainings need not import them.
    return found | {name: version(name).partition("+")[0] for name in ("torch", "numpy")}


def on_worker(
    wanted: Mapping[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Answer:
    """A call on a worker, whose own words travel back.

    wanted: `versions` of the process that asks.
    """
    here = versions()
    other = [
        f"{name} {here[name]}, not {wanted[name]}" for name in wanted if here[name] != wanted[name]
    ]
    if other:
        return Answer(
            error=BadInput(
                f"{worker()}: has {', '.join(other)}; its numbers could differ: "
                "install the same versions there"
            )
        )
    with _listening() as heard:
        try:
            return Answer(function(*arguments), notes=tuple(heard.notes))
        except NeuroZSLError as error:
            if not lasting(error):
                raise
            # A type with arguments of its own does not travel; its parent does, with its words.
            kind = next(x for x in type(error).__mro__ if "__init__" not in vars(x))
            return Answer(error=kind(str(error)), notes=tuple(heard.notes))


class _Ear(logging.Handler):
    """Keeps what one thread logs; a worker may have several."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.notes: list[tuple[str, int, str]] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread:
            self.notes.append((record.name, record.levelno, record.getMessage()))


@contextmanager
def _listening() -> Iterator[_Ear]:
    """Inside, what this package logs is heard; with a handler that hears, Python prints nothing."""
    logger, ear = logging.getLogger("neurozsl"), _Ear()
    logger.addHandler(ear)
    try:
        yield ear
    finally:
        logger.removeHandler(ear)
