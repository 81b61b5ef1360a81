"""Event frames and time surfaces: every cell as plain arithmetic on whole numbers says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.events.frames import count_events, to_frames
from neurozsl.data.events.stream import EVENT, EventStream
from neurozsl.data.events.surfaces import to_codes, to_surfaces
from tests.factories.event_files import random_events


def slow_counts(
    stream: EventStream, bins: int, size: tuple[int, int], window_us: int
) -> dict[tuple[int, ...], int]:
    found: dict[tuple[int, ...], int] = {}
    for t, x, y, p in stream.events.tolist():
        since = t - int(stream.events["t"][0])
        if since < window_us:
            cell = (
                since * bins // window_us,
                0 if p else 1,
                y * size[1] // stream.height,
                x * size[0] // stream.width,
            )
            found[cell] = found.get(cell, 0) + 1
    return found


@pytest.mark.parametrize("size", [None, (64, 48), (34, 34), (7, 5), (1, 1)])
@pytest.mark.parametrize("seconds", [None, 0.3, 0.1234567, 5.0])
@pytest.mark.parametrize("bins", [1, 7, 20])
def test_every_event_is_in_the_cell_of_whole_number_arithmetic(
    size: tuple[int, int] | None, seconds: float | None, bins: int
) -> None:
    events = random_events(3_000, (64, 48), seed=bins)
    events["t"] += 1_605_537_493_718_345  # a clock of today
    stream = EventStream(events, 64, 48)
    counts = count_events(stream, bins, size=size, seconds=seconds)
    last = int(events["t"][-1] - events["t"][0])
    window_us = last + 1 if seconds is None else round(seconds * 1e6)
    slow = slow_counts(stream, bins, size or (64, 48), window_us)
    assert counts.shape == (bins, 2, *(size or (64, 48))[::-1])
    assert {tuple(c): int(counts[tuple(c)]) for c in np.argwhere(counts).tolist()} == slow
    frames = to_frames(stream, bins, size=size, seconds=seconds, clip=3)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, np.minimum(counts, 3))


def test_the_last_event_falls_in_the_last_bin_and_the_end_of_a_window_is_outside() -> None:
    events = np.array([(10, 0, 0, 1), (19, 0, 0, 1), (20, 0, 0, 1)], dtype=EVENT)
    stream = EventStream(events, 1, 1)
    assert to_frames(stream, 11)[:, 0, 0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert to_frames(stream, 2, seconds=10e-6)[:, 0, 0, 0].tolist() == [1, 1]


def test_no_event_gives_empty_frames() -> None:
    empty = EventStream(np.empty(0, dtype=EVENT), 3, 2)
    assert to_frames(empty, 4).shape == (4, 2, 2, 3)
    assert not to_frames(empty, 4).any() and not to_surfaces(empty, 4).any()


def test_a_count_of_300_is_clipped_at_255() -> None:
    events = np.zeros(300, dtype=EVENT)
    assert to_frames(EventStream(events, 1, 1), 1).tolist() == [[[[0]], [[255]]]]
    assert count_events(EventStream(events, 1, 1), 1)[0, 1, 0, 0] == 300


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no bins": ({"bins": 0}, "0 bins of 64x48 px, each must be at least 1"),
    "larger": ({"bins": 2, "size": (65, 48)}, "frames of 65x48 px of a sensor of 64x48 px, at"),
    "no size": ({"bins": 2, "size": (0, 48)}, "each must be at least 1"),
    "too many": ({"bins": 10**6}, "are 6144000000 cells, the limit is 268435456"),
    "no time": ({"bins": 2, "seconds": 0.0}, "window of 0.0 s, at least 1e-06 is needed"),
    "not a number": ({"bins": 2, "seconds": math.nan}, "window of nan s"),
    "clip": ({"bins": 2, "clip": 256}, "clip 256, 1 to 255 is possible"),
}


@pytest.mark.parametrize("name", WRONG)
def test_impossible_frames_are_refused(name: str) -> None:
    values, told = WRONG[name]
    with pytest.raises(BadInput) as refused:
        to_frames(EventStream(random_events(9, (64, 48)), 64, 48), **values)
    assert told in str(refused.value)


def test_times_of_impossible_length_are_refused_rather_than_wrapped() -> None:
    events = np.array([(0, 0, 0, 1), (2**62, 0, 0, 1)], dtype=EVENT)
    with pytest.raises(BadInput, match="too long for 20 bins; give seconds"):
        to_frames(EventStream(events, 1, 1), 20)


# ---------------------------------------------------------------- surfaces


def test_a_surface_decays_as_the_exponential_of_the_time_since_the_last_event() -> None:
    events = np.array([(100, 0, 0, 1), (1_100, 1, 0, 0), (2_100, 0, 0, 1)], dtype=EVENT)
    surfaces = to_surfaces(EventStream(events, 2, 1), 4, seconds=0.004, tau_ms=2.0)
    ends_ms = np.array([1, 2, 3, 4])
    on = np.exp(-np.array([1, 2, 1, 2]) / 2)  # fired at 0, and again at 2 ms
    np.testing.assert_allclose(surfaces[:, 0, 0, 0], on, rtol=1e-6)
    off = np.where(ends_ms >= 2, np.exp(-(ends_ms - 1) / 2), 0)
    np.testing.assert_allclose(surfaces[:, 1, 0, 1], off, rtol=1e-6)
    assert not surfaces[:, 1, 0, 0].any() and not surfaces[:, 0, 0, 1].any()


def test_surfaces_are_what_a_walk_over_all_events_gives() -> None:
    stream = EventStream(random_events(2_000, (20, 10)), 20, 10)
    surfaces = to_surfaces(stream, 6, size=(5, 5), seconds=0.25, tau_ms=30.0)
    start = stream.start_us
    for step in range(6):
        end = 250_000 * (step + 1) / 6
        last = {
            (1 - p, y * 5 // 10, x * 5 // 20): t - start
            for t, x, y, p in stream.events.tolist()
            if (t - start) * 6 // 250_000 <= step and t - start < 250_000
        }
        slow = np.zeros((2, 5, 5))
        for cell, t in last.items():
            slow[cell] = math.exp(-(end - t) / 30_000)
        np.testing.assert_allclose(surfaces[step], slow, rtol=1e-6)


def test_codes_are_within_half_a_step_of_the_surface() -> None:
    surfaces = np.linspace(0, 1, 1001, dtype=np.float32)
    codes = to_codes(surfaces)
    assert codes[0] == 0 and codes[-1] == 255 and codes[1:].min() == 1
    assert np.all(np.abs(codes[4:] / 255 - surfaces[4:]) <= 0.5 / 255 + 1e-7)


@pytest.mark.parametrize("tau", [0.0, -1.0, math.inf, math.nan])
def test_a_time_constant_that_is_none_is_refused(tau: float) -> None:
    with pytest.raises(BadInput, match="above 0 is needed; choose another"):
        to_surfaces(EventStream(random_events(9, (2, 2)), 2, 2), 2, tau_ms=tau)
