"""Events against analytic cases and slow walks in plain Python."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.data.events.clip_events import pooled_events
from neurozsl.data.events.feature_events import feature_events

Frames = npt.NDArray[np.uint8]


def slow_pixel_events(
    frames: Frames, fps: float, contrast: float, eps: float
) -> list[tuple[float, int, int, int]]:
    """The event generation model pixel by pixel, sorted by time, then row, then column."""
    count, height, width = frames.shape
    found = []
    for y in range(height):
        for x in range(width):
            levels = [math.log(float(frames[f, y, x]) / 255.0 + eps) for f in range(count)]
            reference = levels[0]
            for f in range(1, count):
                while abs(levels[f] - reference) >= contrast:
                    sign = 1 if levels[f] > reference else -1
                    reference += sign * contrast
                    share = (reference - levels[f - 1]) / (levels[f] - levels[f - 1])
                    found.append(((f - 1 + min(max(share, 0.0), 1.0)) / fps, x, y, sign))
    return sorted(found, key=lambda e: (e[0], e[2], e[1]))


def slow_feature_events(
    values: npt.NDArray[np.float64], threshold: float, first: str
) -> npt.NDArray[np.float64]:
    out = np.zeros_like(values)
    batch, steps, width = values.shape
    for b in range(batch):
        for d in range(width):
            reference = values[b, 0, d] if first == "self" else 0.0
            for t in range(steps):
                change = values[b, t, d] - reference
                if abs(change) >= threshold:
                    out[b, t, d] = math.copysign(1.0, change)
                    reference = values[b, t, d]
    return out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pooling_counts_every_event_of_the_slow_walk_in_its_cell(seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (8, 12, 20), dtype=np.uint8)
    expected = np.zeros((4, 2, 4, 4), dtype=int)
    for t, x, y, sign in slow_pixel_events(frames, 8.0, 0.37, 0.05):
        expected[min(int(t * 4), 3), 0 if sign > 0 else 1, y * 4 // 12, x * 4 // 20] += 1
    pooled = pooled_events(frames, 8.0, steps=4, contrast=0.37, eps=0.05, grid=4)
    assert pooled.sum() > 1000
    np.testing.assert_array_equal(pooled.reshape(4, 2, 4, 4), expected)


def test_a_still_clip_has_no_event() -> None:
    frames = np.full((5, 16, 17, 3), 90, dtype=np.uint8)
    assert not pooled_events(frames, 10.0, steps=2).any()


def test_pooled_counts_are_clipped_at_255() -> None:
    frames = np.zeros((40, 8, 8), dtype=np.uint8)
    frames[1::2] = 255
    assert pooled_events(frames, 40.0, steps=1, grid=1).tolist() == [[255, 255]]


@pytest.mark.parametrize("first", ["self", "zero"])
@pytest.mark.parametrize("threshold", [0.05, 0.2, 1.0])
def test_feature_events_equal_the_slow_walk(
    first: Literal["self", "zero"], threshold: float
) -> None:
    values = np.random.default_rng(5).normal(size=(3, 9, 7))
    got = feature_events(torch.from_numpy(values), threshold, first=first).numpy()
    np.testing.assert_array_equal(got, slow_feature_events(values, threshold, first))
    assert set(np.unique(got)) <= {-1.0, 0.0, 1.0} and got.any()


def test_a_change_of_exactly_the_threshold_is_an_event_and_moves_the_reference() -> None:
    values = torch.tensor([[[0.0], [0.25], [0.375], [0.5], [0.125]]], dtype=torch.float64)
    got = feature_events(values, 0.25)
    assert got[0, :, 0].tolist() == [0.0, 1.0, 0.0, 1.0, -1.0]


def test_the_logarithmic_form_compares_logarithms_of_the_rectified_value() -> None:
    values = np.abs(np.random.default_rng(6).normal(size=(2, 6, 5)))
    values[0, 2] *= -1.0
    got = feature_events(torch.from_numpy(values), 0.4, log=True).numpy()
    expected = slow_feature_events(np.log(np.maximum(values, 0.0) + 0.1), 0.4, "self")
    np.testing.assert_array_equal(got, expected)


def test_repeated_features_give_events_in_the_first_step_only_against_zero() -> None:
    values = torch.full((1, 4, 2), 0.7)
    assert not feature_events(values, 0.2).any()
    against_zero = feature_events(values, 0.2, first="zero")
    assert against_zero[0, :, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_feature_events_carry_no_gradient() -> None:
    values = torch.randn(1, 3, 2, requires_grad=True)
    assert not feature_events(values, 0.1).requires_grad


def test_a_threshold_of_zero_is_refused() -> None:
    with pytest.raises(BadInput, match="above 0"):
        feature_events(torch.zeros(1, 2, 3), 0.0)
    with pytest.raises(BadInput, match="threshold_on 0; choose"):
        pooled_events(np.zeros((2, 2, 2), dtype=np.uint8), 1.0, steps=1, contrast=0.0)
