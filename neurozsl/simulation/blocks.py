"""Samples of a run on one backend, block by block: here, or on workers that open the same files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from neurozsl.cluster.run import run as run_tasks
from neurozsl.cluster.tasks import Call, Workers, key_of, one_thread
from neurozsl.core.signals import MotionBackend, Trace
from neurozsl.data.batch import Split
from neurozsl.deploy.anytime import Margin, finisher_of, rules
from neurozsl.deploy.on_workers import files_of, opened
from neurozsl.deploy.samples import asked_problem, shown_samples
from neurozsl.export.bundle.bundle import Bundle, open_bundle
from neurozsl.models.base import distances
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import weighed
from neurozsl.scoring.metrics import predict
from neurozsl.scoring.road import Rows

BLOCK: Final = 64  # samples at once: bounds memory, and is what a worker takes


@dataclass(frozen=True)
class Prediction:
    """One sample: its name, the class the deployed model chose, and the true one.

    steps: after which it was stopped; None where all ran.
    """

    sample: str
    predicted: str
    true: str
    steps: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Its fields; steps where it was stopped."""
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True, eq=False)
class BlockResult:
    """What a block of samples gave. seconds: of the backend. stopped_at: margin, if any."""

    trace: Trace
    predictions: tuple[Prediction, ...]
    seconds: float
    stopped_at: float | None


def blocks_of(taken: Sequence[tuple[Split, Rows]]) -> list[tuple[Split, Rows]]:
    """The samples in blocks of at most `BLOCK`."""
    return [
        (split, rows[start : start + BLOCK])
        for split, rows in taken
        for start in range(0, len(rows), BLOCK)
    ]


class BlockRunner:
    """A run around the backend of a bundle: what comes before its branch, and what after."""

    def __init__(
        self, run: Run, bundle: Bundle, motion: MotionBackend, margin: Margin | None
    ) -> None:
        """margin: as in `simulate`."""
        policy = bundle.spec.policy
        self._run, self._motion = run, motion
        self._problem = asked_problem(run)
        self._rule = None if margin is None else rules(run, (margin,), policy)[0]
        self._finish = finisher_of(run, policy)

    def blocks(self, count: int) -> Iterator[BlockResult]:
        """Every block of `count` samples in turn."""
        for split, rows in blocks_of(shown_samples(self._run, count)):
            yield self.block(split, rows)

    def block(self, split: Split, rows: Rows) -> BlockResult:
        """Run these samples."""
        run, rule = self._run, self._rule
        with road.at_rest(run.model):
            words = road.words(run.model, run.data.vectors)
            parts = road.prepare(run.model, split, rows)
            assert parts.chip_input is not None  # the bundle belongs to the run
            start = time.perf_counter()
            trace = self._motion(parts.chip_input).to_numpy()
            seconds = time.perf_counter() - start
            steps: Sequence[int | None] = [None] * len(parts.rows)
            if rule is None:
                heads = distances(road.finish(run.model, parts, trace), words).double().numpy()
                distance = weighed(heads, run.selected.head_weight)
            else:
                every = self._finish.every_step(split, parts.rows, parts, trace)
                ran = every.stopped(rule.stopping, self._problem, run.selected.beta)
                distance, trace, steps = every.distance_at(ran), trace.stopped(ran), ran.tolist()
        chosen = predict(distance, self._problem, run.selected.beta)
        names = run.data.classes
        predictions = tuple(
            Prediction(split.names[row], names[c], names[split.label[row]], ran_for)
            for row, c, ran_for in zip(parts.rows, chosen, steps, strict=True)
        )
        stopped_at = None if rule is None else rule.stopping.threshold
        return BlockResult(trace, predictions, seconds, stopped_at)


def blocks_on(
    run: Run, bundle: Bundle, backend: str, margin: Margin | None, count: int, on: Workers
) -> Iterator[tuple[int, BlockResult]]:
    """Workers' (index of the block, what it gave), as they are ready.

    Raises:
        BadInput: a worker does not see run or bundle, or has other ones.
        MissingPart, NeuroZSLError: as `neurozsl.cluster.run.run`.
    """
    data = None if run.data_path is None else run.data_path.resolve()
    using = bundle.path.resolve(), backend
    given = (run.path.resolve(), data, using, files_of(run, using))
    blocks = len(blocks_of(shown_samples(run, count)))
    calls = [
        Call(
            f"samples, block {k + 1} of {blocks}",
            key_of("simulate", *given, margin, count, k),
            _block,
            (*given, margin, count, k),
        )
        for k in range(blocks)
    ]
    yield from run_tasks(calls, on)


def _block(
    path: Path,
    data: Path | None,
    using: tuple[Path, str],
    files: str,
    margin: Margin | None,
    count: int,
    index: int,
) -> BlockResult:
    with one_thread():
        host, run = _host(path, data, using, files, margin)
        return host.block(*blocks_of(shown_samples(run, count))[index])


@cache
def _host(
    path: Path, data: Path | None, using: tuple[Path, str], files: str, margin: Margin | None
) -> tuple[BlockRunner, Run]:
    """A worker's own, made once."""
    run, motion = opened(path, data, using, files)
    assert motion is not None
    return BlockRunner(run, open_bundle(using[0]), motion, margin), run
