"""The scale of a run's scores (`scoring.scale`), and what its names are ranked by."""

from __future__ import annotations

from dataclasses import replace

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
from neurozsl.scoring.scale import F64, ScoreScale, temperature_of


def ranked_distance(run: Run, heads: F64, seen: npt.NDArray[np.bool_]) -> F64:
    """What names are ranked by, `(sample, name)`: heads weighed, beta added to what is seen.

    heads: `(head, sample, name)`.
    """
    return np.asarray(weighed(heads, run.selected.head_weight) + run.selected.beta * seen)


def score_scale(run: Run, branch: Motion | None) -> ScoreScale:
    """The scale that validation chose; of a run of an earlier version, one of its kept samples.

    Those are up to 16 test windows, which tell the level of the scores roughly.

    Raises:
        DataElsewhere: the run is of a version that kept none, and its data set is not here.
    """
    selected = run.selected
    if selected.temperature > 0:
        return ScoreScale(selected.temperature, selected.val_samples, selected.val_right)
    own, found, label = own_candidates(run), [], []
    with road.at_rest(run.model):
        words = road.words(run.model, own.vectors)
        for split, rows in shown_samples(run, TEST_SAMPLES):
            parts = road.prepare(run.model, split, rows)
            trace = road.trace_of(run.model, parts, None if branch is None else branch.run)
            heads = distances(road.finish(run.model, parts, trace), words).double().cpu().numpy()
            found.append(ranked_distance(run, heads, own.seen))
            label.append(split.label[rows])
    scale = temperature_of(np.concatenate(found), np.concatenate(label))
    return replace(scale, chosen_on="kept test")
