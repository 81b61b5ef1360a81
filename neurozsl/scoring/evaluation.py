"""Scores of a model, with its motion branch on any backend.

In: a model, the evaluation splits of a stage, motion backends (`ChipInput -> Trace`) that take the
place of the model's own branch, optionally several processes that share the samples.
Out: S, U, HM, ZSL, the recall of every class. `walk` goes the road (`road`) once, however many
backends there are; weights of the heads and beta are then chosen or applied on the stored
distances.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.data.batch import Stage
from neurozsl.models.base import Embedding, ZSLModel, distances
from neurozsl.parallel.team import Alone, Team
from neurozsl.scoring import metrics, road
from neurozsl.scoring.metrics import Problem, Scores
from neurozsl.scoring.road import PreparedBatch

HEAD_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # lambda: weight of the motion head in the score
T = TypeVar("T")


BATCH: Final = 256  # samples at once


@dataclass(frozen=True)
class Collected:
    """Distances of every evaluated sample: `(head, sample, class)`, and the problem they pose."""

    distance: npt.NDArray[np.float64]
    problem: Problem

    def combined(self, head_weight: float) -> npt.NDArray[np.float64]:
        """`weighed` distances, `(sample, class)`."""
        return weighed(self.distance, head_weight)


def weighed(heads: npt.NDArray[np.float64], head_weight: float) -> npt.NDArray[np.float64]:
    """(1 - lambda) d_joint + lambda d_motion of `(head, ...)`; one head is taken as it is."""
    if len(heads) == 1:
        return np.asarray(heads[0])
    joint, motion = heads
    return np.asarray((1 - head_weight) * joint + head_weight * motion)


@dataclass(frozen=True)
class Passed:
    """One batch at the end of the road; trace is None where nothing spikes."""

    parts: PreparedBatch
    trace: Trace | None
    output: Embedding

    @property
    def on_chip(self) -> tuple[ChipInput, Trace]:
        """What was read and spiked, as numpy, to count on."""
        return road.on_chip(self.parts, self.trace)


class Walked(NamedTuple, Generic[T]):
    """What one backend gave: distances of the test, and what was kept of every batch, in order."""

    collected: Collected
    kept: tuple[T, ...]


def problem_of(stage: Stage) -> Problem:
    """What the test of a stage asks, seen samples before unseen."""
    label = np.concatenate([stage.seen.label, stage.unseen.label])
    return Problem(label, stage.seen_ids, stage.unseen_ids)


def nothing(_backend: str, _passed: Passed) -> None:
    """What to keep where distances are all that is asked for."""


def collect(
    model: ZSLModel,
    stage: Stage,
    vectors: npt.NDArray[np.float32],
    *,
    batch: int = BATCH,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    team: Team | None = None,
) -> Collected:
    """Distances of the model with its own branch (Norse); see `walk`."""
    how: dict[str, Any] = {"batch": batch, "device": device, "progress": progress, "team": team}
    return walk(model, stage, vectors, {"": None}, keep=nothing, **how)[""].collected


def walk(
    model: ZSLModel,
    stage: Stage,
    vectors: npt.NDArray[np.float32],
    backends: Mapping[str, MotionBackend | None],
    *,
    keep: Callable[[str, Passed], T],
    batch: int = BATCH,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    team: Team | None = None,
) -> dict[str, Walked[T]]:
    """Run the model over the stage's evaluation splits; the host part once for all backends.

    The processes of a team take whole batches in turn, the very batches of one process, and add
    their distances up at the samples' global index; every process returns all of them.

    Args:
        model: its training mode is restored.
        stage: its `seen` and `unseen` splits are evaluated.
        vectors: `(classes, words)`.
        backends: each runs the spiking branch; None runs the model's own (Norse).
        keep: what is kept of a batch after the backend of that name (counts, spikes, embeddings);
            of a team, every process keeps that of its own batches. Samples are known by their place
            in the test, seen before unseen.
        batch: samples at once.
        device: where the host part runs.
        progress: called with (done, total) samples, each as often as there are backends.
        team: the processes that share the work; None: this one does all of it.
    """
    if not backends:
        return {}
    team = team or Alone()
    share = team.rank, team.size
    how: dict[str, Any] = {"batch": batch, "device": device, "progress": progress}
    found, kept, times = walk_share(model, stage, vectors, backends, share, keep=keep, **how)
    if team.size > 1:
        found = {name: _added(team, x, device) for name, x in found.items()}
        times = _added(team, times, device)
    assert np.all(times == 1), "a sample was evaluated twice or never"
    problem = problem_of(stage)
    return {name: Walked(Collected(x, problem), tuple(kept[name])) for name, x in found.items()}


def walk_share(
    model: ZSLModel,
    stage: Stage,
    vectors: npt.NDArray[np.float32],
    backends: Mapping[str, MotionBackend | None],
    share: tuple[int, int],
    *,
    keep: Callable[[str, Passed], T],
    batch: int = BATCH,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, list[T]], npt.NDArray[np.int64]]:
    """`walk` over every n-th batch: `share` is which of them, and n.

    Returns, by backend, distances `(head, sample, class)`, 0 where others know them, and what was
    kept; and how often each sample was evaluated here.
    """
    first_batch, step = share
    total = len(stage.seen) + len(stage.unseen)
    every = road.batches(stage, batch)
    found: dict[str, npt.NDArray[np.float64]] = {}
    kept: dict[str, list[T]] = {name: [] for name in backends}
    times = np.zeros(total, np.int64)
    with road.at_rest(model):
        words = road.words(model, vectors, device)
        # Each share runs at least one batch, so that all know the number of heads.
        for split, first, rows in every[first_batch::step] or every[:1]:
            parts = road.prepare(model, split, rows, first=first, device=device)
            mine = first_batch < len(every)
            times[parts.rows] += mine
            for number, (name, backend) in enumerate(backends.items(), 1):
                trace = road.trace_of(model, parts, backend)
                passed = Passed(parts, trace, road.finish(model, parts, trace))
                part = distances(passed.output, words).double().cpu().numpy()
                if name not in found:
                    found[name] = np.zeros((len(part), total, part.shape[2]))
                if mine:
                    found[name][:, parts.rows] = part
                    kept[name].append(keep(name, passed))
                if progress is not None:
                    done = int(parts.rows[0]) * len(backends) + len(rows) * number
                    progress(done, total * len(backends))
    return found, kept, times


def _added(team: Team, x: npt.NDArray[Any], device: torch.device | str) -> npt.NDArray[Any]:
    return np.asarray(team.total(torch.from_numpy(x).to(device)).cpu().numpy())


@dataclass(frozen=True)
class Evaluation:
    """Scores with the settings they were made with."""

    scores: Scores
    head_weight: float
    chance: float
    recalls: dict[int, float]  # class id -> recall in percent
    samples: int

    def as_json(self) -> dict[str, Any]:
        """The keys that `neurozsl evaluate --json` prints."""
        more = ("chance", "head_weight", "samples")
        return {**asdict(self.scores), **{key: getattr(self, key) for key in more}}


def choose(
    collected: Collected, betas: Sequence[float] = metrics.BETA_GRID
) -> tuple[Scores, float]:
    """Beta and head weight with the best HM; the first on ties. Only for validation data."""
    options = HEAD_WEIGHTS if len(collected.distance) > 1 else (0.0,)
    tried = [
        (metrics.search_beta(collected.combined(w), collected.problem, betas), w) for w in options
    ]
    return max(tried, key=lambda pair: pair[0].HM)


def evaluate(collected: Collected, *, beta: float, head_weight: float) -> Evaluation:
    """Score at settings that were chosen elsewhere (on validation data)."""
    distance, problem = collected.combined(head_weight), collected.problem
    scores = metrics.score(distance, problem, beta)
    predicted = metrics.predict(distance, problem, beta)
    ids = np.concatenate([problem.seen_ids, problem.unseen_ids])
    recalls = metrics.class_recalls(predicted, problem.label, ids) * 100
    return Evaluation(
        scores,
        head_weight,
        metrics.chance_hm(distance, problem, beta),
        {int(c): float(r) for c, r in zip(ids, recalls, strict=True)},
        len(problem.label),
    )
