"""Events of one gap between frames as one integer each, and their order of time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.data.events.compiled import compiled
from neurozsl.data.events.stream import EVENT

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

SIDE: Final = 0xFFFF  # of x and of y
X_BITS: Final = 17  # polarity and x
TIME_SHIFT: Final = 33  # polarity, x and y; 30 bits of microseconds are left
LONGEST_US: Final = 1 << 30
TICK_BITS: Final = 10
TICKS: Final = 1024.0  # of a microsecond; about a nanosecond
_MOST_COUNTS: Final = 1 << 22  # microseconds that are counted; longer gaps are sorted


@compiled
def pack(offset_us: float, pixel: int) -> int:
    """One event; offset_us: behind the microsecond in which the gap begins.

    Times are rounded to ticks before they are cut to microseconds, so that what falls on the end
    of a microsecond stays there after a rounding error.
    """
    return ((int(offset_us * TICKS + 0.5) >> TICK_BITS) << TIME_SHIFT) | pixel


def unpacked(packed: I64) -> tuple[I64, I64, I64]:
    """y, x and polarity of packed events."""
    return (packed >> X_BITS) & SIDE, (packed >> 1) & SIDE, packed & 1


def in_order(packed: I64, first_us: int, last_us: int) -> npt.NDArray[Any]:
    """Events in order of their microsecond, those of one microsecond in order of pixels.

    packed: in order of pixels. first_us, last_us: the microseconds in which the gap begins and
    ends. Returns an array of `EVENT`.
    """
    events = np.empty(len(packed), dtype=EVENT)
    touched = last_us - first_us + 1
    if touched <= _MOST_COUNTS:
        _count_in(packed, first_us, np.zeros(touched + 1, dtype=np.int32), events)
        return events
    packed = packed[np.argsort(packed >> TIME_SHIFT, kind="stable")]
    events["t"] = first_us + (packed >> TIME_SHIFT)
    events["y"], events["x"], events["p"] = unpacked(packed)
    return events


@compiled
def _count_in(packed: I64, first_us: int, counts: I32, events: Any) -> None:
    """Write events in order of their microsecond, those of one microsecond in order of pixels.

    first_us: the microsecond in which the gap begins. counts: zeros, one for each microsecond that
    the gap touches and one more. events: as many as there are packed ones.
    """
    for one in packed:
        counts[(one >> TIME_SHIFT) + 1] += 1
    for j in range(1, counts.size):
        counts[j] += counts[j - 1]
    for one in packed:
        offset = one >> TIME_SHIFT
        place = counts[offset]
        counts[offset] = place + 1
        event = events[place]
        event["t"] = first_us + offset
        event["x"], event["y"] = (one >> 1) & SIDE, (one >> X_BITS) & SIDE
        event["p"] = one & 1
