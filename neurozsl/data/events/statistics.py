"""What a recording looks like in numbers, counted block by block.

Intervals are between one event of a pixel and its next. Memory is one number and a polarity a pixel
and a histogram of intervals, exact below 1,024 us and within one part in 512 above.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.data.events.compiled import compiled
from neurozsl.data.events.stream import US, EventStream

I64 = npt.NDArray[np.int64]

BIN_US: Final = 10_000  # of the counts whose variation is told
SHORT_US: Final = 1_000
_NEVER: Final = np.int64(-1)
_HALF: Final = 512  # intervals of one power of two in the histogram
_INTERVALS: Final = _HALF * 56


@dataclass(frozen=True)
class EventStatistics:
    """Numbers of one recording; what needs an event, an interval or a bin is None without one.

    Attributes:
        width, height: of the sensor, px.
        events: how many.
        seconds: from the first event to the last.
        events_per_s: over `seconds`.
        events_per_pixel_per_s: the same over all pixels of the sensor.
        on_share: of the events.
        active_pixels: share of the sensor's pixels with an event.
        distinct_times_per_s: different time stamps.
        interval_ms: 5th, 50th and 95th percentile of the intervals.
        short_intervals: share below 1 ms.
        flips: share of the intervals between opposite polarities.
        bin_cv: standard deviation over mean of the counts of whole 10 ms bins.
    """

    width: int
    height: int
    events: int
    seconds: float
    events_per_s: float | None
    events_per_pixel_per_s: float | None
    on_share: float | None
    active_pixels: float
    distinct_times_per_s: float | None
    interval_ms: tuple[float, float, float] | None
    short_intervals: float | None
    flips: float | None
    bin_cv: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def event_statistics(blocks: Iterable[EventStream]) -> EventStatistics:
    """Counts the blocks of one recording."""
    tally = Tally()
    for _ in tally.watch(blocks):
        pass
    return tally.result()


class Tally:
    """Counts blocks that pass by on their way elsewhere."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._last = np.empty(0, dtype=np.int64)
        self._sign = np.empty(0, dtype=np.uint8)
        self._intervals = np.zeros(_INTERVALS, dtype=np.int64)
        self._sums = np.zeros(4, dtype=np.int64)  # ON, distinct times, short intervals, flips
        self._bins = np.zeros(3, dtype=np.int64)  # events of the bin, number of bins, its index
        self._squares = 0.0
        self._counted = 0
        self._events, self._first_us, self._last_us = 0, 0, -1

    def watch(self, blocks: Iterable[EventStream]) -> Iterator[EventStream]:
        """Yields the blocks as they come, and counts them."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: EventStream) -> None:
        """Counts a block that follows those before."""
        if not self._events:
            self._size = block.width, block.height
            if len(self._last) != block.width * block.height:
                self._last = np.full(block.width * block.height, _NEVER)
                self._sign = np.zeros(block.width * block.height, dtype=np.uint8)
        events = block.events
        if not len(events):
            return
        if not self._events:
            self._first_us = int(events["t"][0])
        _count(
            events, block.width, self._last_us, self._last, self._sign, self._intervals, self._sums
        )
        self._count_bins((events["t"] - self._first_us) // BIN_US)
        self._events += len(events)
        self._last_us = int(events["t"][-1])

    def _count_bins(self, index: I64) -> None:
        """Closes the bins before that of the last event; `_bins[2]` is the open one."""
        begun = int(self._bins[2])
        counts = np.bincount(index - begun).astype(np.int64)
        counts[0] += self._bins[0]
        whole = counts[:-1].astype(np.float64)
        self._squares += float(whole @ whole)
        self._counted += int(whole.sum())
        self._bins[:] = counts[-1], self._bins[1] + len(whole), begun + len(whole)

    def result(self) -> EventStatistics:
        """The numbers of what was counted so far."""
        width, height = self._size
        n, pixels = self._events, width * height
        seconds = (self._last_us - self._first_us) / US if n else 0.0
        per_s = n / seconds if seconds else None
        on, distinct, short, flips = (int(x) for x in self._sums)
        between = int(self._intervals.sum())
        return EventStatistics(
            width=width,
            height=height,
            events=n,
            seconds=seconds,
            events_per_s=per_s,
            events_per_pixel_per_s=None if per_s is None else per_s / pixels,
            on_share=on / n if n else None,
            active_pixels=float(np.count_nonzero(self._last != _NEVER)) / max(pixels, 1),
            distinct_times_per_s=distinct / seconds if seconds else None,
            interval_ms=self._percentiles(between) if between else None,
            short_intervals=short / between if between else None,
            flips=flips / between if between else None,
            bin_cv=self._variation(),
        )

    def _percentiles(self, between: int) -> tuple[float, float, float]:
        reached = np.cumsum(self._intervals)
        at = [int(np.searchsorted(reached, share * between)) for share in (0.05, 0.5, 0.95)]
        five, half, most = (_middle_us(place) / 1e3 for place in at)
        return five, half, most

    def _variation(self) -> float | None:
        number = int(self._bins[1])
        if number < 2 or not self._counted:
            return None
        mean = self._counted / number
        return math.sqrt(max(self._squares / number - mean * mean, 0.0)) / mean


def _middle_us(place: int) -> float:
    """The interval that stands for a place of the histogram."""
    if place < 2 * _HALF:
        return float(place)
    shift = place // _HALF - 1
    return float(((place % _HALF + _HALF) << shift) + (1 << shift) / 2)


@compiled
def _place(interval_us: int) -> int:
    """Where an interval is counted: its ten highest bits and how many follow."""
    shift = 0
    while interval_us >> shift >= 2 * _HALF:
        shift += 1
    return shift * _HALF + (interval_us >> shift)


@compiled
def _count(
    events: Any,
    width: int,
    before_us: int,
    last: I64,
    sign: npt.NDArray[np.uint8],
    intervals: I64,
    sums: I64,
) -> None:
    """Adds to the histogram and to the sums."""
    for event in events:
        t, p = event["t"], event["p"]
        pixel = int(event["y"]) * width + int(event["x"])
        sums[0] += p
        if t != before_us:
            sums[1] += 1
            before_us = t
        if last[pixel] != _NEVER:
            interval = t - last[pixel]
            intervals[_place(interval)] += 1
            if interval < SHORT_US:
                sums[2] += 1
            if sign[pixel] != p:
                sums[3] += 1
        last[pixel] = t
        sign[pixel] = p
