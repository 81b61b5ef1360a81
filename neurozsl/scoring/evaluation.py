"""Scores of a model, with its motion branch on any backend.

In: a model, the evaluation splits of a stage, optionally a motion backend (`ChipInput -> Trace`)
that takes the place of the model's own branch, optionally several processes that share the samples.
Out: S, U, HM, ZSL, the recall of every class and
the traces' spike counts where asked for. `collect` runs the model once; weights of the heads and
beta are then chosen or applied on the stored distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.data.batch import AVBatch, Split, Stage
from neurozsl.models.base import Embedding, ZSLModel, distances, embed
from neurozsl.parallel.team import Alone, Team
from neurozsl.scoring import metrics
from neurozsl.scoring.metrics import Problem, Scores

MotionBackend = Callable[[ChipInput], Trace]
Observe = Callable[[npt.NDArray[np.int64], Any], None]
HEAD_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # lambda: weight of the motion head in the score


@dataclass(frozen=True)
class Collected:
    """Distances of every evaluated sample: `(head, sample, class)`, and the problem they pose."""

    distance: npt.NDArray[np.float64]
    problem: Problem

    def combined(self, head_weight: float) -> npt.NDArray[np.float64]:
        """(1 - lambda) d_joint + lambda d_motion, `(sample, class)`; one head is taken as it is."""
        if len(self.distance) == 1:
            return np.asarray(self.distance[0])
        joint, motion = self.distance
        return np.asarray((1 - head_weight) * joint + head_weight * motion)


def collect(
    model: ZSLModel,
    stage: Stage,
    vectors: npt.NDArray[np.float32],
    *,
    backend: MotionBackend | None = None,
    batch: int = 256,
    device: torch.device | str = "cpu",
    observe: Observe | None = None,
    progress: Progress | None = None,
    team: Team | None = None,
) -> Collected:
    """Run the model over the stage's evaluation splits.

    The processes of a team take whole batches in turn, the very batches of one process, and add
    their distances up at the samples' global index; every process returns all of them.

    Args:
        model: keeps `models.base.ZSLModel`; its training mode is restored.
        stage: whose `seen` and `unseen` splits are evaluated.
        vectors: `(classes, words)`.
        backend: runs the spiking branch; None runs the model's own (Norse).
        batch: samples at once.
        device: where the host part runs.
        observe: called with every batch's samples (their place in the test, seen before unseen)
            and the model's output; of a team, with those of this process.
        progress: called with (done, total) samples.
        team: the processes that share the work; None: this one does all of it.
    """
    was_training = model.training
    model.eval()
    team = team or Alone()
    splits = (stage.seen, stage.unseen)
    total = sum(len(s) for s in splits)
    batches = [
        (split, first, np.arange(start, min(start + batch, len(split))))
        for split, first in zip(splits, (0, len(stage.seen)), strict=True)
        for start in range(0, len(split), batch)
    ]
    found: Any = None  # (head, sample, class); 0 where another process knows it
    times = np.zeros(total, np.int64)
    try:
        with torch.no_grad():
            dtype = _dtype(model)
            words = model.embed_words(torch.as_tensor(vectors, dtype=dtype, device=device))
            # Each process runs at least one batch, so that all know the number of heads.
            for split, first, rows in batches[team.rank :: team.size] or batches[:1]:
                output = forward(model, split, rows, backend=backend, device=device)
                part = distances(output, words).double().cpu().numpy()
                if found is None:
                    found = np.zeros((len(part), total, part.shape[2]))
                if team.rank < len(batches):
                    found[:, first + rows], times[first + rows] = part, times[first + rows] + 1
                    if observe is not None:
                        observe(first + rows, output)
                if progress is not None:
                    progress(first + int(rows[-1]) + 1, total)
    finally:
        model.train(was_training)
    if team.size > 1:
        found, times = (_added(team, x, device) for x in (found, times))
    assert np.all(times == 1), "a sample was evaluated twice or never"
    label = np.concatenate([s.label for s in splits])
    problem = Problem(label, stage.seen_ids, stage.unseen_ids)
    return Collected(found, problem)


def _added(team: Team, x: npt.NDArray[Any], device: torch.device | str) -> npt.NDArray[Any]:
    return np.asarray(team.total(torch.from_numpy(x).to(device)).cpu().numpy())


def _dtype(model: ZSLModel) -> torch.dtype:
    """Precision of a model's weights."""
    first = next(model.parameters(), None)
    return torch.float32 if first is None else first.dtype


def cast(batch: AVBatch, dtype: torch.dtype) -> AVBatch:
    """The batch with features of another precision."""
    if batch.audio.dtype == dtype:
        return batch
    events = None if batch.events is None else batch.events.to(dtype)
    return replace(batch, audio=batch.audio.to(dtype), video=batch.video.to(dtype), events=events)


def forward(
    model: ZSLModel,
    split: Split,
    rows: npt.NDArray[np.int64],
    *,
    backend: MotionBackend | None = None,
    device: torch.device | str = "cpu",
) -> Embedding:
    """Embed samples `rows` of a split; with a backend, no motion weight is used on the host."""
    batch = cast(split.batch(rows).to(device), _dtype(model))
    if backend is None:
        return embed(model, batch)
    prepared = model.prepare(batch)
    if prepared.chip_input is None:
        return model.finish(None, prepared.context)
    return model.finish(backend(prepared.chip_input.to_numpy()), prepared.context)


@dataclass(frozen=True)
class Evaluation:
    """Scores with the settings they were made with."""

    scores: Scores
    head_weight: float
    chance: float
    recalls: dict[int, float]  # class id -> recall in percent
    samples: int

    def as_json(self) -> dict[str, float | int]:
        """The keys that `neurozsl evaluate --json` prints."""
        s = self.scores
        return {
            "S": s.S,
            "U": s.U,
            "HM": s.HM,
            "ZSL": s.ZSL,
            "beta": s.beta,
            "chance": self.chance,
            "head_weight": self.head_weight,
            "samples": self.samples,
        }


def choose(
    collected: Collected,
    weights: Sequence[float] = HEAD_WEIGHTS,
    betas: Sequence[float] = metrics.BETA_GRID,
) -> tuple[Scores, float]:
    """Beta and head weight with the best HM; the first on ties. Only for validation data."""
    options = weights if len(collected.distance) > 1 else (0.0,)
    tried = [
        (metrics.search_beta(collected.combined(w), collected.problem, betas), w) for w in options
    ]
    return max(tried, key=lambda pair: pair[0].HM)


def evaluate(
    collected: Collected, *, beta: float, head_weight: float, permutations: int = 100
) -> Evaluation:
    """Score at settings that were chosen elsewhere (on validation data)."""
    distance, problem = collected.combined(head_weight), collected.problem
    scores = metrics.score(distance, problem, beta)
    predicted = metrics.predict(distance, problem, beta)
    ids = np.concatenate([problem.seen_ids, problem.unseen_ids])
    recalls = metrics.class_recalls(predicted, problem.label, ids) * 100
    return Evaluation(
        scores,
        head_weight,
        metrics.chance_hm(distance, problem, beta, permutations=permutations),
        {int(c): float(r) for c, r in zip(ids, recalls, strict=True)},
        len(problem.label),
    )
