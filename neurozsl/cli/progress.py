"""How far long work is: the modes of `--progress`, and when it will be done.

In: `--progress MODE` before or after the command, or NEUROZSL_PROGRESS. Out: the mode, and for each
bar of a command a `Meter` that turns (done, total) into a `Reading` as often as the mode prints.

    eta = (total - done) (t - t_0) / (done - done_0)       the pace of the stage so far

A stage begins where `done` falls or `total` changes: when it was last heard of the one before, or,
where nothing is done yet, now. What is done within its first second was there before (epochs of a
run that is continued, trainings that are kept), so (t_0, done_0) is read then.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from neurozsl.core.errors import BadInput

Mode = Literal["bar", "lines", "json", "off"]
VARIABLE: Final = "NEUROZSL_PROGRESS"
OPTION: Final = "--progress"
EVERY_S: Final[Mapping[Mode, float]] = {"lines": 10.0, "json": 1.0}
"""Seconds between two readings; the last one of a stage is always printed."""
_HEAD_START_S = 1.0
Clock = Callable[[], float]


def take(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Mode, list[str]]:
    """The mode that is asked for, and the arguments without it.

    The last one wins; the environment counts where no argument names a mode.

    Raises:
        BadInput: there is no such mode.

    >>> take(["train", "--progress", "json", "--seed=1"], {})
    ('json', ['train', '--seed=1'])
    """
    value, origin = environment.get(VARIABLE) or "bar", VARIABLE
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--":  # what follows is no option
            rest += [argument, *given]
        elif argument == OPTION:
            value, origin = next(given, ""), OPTION
        elif argument.startswith(f"{OPTION}="):
            value, origin = argument.partition("=")[2], OPTION
        else:
            rest.append(argument)
    for mode in get_args(Mode):
        if value == mode:
            return mode, rest
    raise BadInput(f"{origin} '{value}': expected one of {', '.join(get_args(Mode))}")


class Pace:
    """Seconds that are left at the pace of the stage so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._seen = clock()
        self._start: tuple[float, float] = (self._began, 0)
        self._done: float = 0
        self._total = -1

    def eta_s(self, done: float, total: int) -> float | None:
        """Seconds to `total`; None where nothing is known yet."""
        now = self._clock()
        if done < self._done or total != self._total:
            # Between two stages nothing is reported: this one began when the other was last seen,
            # unless it says itself that it begins.
            self._began = self._seen if done else now
            self._start = (self._began, 0)
        if now - self._began < _HEAD_START_S:
            self._start = (now, done)
        self._seen, self._done, self._total = now, done, total
        since, first = self._start
        if done >= total:
            return 0.0
        if done <= first or now <= since:
            return None
        return (total - done) * (now - since) / (done - first)


@dataclass(frozen=True)
class Reading:
    """Where one piece of work is. total is 0 until it is known; stage: what is being done.

    done: whole pieces, or with a share of those that are in work.
    """

    label: str
    stage: str
    done: float
    total: int
    eta_s: float | None
    elapsed_s: float


class Meter:
    """Hands readings to `tell`, at most one in `every_s` and always the last of a stage."""

    def __init__(
        self,
        label: str,
        tell: Callable[[Reading], None],
        *,
        every_s: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self._label, self._tell, self._every, self._clock = label, tell, every_s, clock
        self._began = clock()
        self._pace = Pace(clock)
        self._told = self._began
        self._waiting: Reading | None = None
        tell(Reading(label, "", 0, 0, None, 0.0))

    def update(self, done: float, total: int, text: str = "") -> None:
        """Take one report of the work."""
        now = self._clock()
        eta = self._pace.eta_s(done, total)
        self._waiting = Reading(self._label, text, done, total, eta, now - self._began)
        if done >= total or now - self._told >= self._every:
            self.flush()

    def flush(self) -> None:
        """Tell the newest reading if it was held back."""
        if self._waiting is not None:
            self._tell(self._waiting)
            self._waiting, self._told = None, self._clock()
