"""Scores of names from their distances: a softmax whose temperature known samples choose.

    score(name) = exp(-d(name) / T) / sum over names of exp(-d / T)

with d the distance that evaluation ranks by (head weight and beta included). T is the temperature
at which the mean score of the first name equals the share of samples that were named right,
smoothed as Laplace does: (right + 1) / (samples + 2). Samples are those that beta and head weight
are chosen on: the validation splits, with the model of stage 1, which has seen none of them.

What it is not: it tells the level of the scores on clips like these, and nothing about single
names; other names than the run's own, or clips of another kind, move the level. So it is called a
score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.scoring.evaluation import Collected

F64 = npt.NDArray[np.float64]
COLDEST: Final = 1e-4
HOTTEST: Final = 1e4
_HALVINGS: Final = 60


@dataclass(frozen=True)
class ScoreScale:
    """How distances become scores.

    temperature: in units of distance. samples, right: windows that it was chosen on, and how many
    of them were named right. chosen_on: whose they are.
    """

    temperature: float
    samples: int
    right: int
    chosen_on: str = "validation"

    def scores(self, distance: F64) -> F64:
        """(n,) scores that sum to 1."""
        return softmax(distance, self.temperature)

    def as_json(self) -> dict[str, Any]:
        """Its fields, and what it is."""
        told = (
            "softmax(-distance / temperature); the mean first score of the samples is (right + 1) "
            "/ (samples + 2). A score, not a probability of this name for this clip."
        )
        return {**asdict(self), "meaning": told}


def softmax(distance: F64, temperature: float) -> F64:
    """Of the negative distances, over the last axis."""
    raised = np.exp((distance.min(-1, keepdims=True) - distance) / temperature)
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def chosen_scale(collected: Collected, beta: float, head_weight: float) -> ScoreScale:
    """The scale of scores on evaluated samples, ranked among the classes that their problem asks.

    beta, head_weight: as they were chosen on the same samples.
    """
    problem, distance = collected.problem, collected.combined(head_weight).copy()
    distance[:, problem.seen_ids] += beta
    asked = np.union1d(problem.seen_ids, problem.unseen_ids)
    return temperature_of(distance[:, asked], np.searchsorted(asked, problem.label))


def temperature_of(distance: F64, label: npt.NDArray[np.int64]) -> ScoreScale:
    """The temperature for samples of known names; distance: `(sample, name)`.

    The mean first score falls as the temperature rises, so halving finds the one that meets the
    aim; where none does (fewer right than chance), the nearest end of 1e-4 to 1e4 is taken.
    """
    right = int(np.count_nonzero(distance.argmin(1) == label))
    aim = (right + 1) / (len(label) + 2)
    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if float(softmax(distance, float(np.exp(middle))).max(1).mean()) > aim:
            low = middle
        else:
            high = middle
    return ScoreScale(float(np.exp((low + high) / 2)), len(label), right)
