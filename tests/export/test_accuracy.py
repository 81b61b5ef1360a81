"""Intervals against their definitions: a root by bisection, and coverage by counting every case."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.bundle.accuracy import Z_95, accuracy, changed, drop


def bisected(inside: Callable[[float], bool], start: float, end: float) -> float:
    """Where a condition that holds at `start` ends, on the way to `end`."""
    for _ in range(200):
        middle = (start + end) / 2
        start, end = (middle, end) if inside(middle) else (start, middle)
    return start


@pytest.mark.parametrize(
    ("right", "samples"), [(0, 20), (20, 20), (1, 29), (15, 148), (64, 100), (81, 263), (1, 1)]
)
def test_the_ends_are_the_roots_that_wilson_defines(right: int, samples: int) -> None:
    share = right / samples

    def inside(p: float) -> bool:
        return abs(share - p) <= Z_95 * math.sqrt(p * (1 - p) / samples) + 1e-15

    found = accuracy(right, samples)
    assert found.percent == 100 * share
    assert found.low == pytest.approx(100 * bisected(inside, share, 0.0), abs=1e-6)
    assert found.high == pytest.approx(100 * bisected(inside, share, 1.0), abs=1e-6)


@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17, 857-872 (1998), Table I, method 3.
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_the_interval_is_the_published_one(
    right: int, samples: int, low: float, high: float
) -> None:
    found = accuracy(right, samples)
    assert (round(found.low, 2), round(found.high, 2)) == (low, high)


def test_a_drop_counts_only_samples_that_changed() -> None:
    before = np.array([True] * 90 + [False] * 10)
    after = np.concatenate([np.zeros(3, bool), np.ones(88, bool), np.zeros(9, bool)])
    found = changed(before, after)
    assert (found.lost, found.won, found.samples, found.points) == (3, 1, 100, 2.0)
    # By hand: p = 4/102 and 2/102, d = 2/102, se = sqrt((6/102 - (2/102)^2) / 102).
    d, half = 2 / 102, Z_95 * math.sqrt((6 / 102 - (2 / 102) ** 2) / 102)
    assert (found.low, found.high) == pytest.approx((100 * (d - half), 100 * (d + half)))


def test_no_change_leaves_what_chance_could_hide_and_it_shrinks_with_the_samples() -> None:
    few, many = drop(0, 0, 20), drop(0, 0, 2000)
    assert few.points == many.points == 0.0
    assert few.low < 0 < few.high and few.high > 10 * many.high > 0


@pytest.mark.parametrize(("lost", "won"), [(0.05, 0.05), (0.2, 0.05), (0.3, 0.3), (0.02, 0.0)])
def test_the_interval_of_a_drop_holds_the_truth_about_19_times_in_20(
    lost: float, won: float
) -> None:
    samples, held = 40, 0.0
    for a in range(samples + 1):
        for b in range(samples + 1 - a):
            ways = math.comb(samples, a) * math.comb(samples - a, b)
            weight = ways * lost**a * won**b * (1 - lost - won) ** (samples - a - b)
            found = drop(a, b, samples)
            held += weight * (found.low <= 100 * (lost - won) <= found.high)
    assert held > 0.94


def test_counts_that_cannot_be_are_refused() -> None:
    for right, samples in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(BadInput, match=f"{right} right of {samples} samples"):
            accuracy(right, samples)
    with pytest.raises(BadInput, match="3 lost and 2 won of 4 samples"):
        drop(3, 2, 4)
