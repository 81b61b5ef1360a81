"""Paired bootstrap of HM over test samples, stratified by class.

In: which samples each of several conditions got right, on the same test set. A resample draws, in
every class, as many of its samples as it has, with replacement; all conditions read the same
draw, so that their differences are paired. The intervals tell what another test set of this size
would change; they say nothing about other trainings (that is what the seeds are for).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def harmonic_means(correct: npt.NDArray[np.bool_], label: Ints, seen: Ints, unseen: Ints) -> Floats:
    """HM in percent of every condition, `(condition,)`.

    correct: `(condition, sample)`. label: class of every sample. seen, unseen: ids of the classes,
    every one with a sample.
    """
    s, u = (_recall(correct, label, ids)[:, 0] for ids in (seen, unseen))
    return _harmonic(s, u)


def resampled_harmonic_means(
    correct: npt.NDArray[np.bool_],
    label: Ints,
    seen: Ints,
    unseen: Ints,
    *,
    resamples: int,
    generator: np.random.Generator,
) -> Floats:
    """HM in percent of every condition in every resample, `(condition, resample)`."""
    drawn = resamples, generator
    s, u = (_recall(correct, label, ids, drawn) for ids in (seen, unseen))
    return _harmonic(s, u)


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval.

    >>> interval(np.arange(101.0), 0.5)
    (25.0, 75.0)
    """
    tail = 50 * (1 - level)
    low, high = np.percentile(values, (tail, 100 - tail))
    return float(low), float(high)


def _recall(
    correct: npt.NDArray[np.bool_],
    label: Ints,
    ids: Ints,
    drawn: tuple[int, np.random.Generator] | None = None,
) -> Floats:
    """Mean over classes of their recalls, `(condition, resample)`; one column without draws."""
    found = []
    for c in ids:
        own = correct[:, label == c]  # (condition, sample of the class)
        if drawn is None:
            found.append(own.mean(1, keepdims=True))
            continue
        resamples, generator = drawn
        rows = generator.integers(0, own.shape[1], (resamples, own.shape[1]))
        found.append(own[:, rows].mean(2))
    return np.asarray(np.mean(found, axis=0), np.float64)


def _harmonic(seen: Floats, unseen: Floats) -> Floats:
    total = seen + unseen
    return np.asarray(200 * seen * unseen / np.where(total > 0, total, 1.0), np.float64)
