"""What the deployed model recognised: recalls, confusion among unseen classes, scores over beta.

In: the distances that one pass over the test splits left (`evaluation.Collected`). A class is
predicted with calibrated stacking: beta is added to the distance of every seen class. Recalls and
scores are in percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from neurozsl.report import schema
from neurozsl.scoring import metrics
from neurozsl.scoring.metrics import Ints, Problem


def class_recalls(
    recalls: Mapping[int, float], problem: Problem, names: Sequence[str]
) -> tuple[schema.ClassRecall, ...]:
    """One row per class of the test; recalls: class id -> percent."""
    unseen = set(problem.unseen_ids.tolist())
    return tuple(
        schema.ClassRecall(
            name=names[c],
            role="unseen" if c in unseen else "seen",
            recall=recall,
            samples=int(np.count_nonzero(problem.label == c)),
        )
        for c, recall in recalls.items()
    )


def confusion(predicted: Ints, problem: Problem, names: Sequence[str]) -> schema.Confusion:
    """Predictions of the samples of unseen classes; `elsewhere` were called a seen class.

    Args:
        predicted: class id per sample, among seen and unseen classes.
        problem: labels and class sets.
        names: of all classes.
    """
    ids = np.sort(problem.unseen_ids)
    rows = np.isin(problem.label, ids)
    true = np.searchsorted(ids, problem.label[rows])
    called = predicted[rows]
    inside = np.isin(called, ids)
    counts = np.zeros((len(ids), len(ids)), np.int64)
    np.add.at(counts, (true[inside], np.searchsorted(ids, called[inside])), 1)
    return schema.Confusion(
        classes=tuple(names[c] for c in ids),
        counts=tuple(map(tuple, counts.tolist())),
        elsewhere=tuple(np.bincount(true[~inside], minlength=len(ids)).tolist()),
    )


def beta_curve(
    distance: npt.NDArray[np.float64],
    problem: Problem,
    chosen: float,
    betas: Sequence[float] = metrics.BETA_GRID,
) -> schema.BetaCurve:
    """S, U and HM of the test over the grid of beta, and at the chosen one.

    Args:
        distance: `(sample, class)`.
        problem: labels and class sets.
        chosen: beta that validation data selected; a point of its own where the grid has none.
        betas: the grid.
    """
    found = [metrics.score(distance, problem, b) for b in sorted({*betas, chosen})]
    return schema.BetaCurve(
        points=tuple(schema.BetaPoint(beta=x.beta, S=x.S, U=x.U, HM=x.HM) for x in found),
        chosen=chosen,
    )
