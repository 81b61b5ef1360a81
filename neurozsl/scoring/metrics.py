"""S, U, HM and ZSL with calibrated stacking, as AVCA's public evaluator computes them.

In: distances of samples to classes `(sample, class)`. A class is predicted by the smallest
distance; beta is added to the distance of every class that is not unseen. S and U are means of
per-class recalls, HM their harmonic mean, ZSL the recall on unseen classes when only they may be
predicted. ZSL >= U always holds: taking seen classes away cannot make an unseen sample wrong.
All scores are percentages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

BETA_GRID = tuple(float(b) for b in np.linspace(0.0, 3.0, 16))  # AVCA's, in steps of 0.2


@dataclass(frozen=True)
class Scores:
    """S, U, HM, ZSL in percent, and the beta they belong to."""

    S: float
    U: float
    HM: float
    ZSL: float
    beta: float


def class_recalls(predicted: Ints, label: Ints, ids: Ints) -> npt.NDArray[np.float64]:
    """Recall of every class in `ids`: correct / samples, in 0..1.

    >>> class_recalls(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0, 1])).tolist()
    [0.5, 1.0]
    """
    return np.array([np.mean(predicted[label == c] == c) for c in ids])


def harmonic_mean(seen: float, unseen: float) -> float:
    """2 S U / (S + U), 0 where both are 0."""
    total = seen + unseen
    return 2 * seen * unseen / total if total > 0 else 0.0


@dataclass(frozen=True)
class Problem:
    """Labels and class sets of one evaluation; every id has at least one sample."""

    label: Ints  # (sample,)
    seen_ids: Ints
    unseen_ids: Ints


def predict(distance: npt.NDArray[np.float64], problem: Problem, beta: float) -> Ints:
    """Class with the smallest calibrated distance among seen and unseen ones, `(sample,)`."""
    stacked = np.ones(distance.shape[1], dtype=bool)
    stacked[problem.unseen_ids] = False
    calibrated = distance + beta * stacked
    allowed = np.concatenate([problem.seen_ids, problem.unseen_ids])
    allowed.sort()  # ties go to the lowest class id, as argmin over all columns would
    return np.asarray(allowed[np.argmin(calibrated[:, allowed], axis=1)], dtype=np.int64)


def score(distance: npt.NDArray[np.float64], problem: Problem, beta: float) -> Scores:
    """All four scores at one beta."""
    predicted = predict(distance, problem, beta)
    seen = float(class_recalls(predicted, problem.label, problem.seen_ids).mean())
    unseen = float(class_recalls(predicted, problem.label, problem.unseen_ids).mean())
    only = np.sort(problem.unseen_ids)
    rows = np.isin(problem.label, only)
    zsl_predicted = only[np.argmin(distance[rows][:, only], axis=1)]
    zsl = float(class_recalls(zsl_predicted, problem.label[rows], problem.unseen_ids).mean())
    hm = harmonic_mean(seen, unseen)
    return Scores(100 * seen, 100 * unseen, 100 * hm, 100 * zsl, float(beta))


def search_beta(
    distance: npt.NDArray[np.float64], problem: Problem, betas: Sequence[float] = BETA_GRID
) -> Scores:
    """Scores at the beta of the grid with the best HM; the first one on ties."""
    return max((score(distance, problem, b) for b in betas), key=lambda s: s.HM)


def chance_hm(distance: npt.NDArray[np.float64], problem: Problem, beta: float) -> float:
    """HM that a model without knowledge of the classes reaches: 95 % of 100 permutations.

    The class vectors are handed to the wrong classes (all of seen and unseen, at random), which
    permutes the columns of the distances and keeps everything else about the model.
    """
    generator = np.random.default_rng(0)
    ids = np.concatenate([problem.seen_ids, problem.unseen_ids])
    hms = []
    for _ in range(100):
        shuffled = distance.copy()
        shuffled[:, ids] = distance[:, generator.permutation(ids)]
        hms.append(score(shuffled, problem, beta).HM)
    return float(np.percentile(hms, 95.0))
