"""The camera against analytic answers and against a slow walk through each pixel."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.events import pixel_random as rnd
from neurozsl.data.events.camera import CLEAN, DEFAULT, NOISY, PRESETS, Camera
from neurozsl.data.events.stream import EVENT, EventStream

F64 = npt.NDArray[np.float64]
Frames = Sequence[npt.NDArray[Any]]


def collect(camera: Camera, frames: Frames, times_s: Sequence[float]) -> npt.NDArray[Any]:
    blocks = [stream.events for stream in camera.events(frames, times_s)]
    assert len(blocks) == len(frames) - 1
    events: npt.NDArray[Any] = np.concatenate([np.empty(0, dtype=EVENT), *blocks])
    assert np.all(np.diff(events["t"]) >= 0)
    return events


def grey(level: float) -> float:
    """The grey value, above 20, of a log intensity."""
    return math.exp(level)


def one_pixel(levels: Sequence[float]) -> list[F64]:
    return [np.array([[grey(level)]]) for level in levels]


def moving(frames: int, size: tuple[int, int] = (24, 31), seed: int = 3) -> Frames:
    """A random texture that drifts, and flickers a little, as uint8."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(5, 250, (size[0], size[1] + 2 * frames)).astype(float)
    wide = (wide + np.roll(wide, 1, 1) + np.roll(wide, 1, 0)) / 3
    noisy = [wide[:, 2 * i : 2 * i + size[1]] + rng.normal(0, 3, size) for i in range(frames)]
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in noisy]


# ---------------------------------------------------------------- exact answers


@pytest.mark.parametrize("threshold", [0.07, 0.2, 0.31])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_log_ramp_gives_change_over_threshold_events_at_their_exact_times(
    threshold: float, sign: int
) -> None:
    change = 0.9
    camera = Camera(threshold, threshold)
    events = collect(camera, one_pixel([4.6, 4.6 + sign * change]), [0.5, 0.75])
    number = math.floor(change / threshold)
    exact = 0.5e6 + 0.25e6 * threshold * np.arange(1, number + 1) / change
    assert len(events) == number
    assert np.abs(events["t"] - np.floor(exact)).max() == 0
    assert (events["p"] == (sign > 0)).all()


def test_a_ramp_over_many_frames_keeps_the_rhythm_of_the_whole() -> None:
    levels = np.linspace(3.5, 5.25, 18)
    events = collect(Camera(0.1, 0.1), one_pixel(list(levels)), list(np.arange(18) / 30))
    exact = 0.1 * np.arange(1, 18) / 1.75 * 17 / 30 * 1e6
    assert len(events) == 17
    assert np.abs(events["t"] - exact).max() <= 1.0


@pytest.mark.parametrize(
    ("first", "second", "polarity", "number"),
    [(50, 100, 1, 3), (50, 200, 1, 6), (205, 19, 0, 12), (19, 0, 0, 14), (0, 255, 1, 27)],
)
def test_steps_give_the_whole_thresholds_between_them(
    first: int, second: int, polarity: int, number: int
) -> None:
    frames = [np.full((1, 1), value, dtype=np.uint8) for value in (first, second, second)]
    events = collect(Camera(0.2, 0.2), frames, [0.0, 0.04, 0.08])
    assert len(events) == number and (events["p"] == polarity).all()
    assert events["t"].max() <= 40_000


def test_on_and_off_have_thresholds_of_their_own() -> None:
    events = collect(Camera(0.3, 0.11), one_pixel([4.0, 5.0, 4.0]), [0.0, 1.0, 2.0])
    # the reference stands at 4.9; falling to 4.0 crosses 4.9 - 0.11 k for k = 1..8
    assert events["p"].tolist() == [1] * 3 + [0] * 8
    exact = [1e6 * (1 + 0.1 + 0.11 * k) for k in range(1, 9)]
    np.testing.assert_allclose(events["t"][3:], exact, atol=1)


def test_a_still_picture_is_silent_without_noise_and_dark_pixels_are_linear() -> None:
    still = [np.full((5, 6), 90, dtype=np.uint8)] * 4
    assert len(collect(CLEAN, still, [0.0, 0.1, 0.2, 0.3])) == 0
    line = Camera().log_intensity(np.array([0.0, 10.0, 20.0, 40.0]))
    np.testing.assert_allclose(
        line, [0.0, math.log(20) / 2, math.log(20), math.log(40)], rtol=1e-15
    )
    eps = Camera(log_eps=0.01).log_intensity(np.array([0.0, 255.0]))
    np.testing.assert_allclose(eps, [math.log(0.01), math.log(1.01)], rtol=1e-15)


@pytest.mark.parametrize("refractory_us", [1, 5000, 9000, 400_000])
def test_the_refractory_time_takes_away_what_follows_a_sent_event_too_soon(
    refractory_us: int,
) -> None:
    frames, times = moving(9), [i / 30 for i in range(9)]
    camera = dataclasses.replace(CLEAN, refractory_s=1e-6 * refractory_us)
    every, fewer = collect(CLEAN, frames, times), collect(camera, frames, times)
    last: dict[tuple[int, int], int] = {}
    kept = []
    for event in every:
        t, pixel = int(event["t"]), (int(event["x"]), int(event["y"]))
        if pixel not in last or t - last[pixel] >= refractory_us:
            last[pixel] = t
            kept.append(event)
    expected = np.array(kept, dtype=EVENT)
    if refractory_us > 1:
        assert len(expected) < len(every)
    # stamps are whole microseconds, so a distance of just the refractory time may go either way
    assert abs(len(fewer) - len(expected)) <= 3
    gaps = [
        np.diff(fewer["t"][(fewer["x"] == x) & (fewer["y"] == y)])
        for x in range(31)
        for y in (0, 9)
    ]
    assert min(gap.min(initial=10**9) for gap in gaps) >= refractory_us - 1


# ---------------------------------------------------------------- the photoreceptor


def followed(levels: Sequence[float], times_s: Sequence[float], cutoff_hz: float) -> Callable:  # type: ignore[type-arg]
    """The filtered level by 20,000 small exact steps a gap, linear in between."""
    out_t, out_v = [times_s[0]], [levels[0]]
    value = levels[0]
    for k in range(1, len(levels)):
        rate = 2 * math.pi * cutoff_hz * (grey(levels[k]) + 20) / 275
        t = np.linspace(times_s[k - 1], times_s[k], 20_001)
        light = np.interp(t, [times_s[k - 1], times_s[k]], [levels[k - 1], levels[k]])
        keep = math.exp(-rate * (t[1] - t[0]))
        for i in range(1, len(t)):
            value = light[i] + (value - light[i]) * keep  # light held over a small step
            out_t.append(t[i])
            out_v.append(value)
    return lambda at: np.interp(at, out_t, out_v)


@pytest.mark.parametrize("cutoff_hz", [4.0, 30.0, 300.0])
def test_filtered_crossings_lie_where_a_fine_simulation_has_them(cutoff_hz: float) -> None:
    levels, times = [4.0, 5.3, 3.4, 3.4, 5.0], [0.0, 0.03, 0.07, 0.1, 0.15]
    curve = followed(levels, times, cutoff_hz)
    camera = Camera(0.17, 0.17, cutoff_hz=cutoff_hz)
    events = collect(camera, one_pixel(levels), times)
    assert len(events) >= (1 if cutoff_hz < 10 else 20)
    reference = 4.0
    for event in events:
        reference += 0.17 if event["p"] else -0.17
        at = event["t"] * 1e-6
        slope = abs(curve(at + 1e-5) - curve(at - 1e-5)) / 2e-5
        # the fine simulation lags by half a step, 1.25 us at most; the stamp by up to 1 us
        assert abs(curve(at) - reference) <= slope * 4e-6 + 2e-4 * (cutoff_hz > 100) + 1e-5
    fine = np.concatenate([np.linspace(a, b, 9999) for a, b in itertools.pairwise(times)])
    count, level = 0, 4.0
    for value in curve(fine):
        while abs(value - level) >= 0.17:
            level += math.copysign(0.17, value - level)
            count += 1
    assert count == len(events)


def bisected(camera: Camera, levels: F64, times_us: F64) -> list[tuple[float, int]]:
    """Time and polarity of each event of one pixel, from the closed form by bisection."""
    value = reference = float(levels[0])
    found: list[tuple[float, int]] = []
    for k in range(1, len(levels)):
        gap = float(times_us[k] - times_us[k - 1])
        before, now = float(levels[k - 1]), float(levels[k])
        rate = float(camera.rate_hz(np.array(grey(now)))) * 1e-6
        slope = float((now - before) / gap)
        away = value - before + slope / rate
        curve = np.vectorize(
            lambda u, b=before, s=slope, r=rate, a=away: b + s * u - s / r + a * math.exp(-r * u)
        )
        ends = [0.0, gap]
        if slope != 0 and away * rate / slope > 1 and math.log(away * rate / slope) / rate < gap:
            ends.insert(1, math.log(away * rate / slope) / rate)
        for low, end in itertools.pairwise(ends):
            while True:
                ahead = float(curve(end)) - reference
                if -camera.threshold_off < ahead < camera.threshold_on:
                    break
                up = ahead > 0
                reference += camera.threshold_on if up else -camera.threshold_off
                high = end
                for _ in range(60):
                    middle = (low + high) / 2
                    if (curve(middle) > reference) == up:
                        high = middle
                    else:
                        low = middle
                found.append((times_us[k - 1] + low, int(up)))
        value = float(curve(gap))
    return found


@pytest.mark.parametrize("cutoff_hz", [1.0, 30.0, 300.0, 5000.0])
def test_every_filtered_event_lies_within_two_nanoseconds_of_bisection(cutoff_hz: float) -> None:
    rng = np.random.default_rng(int(cutoff_hz))
    levels = rng.uniform(3.1, 5.5, (10, 12))
    times_us = np.cumsum(rng.integers(5_000, 60_000, 10)).astype(float)
    camera = Camera(0.11, 0.13, cutoff_hz=cutoff_hz)
    events = collect(camera, list(np.exp(levels)[:, None]), list(times_us * 1e-6))
    assert len(events) > 20
    for pixel in range(12):
        expected = np.array(bisected(camera, levels[:, pixel], times_us)).reshape(-1, 2)
        mine = events[events["x"] == pixel]
        assert mine["p"].tolist() == expected[:, 1].tolist()
        assert (np.abs(mine["t"] + 0.5 - expected[:, 0]) < 0.502).all()


# ---------------------------------------------------------------- noise


def test_leakage_has_its_rate_from_the_first_second_on() -> None:
    camera = Camera(mismatch=0.03, leak_hz=0.5, seed=4)
    still = [np.full((60, 80), 100, dtype=np.uint8)] * 9
    events = collect(camera, still, list(range(9)))
    assert (events["p"] == 1).all()
    each = np.bincount(events["t"] // 1_000_000, minlength=8)[:8] / 4800
    # a second has half an event a pixel, at random phases: one part in 70 is a standard deviation
    np.testing.assert_allclose(each, 0.5, atol=0.03)
    assert each.mean() == pytest.approx(0.5, abs=0.002)  # periodic: 4 events a pixel in 8 s
    fine = np.bincount(events["t"] // 10_000, minlength=800)[:800]
    assert fine.std() < 2.5 * math.sqrt(fine.mean())  # no hump


@pytest.mark.parametrize(("value", "share"), [(0, 1.0), (128, 1 - 0.75 * 128 / 255), (255, 0.25)])
def test_shot_noise_has_its_rate_and_both_polarities(value: int, share: float) -> None:
    camera = Camera(shot_hz=5.0, seed=9)
    still = [np.full((60, 80), value, dtype=np.uint8)] * 31
    events = collect(camera, still, [i / 15 for i in range(31)])
    mean = 5.0 * share * 2.0 * 4800
    assert abs(len(events) - mean) < 4 * math.sqrt(mean)
    assert abs(events["p"].mean() - 0.5) < 4 * 0.5 / math.sqrt(mean)
    parts = np.bincount(events["t"] // 100_000, minlength=20)[:20]
    assert ((parts - parts.mean()) ** 2).mean() < 4 * parts.mean()  # at random times, as Poisson's


def test_shot_noise_does_not_depend_on_how_often_a_still_scene_is_shown() -> None:
    camera = Camera(shot_hz=20.0, seed=2)
    still = np.full((12, 10), 128, dtype=np.uint8)
    few = collect(camera, [still] * 2, [0.0, 1.0])
    many = collect(camera, [still] * 17, [i / 16 for i in range(17)])
    assert len(few) == len(many) > 1000
    key = ("y", "x", "t")
    few, many = np.sort(few, order=key), np.sort(many, order=key)
    assert np.abs(few["t"] - many["t"]).max() <= 1
    np.testing.assert_array_equal(few[["x", "y", "p"]], many[["x", "y", "p"]])


def test_thresholds_are_normal_around_the_nominal_one_and_never_below_a_hundredth() -> None:
    normal = rnd.normals(rnd.key(5, rnd.ON_THRESHOLD), 40_000)
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.015
    assert abs((np.abs(normal) < 1).mean() - 0.6827) < 0.01
    wide = Camera(0.05, 0.05, mismatch=1.0, seed=5)
    state = wide._first_state(np.zeros(40_000))
    assert state.on.min() == 0.01 and state.off.min() == 0.01
    assert abs(np.corrcoef(state.on, state.off)[0, 1]) < 0.02
    shares = rnd.uniforms(rnd.key(1, 2), 40_000)
    assert 0 < shares.min() and shares.max() < 1 and abs(shares.mean() - 0.5) < 0.01


# ---------------------------------------------------------------- the slow walk


def slow_walk(camera: Camera, frames: Frames, times_s: Sequence[float]) -> npt.NDArray[Any]:
    """Without filter and shot noise: every pixel on its own, in plain Python."""
    height, width = frames[0].shape
    first = camera._first_state(camera.log_intensity(frames[0].astype(float)).reshape(-1))
    found = []
    for pixel in range(height * width):
        y, x = divmod(pixel, width)
        on, off = float(first.on[pixel]), float(first.off[pixel])
        reference, last = float(first.reference[pixel]), -math.inf
        for f in range(1, len(frames)):
            begin, end = (round(times_s[i] * 1e6 * 1024) / 1024 for i in (f - 1, f))
            pair = np.array([frames[f - 1][y, x], frames[f][y, x]], dtype=float)
            before, now = map(float, camera.log_intensity(pair))
            leak = camera.leak_hz * ((end - begin) * 1e-6) * on
            final = now + leak
            while final - reference >= on or final - reference <= -off:
                up = final > reference
                reference += on if up else -off
                share = (reference - before) / (final - before) if final != before else 0.0
                share = min(max(share, 0.0), 1.0)
                if begin + share * (end - begin) - last < camera.refractory_s * 1e6:
                    continue
                last = begin + share * (end - begin)
                ticks = int((begin - math.floor(begin) + share * (end - begin)) * 1024 + 0.5)
                found.append((math.floor(begin) + (ticks >> 10), y, x, int(up), f))
            reference -= leak
    ordered = sorted(found, key=lambda e: (e[0], e[4], e[1], e[2]))
    return np.array([(t, x, y, p) for t, y, x, p, _ in ordered], dtype=EVENT)


SLOW = {
    "clean": CLEAN,
    "refractory and leak": Camera(0.15, 0.25, 0.03, refractory_s=0.004, leak_hz=4.0, seed=8),
    "log and leak": Camera(0.3, 0.3, leak_hz=30.0, log_eps=0.05, seed=1),
}


@pytest.mark.parametrize("name", SLOW)
def test_every_event_equals_that_of_the_slow_walk(name: str) -> None:
    frames, times = moving(8), [0.3 + i / 30 + 0.003 * (i % 3) for i in range(8)]
    events, expected = collect(SLOW[name], frames, times), slow_walk(SLOW[name], frames, times)
    assert len(expected) > 5000
    np.testing.assert_array_equal(events, expected)


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("name", PRESETS)
def test_a_seed_makes_one_recording_and_another_seed_another(name: str) -> None:
    frames, times = moving(5), [i / 25 for i in range(5)]
    camera = PRESETS[name]
    again = collect(dataclasses.replace(camera), frames, times)
    other = collect(dataclasses.replace(camera, seed=7), frames, times)
    np.testing.assert_array_equal(collect(camera, frames, times), again)
    assert not np.array_equal(again, other)


@pytest.mark.parametrize("name", PRESETS)
def test_a_stream_of_frames_gives_what_the_list_gives_one_block_a_gap(name: str) -> None:
    frames, times = moving(6), [i / 25 for i in range(6)]
    stream = PRESETS[name].events(iter(frames), iter(times), name="toy")
    taken: list[EventStream] = []
    for number, block in enumerate(stream):
        taken.append(block)
        stamps = block.events["t"]
        assert stamps.min() >= times[number] * 1e6 - 1 and stamps.max() <= times[number + 1] * 1e6
        assert (block.width, block.height, block.name) == (31, 24, "toy")
        checked = EventStream(block.events, block.width, block.height, block.name)
        assert vars(checked).keys() == vars(block).keys() and not block.events.flags.writeable
    joined = np.concatenate([block.events for block in taken])
    np.testing.assert_array_equal(joined, collect(PRESETS[name], frames, times))


@pytest.mark.parametrize("camera", [CLEAN, NOISY], ids=["clean", "noisy"])
def test_grey_values_of_another_type_give_the_same_events(camera: Camera) -> None:
    frames, times = moving(4), [i / 25 for i in range(4)]
    real = [frame.astype(np.float64) for frame in frames]
    np.testing.assert_array_equal(collect(camera, frames, times), collect(camera, real, times))


def test_a_burst_beyond_the_first_room_and_a_gap_beyond_counting_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (40, 50), dtype=np.uint8) for _ in range(3)]
    camera = Camera(0.02, 0.02)
    near = collect(camera, frames, [0.0, 0.1, 0.2])
    far = collect(camera, frames, [0.0, 0.1, 100.1])
    assert len(near) == len(far) > 200_000
    first = near["t"] < 100_000
    np.testing.assert_array_equal(near[first], far[: first.sum()])
    key = ("y", "x", "t")
    late, later = np.sort(near[~first], order=key), np.sort(far[first.sum() :], order=key)
    np.testing.assert_allclose(later["t"] - 1e5, 1e3 * (late["t"] - 1e5), atol=1001)


def test_a_bright_pixel_does_not_move_the_events_of_another() -> None:
    frames = [np.array([[60.0, 10.0]]), np.array([[90.0, 10.0]])]
    busy = [frames[0], np.array([[90.0, 250.0]])]
    calm, loud = (collect(DEFAULT, x, [0.0, 0.04]) for x in (frames, busy))
    assert len(loud) > len(calm) > 0
    np.testing.assert_array_equal(loud[loud["x"] == 0], calm[calm["x"] == 0])


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold_on", 0.0),
        ("threshold_off", math.nan),
        ("mismatch", -0.1),
        ("refractory_s", -1.0),
        ("leak_hz", math.inf),
        ("shot_hz", -5.0),
        ("cutoff_hz", 1e-9),
        ("log_eps", 0.0),
        ("seed", -1),
    ],
)
def test_a_value_outside_its_range_is_named(name: str, value: float) -> None:
    with pytest.raises(BadInput, match=name):
        Camera(**{name: value})  # type: ignore[arg-type]


FRAME = np.full((3, 4), 90, dtype=np.uint8)


@pytest.mark.parametrize(
    ("frames", "times", "told"),
    [
        ([FRAME, FRAME[:2]], [0.0, 1.0], r"frame 1 has shape \(2, 4\)"),
        ([np.zeros((3, 4, 3))], [0.0], "grey frames"),
        ([FRAME, FRAME], [0.0, 0.0], "times that rise"),
        ([FRAME, FRAME], [0.0, 5000.0], "at most 1000 s"),
        ([FRAME, FRAME], [0.0, math.nan], "frame 1 at nan s"),
        ([FRAME], [-1.0], "frame 0 at -1.0 s"),
        ([FRAME, FRAME], [0.0], "1 times, but more frames"),
        ([FRAME], [0.0, 1.0], "1 frames, but more times"),
        ([np.full((2, 2), math.nan)], [0.0], "grey values nan"),
        ([np.full((2, 2), -1.0)], [0.0], "grey values -1"),
        ([np.full((2, 2), "a")], [0.0], "real numbers"),
    ],
)
def test_frames_and_times_that_do_not_fit_are_named(
    frames: Frames, times: list[float], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        list(Camera().events(frames, times))
