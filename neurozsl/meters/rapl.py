"""Joules of repeated work on this machine's processor, from its energy counters (RAPL).

    joules per call = sum over counters of (after - before) / calls

Linux shows the counters of Intel and AMD processors as microjoules in
`/sys/class/powercap/intel-rapl:*/energy_uj` (kernel documentation, power/powercap). The packages
are read, and the memory where it has a counter of its own (`dram`); parts of a package (`core`,
`uncore`) are inside, and `psys`, the whole platform, would count it twice. A counter starts again
at `max_energy_range_uj`. It holds everything that runs on the processor, idle power and other
programs included; idle power is read before the first call. The rest of the board and the power
supply are not in it.
"""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurozsl.meters.reading import IDLE_S, WARM_UP_CALLS, Measured, Refused, repeat

ROOT: Path = Path("/sys/class/powercap")
_PROCESSOR: Final = Path("/proc/cpuinfo")
MEMORY: Final = "memory"
_MEMORY_ZONE: Final = "dram"


class _UnreadableError(Exception):
    """A counter cannot be read; the message says why."""


@dataclass(frozen=True)
class _Counter:
    """One counter; it starts again above `range_uj`."""

    name: str
    file: Path
    range_uj: int

    def read(self) -> int:
        return _number(self.file)

    def joules(self, before: int, after: int) -> float:
        return (after - before + (self.range_uj if after < before else 0)) * 1e-6


def measure(
    work: Callable[[], object], *, seconds: float = 2.0, idle_s: float = IDLE_S
) -> Measured | Refused:
    """Run `work` on the processor and read what it took, or why that cannot be read.

    Errors of `work`, one call, are not caught. seconds: least length of the measured part; counters
    move about every millisecond. idle_s: how long idle power is read before.
    """
    try:
        counters = _counters()
        if not counters:
            return Refused(f"this machine shows no RAPL counters of its processor in {ROOT}")
        idle = _spent(counters, lambda: time.sleep(idle_s))
        for _ in range(WARM_UP_CALLS):
            work()
        done: list[tuple[int, float]] = []
        joules, _ = _spent(counters, lambda: done.append(repeat(work, lambda: None, seconds)))
    except _UnreadableError as error:
        return Refused(f"the RAPL counters of the processor cannot be read ({error})")
    [(calls, elapsed)] = done
    if joules <= 0:
        return Refused(f"the RAPL counters of the processor do not run forward ({joules:g} J)")
    has_memory = any(x.name == _MEMORY_ZONE for x in counters)
    return Measured(
        device=_processor(),
        method="rapl",
        joules=joules / calls,
        seconds=elapsed / calls,
        calls=calls,
        idle_w=idle[0] / idle[1] if idle_s > 0 else None,
        parts=(MEMORY,) if has_memory else (),
    )


def _counters() -> tuple[_Counter, ...]:
    """Packages and memory; a zone is listed at the top whatever it is a part of."""
    found = []
    for zone in sorted(ROOT.glob("intel-rapl:*")):
        name = _text(zone / "name")
        if name.startswith("package") or name == _MEMORY_ZONE:
            most = _number(zone / "max_energy_range_uj")
            found.append(_Counter(name, zone / "energy_uj", most))
    return tuple(found)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except PermissionError:
        raise _UnreadableError(
            f"{file}: permission denied; an administrator can allow it with chmod o+r"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _UnreadableError(f"{file}: {error}") from None


def _number(file: Path) -> int:
    text = _text(file)
    if not text.isdecimal():
        raise _UnreadableError(f"{file}: holds {text[:40]!r}, expected microjoules")
    return int(text)


def _spent(counters: Sequence[_Counter], work: Callable[[], object]) -> tuple[float, float]:
    """Joules and seconds from before to after."""
    start, before = time.perf_counter(), [x.read() for x in counters]
    work()
    after, seconds = [x.read() for x in counters], time.perf_counter() - start
    joules = sum(x.joules(a, b) for x, a, b in zip(counters, before, after, strict=True))
    return joules, seconds


def _processor() -> str:
    """What the processor calls itself."""
    try:
        lines = _PROCESSOR.read_text().splitlines()
    except OSError:
        lines = []
    names = (x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
