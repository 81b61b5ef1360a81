"""The pixels of an event camera over the time between two frames, as one compiled loop.

Between two frames the log intensity L of a pixel is a straight line in the share q = 0..1 of the
gap. A photoreceptor of rate r (1/s) follows it as dV/dt = r (L - V), which has the solution

    V(q) = V_0 + (L_1 - L_0) q + S (exp(-k q) - 1),    S = V_0 - L_0 + (L_1 - L_0)/k,  k = r dt

and without a filter V = L. Leakage adds a straight line of its own. So every crossing is solved
for in its pixel: in closed form without a filter, by Newton's and Halley's steps within a bracket
with one; no sub-steps are taken, and a slow pixel costs nothing to a fast one.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from neurozsl.data.events.compiled import compiled
from neurozsl.data.events.packed_events import X_BITS, pack
from neurozsl.data.events.pixel_random import bits, exponential

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

NEVER: Final = 2.0  # a share beyond every gap
_CLOSE_US: Final = 1e-3
_MOST_STEPS: Final = 80
_ONE: Final = np.uint64(1)


class PixelState(NamedTuple):
    """What the pixels remember, (pixels,) each; changed in place.

    level: log intensity at the last frame. followed: the same behind the photoreceptor.
    reference: level of the last event. on, off: thresholds. last_us: time of the last event that
    was sent. shot_left: what is left of the waiting time for the next shot noise event, in units
    of its mean. shot_drawn: waiting times drawn so far.
    """

    level: F64
    followed: F64
    reference: F64
    on: F64
    off: F64
    last_us: F64
    shot_left: F64
    shot_drawn: I64


class Gap(NamedTuple):
    """The time between two frames, and what depends on the new frame alone.

    levels, speeds, decays, hazards: log intensity, k, exp(-k) and shot noise events expected, by
    the number that stands in the frame for each pixel (its grey value, or its own number).
    """

    start_us: float
    length_us: float
    leaked: float  # leak events of a pixel in this time
    refractory_us: float
    filtered: bool
    shot: bool
    shot_key: np.uint64
    levels: F64
    speeds: F64
    decays: F64
    hazards: F64


class Place(NamedTuple):
    """A place on the curve of a pixel: share of the gap, level, and swing * exp(-speed share)."""

    share: float
    level: float
    part: float


@compiled
def crossing(
    begin: Place,
    slope: float,
    speed: float,
    target: float,
    high: float,
    close: float,
    start: float,
    swing: float,
) -> Place:
    """Where start + slope q + swing (exp(-speed q) - 1) crosses target, behind begin.

    The curve is monotone up to `high`. close: the error allowed in q. The first step of Halley's
    needs no exponential, for its value is known at `begin`; a second is mostly enough.
    """
    low, rise, part = begin.share, target - begin.level, begin.part
    up = rise > 0.0
    if abs(part) <= close * abs(slope):  # a straight line from here on
        return Place(min(low + rise / slope, high), target, part)
    first, second = slope - speed * part, speed * speed * part
    q = NEVER
    if abs(rise * second) < first * first:
        q = low + 2.0 * rise * first / (2.0 * first * first + rise * second)
    elif first * first + 2.0 * rise * second > 0.0:  # near a turning point: a parabola
        root = math.sqrt(first * first + 2.0 * rise * second)
        q = low + 2.0 * rise / (first + (root if up else -root))
    if not (q > low and q < high):
        q = 0.5 * (low + high)
    for _ in range(_MOST_STEPS):
        part = swing * math.exp(-speed * q)
        error = start + slope * q + (part - swing) - target
        if (error > 0.0) == up:
            high = q
        else:
            low = q
        first, second = slope - speed * part, speed * speed * part
        step, left = NEVER, NEVER
        if abs(error * second) < first * first:
            bend = abs(second / first)
            step = 2.0 * error * first / (2.0 * first * first - error * second)
            if speed * step < 0.5:  # further back the curve may bend much more than here
                left = abs(step * step * step) * bend * (bend + speed)  # what the step leaves
        guess = q - step
        if not (guess >= low - close and guess <= high + close):
            guess, left = 0.5 * (low + high), NEVER
        moved = guess - q
        q = guess
        if abs(moved) <= close or left <= close:
            part *= 1.0 - speed * moved
            break
    return Place(min(max(q, 0.0), 1.0), target, part)


@compiled
def walk(
    frame: Any,
    state: PixelState,
    gap: Gap,
    width: int,
    begin: int,
    count: int,
    packed: I64,
    shares: F64 | None,
) -> tuple[int, int]:
    """Write the events of pixels from `begin` on, in order of pixels, behind the first `count`.

    Stops at a pixel whose events may find no room and leaves it as it is.

    Args:
        frame: (pixels,) index into the tables of the gap.
        state: changed in place.
        gap: as it is.
        width: of the sensor, px.
        begin: first pixel.
        count: events that `packed` holds.
        packed: microsecond of the gap, y, x and polarity of each event.
        shares: the exact time of each event as a share of the gap; None where it is not asked.

    Returns:
        The pixel to begin with next, and the new count.
    """
    n = count
    close = _CLOSE_US / gap.length_us
    begun_us = gap.start_us - math.floor(gap.start_us)
    length_us = gap.length_us
    for i in range(begin, frame.size):
        value = frame[i]
        now, before, reference = gap.levels[value], state.level[i], state.reference[i]
        on, off = state.on[i], state.off[i]
        leak = gap.leaked * on

        start, slope, swing, speed, end = before, now - before + leak, 0.0, 0.0, now
        if gap.filtered:
            start, speed = state.followed[i], gap.speeds[value]
            swing = start - before + (now - before) / speed
            end = start + (now - before) + swing * (gap.decays[value] - 1.0)
            # the photoreceptor stays between where it was and where the light was
            lowest, highest = min(start, before, now), max(start, before, now) + leak
        else:
            lowest, highest = min(before, now + leak), max(before, now + leak)
        final = end + leak

        left, hazard, waiting, shots = 0.0, 0.0, NEVER, 0
        if gap.shot:
            hazard, left = gap.hazards[value], state.shot_left[i]
            if left <= hazard:
                waiting = left / hazard
                shots = _shots(gap.shot_key, i, state.shot_drawn[i], left, hazard)
            else:
                left -= hazard

        still = highest - reference < on and lowest - reference > -off
        if not (still and shots == 0):
            span = max(highest - reference, reference - lowest) / min(on, off)
            if n + shots + int(span) * 2 + 4 > packed.size:
                return i, n
        state.level[i] = now
        if gap.filtered:
            state.followed[i] = end
        if still and shots == 0:
            state.shot_left[i] = left
            state.reference[i] = reference - leak
            continue

        y = i // width
        where = (y << X_BITS) | ((i - y * width) << 1)
        if not (gap.filtered or shots > 0 or gap.refractory_us > 0.0):
            rise = final - before
            if final > reference:
                while final - reference >= on:
                    reference += on
                    due = (reference - before) / rise if rise != 0.0 else 0.0
                    due = min(max(due, 0.0), 1.0)
                    packed[n] = pack(begun_us + due * length_us, where + 1)
                    if shares is not None:
                        shares[n] = due
                    n += 1
            else:
                while final - reference <= -off:
                    reference -= off
                    due = (reference - before) / rise if rise != 0.0 else 0.0
                    due = min(max(due, 0.0), 1.0)
                    packed[n] = pack(begun_us + due * length_us, where)
                    if shares is not None:
                        shares[n] = due
                    n += 1
            state.shot_left[i] = left
            state.reference[i] = reference - leak
            continue

        # A rise and a fall at most: the curve has one turning point.
        place, high, level = Place(0.0, start, swing), 1.0, final
        if gap.filtered and slope != 0.0:
            ratio = swing * speed / slope
            if ratio > 1.0:
                turn = math.log(ratio) / speed
                if turn < 1.0:
                    high = turn
                    level = start + slope * turn + (slope / speed - swing)
        while True:
            due, step, polarity, after = NEVER, 0.0, 0, place
            if level - reference >= on:
                step, polarity = on, 1
            elif level - reference <= -off:
                step = -off
            elif high < 1.0:
                place, high, level = Place(high, level, slope / speed), 1.0, final
                continue
            if step != 0.0:
                target = reference + step
                if gap.filtered:
                    after = crossing(place, slope, speed, target, high, close, start, swing)
                    due = after.share
                else:
                    rise = final - before
                    due = (target - before) / rise if rise != 0.0 else 0.0
                    due = min(max(due, 0.0), 1.0)
            if waiting <= due and shots > 0:
                due = waiting
                drawn = state.shot_drawn[i]
                polarity = 1 if bits(gap.shot_key, i, 2 * drawn + 1) & _ONE else 0
                state.shot_drawn[i] = drawn + 1
                left += exponential(gap.shot_key, i, 2 * (drawn + 1))
                waiting = left / hazard
                shots -= 1
                if shots == 0:
                    left -= hazard
            elif due > 1.0:
                break
            else:
                reference += step
                place = after
            if gap.refractory_us > 0.0:
                time_us = gap.start_us + due * length_us
                if time_us - state.last_us[i] < gap.refractory_us:
                    continue
                state.last_us[i] = time_us
            packed[n] = pack(begun_us + due * length_us, where + polarity)
            if shares is not None:
                shares[n] = due
            n += 1
        state.shot_left[i] = left
        state.reference[i] = reference - leak
    return frame.size, n


@compiled
def _shots(of_use: np.uint64, pixel: int, drawn: int, left: float, hazard: float) -> int:
    """Noise events that are due within `hazard`."""
    count = 0
    while left <= hazard:
        count += 1
        left += exponential(of_use, pixel, 2 * (drawn + count))
    return count
