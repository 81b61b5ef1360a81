"""The bootstrap against a loop over classes, resamples and samples."""

import numpy as np
import pytest

from neurozsl.scoring import metrics
from neurozsl.studies import bootstrap

LABEL = np.repeat([0, 1, 2, 3], [9, 30, 12, 25])
SEEN, UNSEEN = np.array([0, 1]), np.array([2, 3])


def correct(conditions: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random((conditions, len(LABEL))) < np.array([[0.5], [0.6], [0.9]])[:conditions]


def test_exact_hm_is_that_of_the_metrics() -> None:
    given = correct()
    found = bootstrap.harmonic_means(given, LABEL, SEEN, UNSEEN)
    for row, hm in zip(given, found, strict=True):
        predicted = np.where(row, LABEL, LABEL + 1)
        s, u = (metrics.class_recalls(predicted, LABEL, ids).mean() for ids in (SEEN, UNSEEN))
        assert hm == pytest.approx(100 * metrics.harmonic_mean(s, u), rel=1e-12)


def test_resamples_equal_a_slow_loop_with_the_same_draws() -> None:
    given, resamples = correct(), 20
    found = bootstrap.resampled_harmonic_means(
        given, LABEL, SEEN, UNSEEN, resamples=resamples, generator=np.random.default_rng(7)
    )
    generator = np.random.default_rng(7)
    draws = {}
    for c in [*SEEN, *UNSEEN]:
        size = int((LABEL == c).sum())
        draws[c] = np.flatnonzero(LABEL == c)[generator.integers(0, size, (resamples, size))]
    for condition in range(len(given)):
        for r in range(resamples):
            recall = {c: np.mean([given[condition, i] for i in draws[c][r]]) for c in draws}
            s, u = (float(np.mean([recall[c] for c in ids])) for ids in (SEEN, UNSEEN))
            wanted = 100 * metrics.harmonic_mean(s, u)
            assert found[condition, r] == pytest.approx(wanted, rel=1e-12)


def test_pairing_removes_what_conditions_share() -> None:
    given = correct(2)
    given[1] = given[0]
    given[1, 20] = ~given[0, 20]
    drawn = bootstrap.resampled_harmonic_means(
        given, LABEL, SEEN, UNSEEN, resamples=500, generator=np.random.default_rng(0)
    )
    low, high = bootstrap.interval(drawn[0])
    gap_low, gap_high = bootstrap.interval(drawn[0] - drawn[1])
    assert high - low > 3 * (gap_high - gap_low) > 0


def test_a_condition_that_is_always_wrong_has_hm_zero() -> None:
    given = np.zeros((1, len(LABEL)), bool)
    assert bootstrap.harmonic_means(given, LABEL, SEEN, UNSEEN).tolist() == [0.0]
