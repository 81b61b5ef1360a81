"""What a meter gives back, and the loop that it runs the work in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Method = Literal["nvml_counter", "nvml_sampled", "rapl"]
IDLE_S: Final = 0.5  # the idle power is the mean over this long
WARM_UP_CALLS: Final = 3


@dataclass(frozen=True)
class Measured:
    """joules and seconds of one call, means over `calls`; idle_w is None where it is not read.

    parts: what the counters cover, where a machine decides it. note: what else to know.
    """

    device: str
    method: Method
    joules: float
    seconds: float
    calls: int
    idle_w: float | None
    parts: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """Why nothing was measured."""

    reason: str


def repeat(
    work: Callable[[], object], synchronize: Callable[[], object], seconds: float
) -> tuple[int, float]:
    """Calls done and seconds taken, at least `seconds`."""
    start = time.perf_counter()
    calls, elapsed = 0, 0.0
    while elapsed < seconds or not calls:
        work()
        synchronize()
        calls, elapsed = calls + 1, time.perf_counter() - start
    return calls, elapsed
