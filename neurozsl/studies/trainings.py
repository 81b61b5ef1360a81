"""Trainings of a study: each `neurozsl train` in a process of its own, started by a task.

Tasks run one after another here, on processes of this machine or on the workers of a Dask scheduler
(`neurozsl.cluster`), which then see the study's folder under the same path. What a task leaves is
the run's folder: a lost worker's training goes on elsewhere from its last epoch, with equal bits.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from neurozsl.cluster.run import run
from neurozsl.cluster.tasks import LOOK_S, Call, Workers, key_of, see_here, still_at_it
from neurozsl.core import children
from neurozsl.core.errors import BadInput, NeuroZSLError
from neurozsl.core.reading import parse_json, read_bytes, read_object
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.kept import check_run

_LARGEST_LOG: Final = 2**24


@dataclass(frozen=True)
class Job:
    """One training in a process of its own.

    begin: arguments of `neurozsl train` that make the run `out`; where it was begun already, it is
    continued instead. kept: refuses a run that lies there and is another one.
    """

    label: str
    out: Path
    begin: tuple[str, ...]
    kept: Callable[[Path], None] | None = None


def new_run(
    label: str,
    *,
    out: Path,
    options: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
    **flags: Any,
) -> Job:
    """The job that trains a model from new weights.

    options, rules: as in `--set`, `--rule`. flags: of `neurozsl train`; None leaves one out.
    """
    begin = ["--out", str(out)]
    for name, value in flags.items():
        begin += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    for flag, values in (("--rule", rules or {}), ("--set", options or {})):
        for key, value in values.items():
            begin += [flag, f"{key}={json.dumps(value)}"]
    kept = partial(check_run, options=options or {}, rules=rules, **flags)
    return Job(label, out, tuple(begin), kept)


def train_all(jobs: Sequence[Job], *, on: Workers, progress: StudyProgress | None) -> None:
    """Train every job whose result is missing.

    Where one fails, what has not begun is not begun, and on this machine what runs is trained to
    its end. Where the study is ended from outside, its processes end too; each goes on later where
    it was.

    Raises:
        BadInput: another run lies in the place of one of them, or a worker does not see the folder.
        MissingPart: `distributed` is needed and not installed.
        NeuroZSLError: a training failed; its message is in the error.
    """
    for job in jobs:
        if job.kept is not None and (job.out / "run.json").exists():
            job.kept(job.out)
    left = [job for job in jobs if not (job.out / "result.json").exists()]
    ended = len(jobs) - len(left)

    in_work: set[int] = set()

    def tell(just_ended: str = "") -> None:
        if progress is not None:
            shares = sum(share_done(left[index].out) for index in in_work)
            names = ", ".join(sorted(left[index].label for index in in_work)) or just_ended
            progress(round(ended + shares, 2), len(jobs), names)

    def look(begun: Collection[int]) -> None:
        in_work.clear()
        in_work.update(begun)
        tell()

    if progress is not None:
        progress(ended, len(jobs), "")  # here it begins: what was done before shows in the next one
    here = str(Path.cwd())
    calls = [
        Call(job.label, key_of(here, *job.begin), train_one, (here, str(job.out), job.begin))
        for job in left
    ]
    for index, _ in run(calls, on, look=look):
        if not (left[index].out / "result.json").exists():
            raise BadInput(
                f"training '{left[index].out}': its worker trained it and nothing of it is here; "
                "the workers need the study's folder under the same path (a shared file system)"
            )
        ended += 1
        in_work.discard(index)
        tell(left[index].label)


def share_done(run: Path) -> float:
    """Share of its epochs that a run has logged: 0 where it was not begun, 1 with its result.

    Two stages count as half each, though stage 2 often ends before its last epoch; a fine-tuning
    has one stage, number 3.
    """
    if (run / "result.json").exists():
        return 1.0
    try:
        epochs = read_object(run / "run.json", remedy="", keys={"train": dict})["train"]["epochs"]
        lines = read_bytes(run / "log.jsonl", remedy="", max_bytes=_LARGEST_LOG).splitlines()
        last = parse_json(lines[-1], "", remedy="", allow_nan=True)
        share: float = last["epoch"] / epochs
    except (BadInput, ArithmeticError, LookupError, TypeError):
        return 0.0  # nothing is logged yet; of damage the training tells
    halves = {1: share / 2, 2: (1 + share) / 2}
    return halves.get(last["stage"], share)


def train_one(here: str, out: str, begin: tuple[str, ...]) -> None:
    """The task: `neurozsl train` for the run `out`, seen from the folder `here`, until it ends.

    Raises:
        BadInput: it ended with exit code 2, or this machine has no folder `here`.
        NeuroZSLError: it ended with another one.
    """
    see_here(Path(here), what="the study's folder")
    folder = Path(here, out)
    if (folder / "result.json").exists():
        return
    command = [sys.executable, "-m", "neurozsl", "train"]
    command += ["--resume", out] if (folder / "run.json").exists() else begin
    # Its stderr is read where it fails alone, and then nothing but the error is wanted.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NEUROZSL_PROGRESS": "off"}
    environment |= children.environment()
    with subprocess.Popen(
        command,
        cwd=here,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            message = _message(process)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        failed = BadInput if process.returncode == BadInput.exit_code else NeuroZSLError
        raise failed(
            f"training '{out}' ended with exit code {process.returncode}: {message[-500:]}"
        )


def _message(process: subprocess.Popen[str]) -> str:
    """What it wrote to stderr, once it has ended."""
    while True:
        try:
            return process.communicate(timeout=LOOK_S)[1].strip()
        except subprocess.TimeoutExpired:
            still_at_it()
