"""Scores of names from their distances: a softmax whose temperature known samples choose.

    score(name) = exp(-d(name) / T) / sum over names of exp(-d / T)

with d the distance that evaluation ranks by (head weight and beta included). T is the temperature
at which the mean score of the first name equals the share of samples that were named right,
smoothed as Laplace does: (right + 1) / (samples + 2). Samples are the test windows that every run
keeps (up to 16), so the number is the same with and without the data set.

What it is not: 16 windows tell the level of the scores roughly, and nothing about single names;
other names than the run's own, or clips of another kind, move the level. So it is called a score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.deploy.motion import Motion
from neurozsl.deploy.samples import shown_samples
from neurozsl.models.base import distances
from neurozsl.prediction.candidates import own_candidates
from neurozsl.runs.kept import TEST_SAMPLES
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import weighed

F64 = npt.NDArray[np.float64]
COLDEST: Final = 1e-4
HOTTEST: Final = 1e4
_HALVINGS: Final = 60


@dataclass(frozen=True)
class ScoreScale:
    """How distances become scores.

    temperature: in units of distance. samples, right: windows that it was chosen on, and how many
    of them the run names right among its own classes.
    """

    temperature: float
    samples: int
    right: int

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


def ranked_distance(run: Run, heads: F64, seen: npt.NDArray[np.bool_]) -> F64:
    """What names are ranked by, `(sample, name)`: heads weighed, beta added to what is seen.

    heads: `(head, sample, name)`.
    """
    return np.asarray(weighed(heads, run.selected.head_weight) + run.selected.beta * seen)


def score_scale(run: Run, branch: Motion | None) -> ScoreScale:
    """Choose the temperature on the samples that the run keeps, with this branch.

    Raises:
        DataElsewhere: the run is of a version that kept none, and its data set is not here.
    """
    own, found, label = own_candidates(run), [], []
    with road.at_rest(run.model):
        words = road.words(run.model, own.vectors)
        for split, rows in shown_samples(run, TEST_SAMPLES):
            parts = road.prepare(run.model, split, rows)
            trace = road.trace_of(run.model, parts, None if branch is None else branch.run)
            heads = distances(road.finish(run.model, parts, trace), words).double().cpu().numpy()
            found.append(ranked_distance(run, heads, own.seen))
            label.append(split.label[rows])
    return temperature_of(np.concatenate(found), np.concatenate(label))


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
