"""Scores of a model, with its motion branch on any backend.

In: a model, the evaluation splits of a stage, optionally a motion backend (`ChipInput -> Trace`)
that takes the place of the model's own branch. Out: S, U, HM, ZSL, the recall of every class and
the traces' spike counts where asked for. `collect` runs the model once; weights of the heads and
beta are then chosen or applied on the stored distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurozsl import metrics
from neurozsl.data.batch import Split, Stage
from neurozsl.metrics import Problem, Scores
from neurozsl.models.base import distances
from neurozsl.signals import ChipInput, Trace

MotionBackend = Callable[[ChipInput], Trace]
Progress = Callable[[int, int], None]
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
    model: Any,
    stage: Stage,
    vectors: npt.NDArray[np.float32],
    *,
    backend: MotionBackend | None = None,
    batch: int = 256,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Collected:
    """Run the model over the stage's evaluation splits.

    Args:
        model: keeps `models.base.ZSLModel`; its training mode is restored.
        stage: whose `seen` and `unseen` splits are evaluated.
        vectors: `(classes, words)`.
        backend: runs the spiking branch; None runs the model's own (Norse).
        batch: samples at once.
        device: where the host part runs.
        progress: called with (done, total) samples.
    """
    was_training = model.training
    model.eval()
    splits = (stage.seen, stage.unseen)
    total, done = sum(len(s) for s in splits), 0
    found = []
    try:
        with torch.no_grad():
            words = model.embed_words(torch.as_tensor(vectors, device=device))
            for split in splits:
                for start in range(0, len(split), batch):
                    rows = np.arange(start, min(start + batch, len(split)))
                    output = forward(model, split, rows, backend=backend, device=device)
                    found.append(distances(output, words).double().cpu().numpy())
                    done += len(rows)
                    if progress is not None:
                        progress(done, total)
    finally:
        model.train(was_training)
    label = np.concatenate([s.label for s in splits])
    problem = Problem(label, stage.seen_ids, stage.unseen_ids)
    return Collected(np.concatenate(found, axis=1), problem)


def forward(
    model: Any,
    split: Split,
    rows: npt.NDArray[np.int64],
    *,
    backend: MotionBackend | None = None,
    device: torch.device | str = "cpu",
) -> Any:
    """Embed samples `rows` of a split; with a backend, no motion weight is used on the host."""
    batch = split.batch(rows).to(device)
    if backend is None:
        return model(batch)
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


def choose(collected: Collected, weights: Sequence[float] = HEAD_WEIGHTS) -> tuple[Scores, float]:
    """Beta and head weight with the best HM; the first on ties. Only for validation data."""
    options = weights if len(collected.distance) > 1 else (0.0,)
    tried = [(metrics.search_beta(collected.combined(w), collected.problem), w) for w in options]
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
