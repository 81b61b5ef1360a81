"""The test of a run, batch by batch on workers that open the run from the same paths.

A task is one batch of the test, the very batches of one process, so the distances are the same
bits. A worker opens run and bundle once; one that finds other files there is told by digests.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurozsl.cluster.run import run as run_tasks
from neurozsl.cluster.tasks import Call, Workers, key_of, one_thread, see_here, worker
from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import MotionBackend
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.manifest import NAME as MANIFEST
from neurozsl.runs.run import Run, open_run
from neurozsl.runs.stored import WEIGHTS
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import BATCH, Collected, nothing, problem_of, walk_share

Using = tuple[Path, str]
"""Folder of a bundle, and which of its backends."""
Rows = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float64]


def files_of(run: Run, using: Using | None) -> str:
    """Digest of the files that a test is of."""
    bundle = "" if using is None else sha256(using[0] / MANIFEST)
    return key_of(run.digest or sha256(run.path / WEIGHTS), run.settings.data_fingerprint, bundle)


def collected_on(
    run: Run, using: Using | None, on: Workers, progress: Progress | None = None
) -> Collected:
    """Distances of the test, with the run's own branch or one of a bundle.

    Raises:
        BadInput: a worker does not see the run, or has another one; or its data set is not here.
        MissingPart, NeuroZSLError: as `neurozsl.cluster.run.run`.
    """
    stage, files = run.data.stage(2), files_of(run, using)
    batches = len(road.batches(stage, BATCH))
    data = None if run.data_path is None else run.data_path.resolve()
    named = None if using is None else (using[0].resolve(), using[1])
    given = (run.path.resolve(), data, named, files)
    calls = [
        Call(f"batch {k + 1} of {batches}", key_of("test", *given, k), _batch, (*given, k, batches))
        for k in range(batches)
    ]
    total = len(stage.seen) + len(stage.unseen)
    whole: Distances | None = None
    done = 0
    for _, (rows, distance) in run_tasks(calls, on):
        if whole is None:
            whole = np.zeros((len(distance), total, distance.shape[2]))
        whole[:, rows] = distance
        done += len(rows)
        if progress is not None:
            progress(done, total)
    assert whole is not None and done == total, "a sample was evaluated twice or never"
    return Collected(whole, problem_of(stage))


def _batch(
    path: Path, data: Path | None, using: Using | None, files: str, index: int, batches: int
) -> tuple[Rows, Distances]:
    """The task: rows of the test, and their distances `(head, row, class)`."""
    run, motion = opened(path, data, using, files)
    with one_thread():
        found, _, times = walk_share(
            run.model,
            run.data.stage(2),
            run.data.vectors,
            {"": motion},
            (index, batches),
            keep=nothing,
        )
    rows = np.flatnonzero(times)
    return rows, found[""][:, rows]


@cache
def opened(
    path: Path, data: Path | None, using: Using | None, files: str
) -> tuple[Run, MotionBackend | None]:
    """A worker's own run and backend, opened once.

    Raises:
        BadInput: they are not there, or are others.
    """
    asked = (path, data, None if using is None else using[0])
    see_here(*(x for x in asked if x is not None), what="run, bundle and data")
    with one_thread():
        run = open_run(path, data=data)
        if files_of(run, using) != files:
            raise BadInput(
                f"{worker()}: '{path}' or its bundle is another one there; give it the same files"
            )
        motion = None if using is None else open_bundle(using[0]).backend(using[1])
    return run, motion
