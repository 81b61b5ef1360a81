"""Statistics against plain numpy on the whole, whatever the blocks; the preview shows events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.events.preview import COLOURS, Preview
from neurozsl.data.events.statistics import event_statistics
from neurozsl.data.events.stream import EVENT, EventStream

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "events"


def random_events(number: int, seed: int = 0) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    events = np.zeros(number, dtype=EVENT)
    events["t"] = np.sort(rng.integers(1000, 3_456_000, number))
    events["x"], events["y"] = rng.integers(0, 7, number), rng.integers(0, 5, number)
    events["p"] = rng.random(number) < 0.7
    return events


def blocks(events: npt.NDArray[Any], cuts: list[int]) -> list[EventStream]:
    return [EventStream(part, 7, 6) for part in np.split(events, cuts)]


@pytest.mark.parametrize("cuts", [[], [1, 1, 700, 4999], list(range(0, 5000, 61))])
def test_statistics_equal_those_of_the_whole(cuts: list[int]) -> None:
    events = random_events(5000)
    found = event_statistics(blocks(events, cuts))
    t = events["t"]
    pixel = events["y"].astype(int) * 7 + events["x"]
    same = [events[pixel == i] for i in range(42)]
    intervals = np.concatenate([np.diff(part["t"]) for part in same if len(part)])
    flips = np.concatenate([np.diff(part["p"].astype(int)) != 0 for part in same if len(part)])
    seconds = (t[-1] - t[0]) / 1e6
    assert (found.events, found.width, found.height) == (5000, 7, 6)
    assert found.seconds == pytest.approx(seconds)
    assert found.events_per_pixel_per_s == pytest.approx(5000 / seconds / 42)
    assert found.on_share == events["p"].mean()
    assert found.active_pixels == pytest.approx(35 / 42)
    assert found.distinct_times_per_s == pytest.approx(len(np.unique(t)) / seconds)
    assert found.flips == flips.mean() and found.short_intervals == (intervals < 1000).mean()
    assert found.interval_ms == pytest.approx(
        np.percentile(intervals, [5, 50, 95], method="inverted_cdf") / 1e3, rel=0.002
    )
    whole = np.bincount((t - t[0]) // 10_000)[:-1]
    assert found.bin_cv == pytest.approx(whole.std() / whole.mean())


def test_what_has_no_events_or_no_intervals_has_no_numbers() -> None:
    none = event_statistics([EventStream(np.empty(0, dtype=EVENT), 4, 3)])
    assert none.events == 0 and none.active_pixels == 0
    assert none.on_share is None and none.interval_ms is None and none.bin_cv is None
    one = event_statistics(blocks(random_events(1), []))
    assert one.events == 1 and one.events_per_s is None and one.interval_ms is None


def test_a_recording_has_the_numbers_that_were_measured_of_it() -> None:
    path = SHARED / "dvxplorer_sample.aedat4"
    if not path.is_file():
        pytest.skip("needs shared/data/events/dvxplorer_sample.aedat4")
    from neurozsl.data.events.files.open import open_events

    with open_events(path) as recording:
        found = event_statistics(recording)
    assert found.events == 111_954 and found.bin_cv == pytest.approx(0.37, abs=0.005)
    assert found.distinct_times_per_s == pytest.approx(148_701, abs=1)
    assert found.interval_ms == pytest.approx((0.99, 26.6, 183), rel=0.005)


def test_a_preview_colours_the_last_event_of_a_pixel_in_each_twentieth_of_a_second(
    tmp_path: Path,
) -> None:
    from PIL import Image

    rows = [(10, 1, 2, 1), (20, 3, 0, 1), (30, 3, 0, 0), (120_000, 0, 0, 0), (11_000_000, 1, 1, 1)]
    preview = Preview()
    for part in (rows[:2], rows[2:]):
        preview.add(EventStream(np.array(part, dtype=EVENT), 5, 4))
    preview.save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.size == (5, 4) and picture.n_frames == 3  # type: ignore[attr-defined]
        shown = []
        for number in range(3):
            picture.seek(number)
            shown.append(np.asarray(picture.convert("RGB")).copy())
    nothing, on, off = COLOURS
    assert tuple(shown[0][2, 1]) == on and tuple(shown[0][0, 3]) == off
    assert tuple(shown[2][0, 0]) == off
    for number, events in enumerate((2, 0, 1)):
        assert (shown[number] != nothing).any(axis=2).sum() == events


def test_a_preview_of_nothing_or_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="0 events"):
        Preview().save(tmp_path / "a.gif")
    with pytest.raises(BadInput, match="at most 1,048,576 pixels"):
        Preview().add(EventStream(np.empty(0, dtype=EVENT), 2000, 1000))
