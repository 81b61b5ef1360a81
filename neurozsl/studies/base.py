"""What every study does: claim a folder, make data sets, train runs in processes, summarise.

A study is one file beside this one with a class that keeps `Study`, and one line in the registry.
Seed s makes data set s and run s, so that variants are paired by seed. Finished runs in the
study's folder are kept, so a stopped study goes on where it was.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Protocol

from neurozsl.core import children
from neurozsl.core.errors import BadInput, NeuroZSLError
from neurozsl.core.folders import write_json
from neurozsl.core.lock import Lock
from neurozsl.core.places import check_place
from neurozsl.core.reading import parse_json, read_bytes, read_json, read_object
from neurozsl.studies.kept import check_data, check_run

StudyProgress = Callable[[float, int, str], None]
"""Done (a run that is in work counts by its share), in all, and what is being done."""
_LOOK_S = 0.5
_LARGEST_LOG = 2**24


@dataclass(frozen=True)
class StudySettings:
    """How large a study is."""

    name: str
    scene_biases: tuple[float, ...]
    seeds: int
    epochs: int
    test_size: int

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"study '{self.name}': {self.seeds} seeds, expected at least 1")


@dataclass(frozen=True)
class Table:
    """What a study prints."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Study(Protocol):
    """One study."""

    @property
    def scene_biases(self) -> tuple[float, ...]:
        """The biases that it runs at unless others are asked for."""

    def run(
        self, settings: StudySettings, *, out: Path, jobs: int, progress: StudyProgress | None
    ) -> dict[str, Any]:
        """Train what is missing in `out` and return the result, the content of `study.json`."""

    def tables(self, result: Mapping[str, Any]) -> list[Table]:
        """The result for people."""


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


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Make the folder of a study or benchmark; inside, no other process writes it.

    Raises:
        BadInput: it cannot be written, or another process is at it.
    """
    check_place(out / "definition.json", "study folder")
    with Lock(out, "study folder"):
        yield


def claim(settings: Any, out: Path) -> None:
    """Write the study's definition into its folder; refuse a folder with another one.

    settings: a dataclass, all that the runs in the folder depend on.

    Raises:
        BadInput: the folder holds another study.
    """
    path, wanted = out / "definition.json", json.loads(json.dumps(asdict(settings)))
    found = read_json(path, remedy="choose another --out") if path.exists() else wanted
    if found != wanted:
        raise BadInput(
            f"study folder '{out}': holds another study ({json.dumps(found)[:500]}); choose "
            "another --out"
        )
    write_json(path, wanted)


def data_folder(out: Path, bias: float, seed: int) -> Path:
    """Where the data set of a bias and seed lies."""
    return out / f"data-bias{bias}-seed{seed}"


def make_data(
    settings: StudySettings,
    out: Path,
    *,
    unbiased_val: bool = False,
    progress: StudyProgress | None = None,
) -> None:
    """Write the data sets that are missing, refuse others; unbiased_val: of `SyntheticConfig`."""
    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic

    for bias, seed in product(settings.scene_biases, range(settings.seeds)):
        folder = data_folder(out, bias, seed)
        config = SyntheticConfig(bias, unbiased_val, seed=seed, test_size=settings.test_size)
        if folder.exists():
            check_data(folder, config)
        else:
            write_synthetic(config, folder, progress=named(progress, folder.name))


def named(progress: StudyProgress | None, text: str) -> Callable[[int, int], None] | None:
    """Progress of one piece of work, whose reports have no text of their own."""
    return None if progress is None else lambda done, total: progress(done, total, text)


def train_all(jobs: Sequence[Job], *, at_once: int, progress: StudyProgress | None) -> None:
    """Train every job whose result is missing, `at_once` at the same time.

    Where one fails, what has not begun is not begun, and what runs is trained to its end. Where the
    study is ended from outside, its processes end too; each goes on later where it was.

    Raises:
        BadInput: another run lies in the place of one of them.
        NeuroZSLError: a training failed; its message is in the error.
    """
    for job in jobs:
        if job.kept is not None and (job.out / "run.json").exists():
            job.kept(job.out)
    processes: set[subprocess.Popen[str]] = set()
    with ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
        running = {pool.submit(_train, job, processes): job for job in jobs}
        try:
            _wait(running, progress)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, Exception):
                while not all(one.done() for one in running):  # one may just be starting
                    for process in tuple(processes):
                        process.terminate()
                    time.sleep(_LOOK_S)
            raise


def _wait(running: Mapping[Future[None], Job], progress: StudyProgress | None) -> None:
    """Return when all have ended, telling how far they are."""
    waiting = set(running)
    if progress is not None:
        progress(0, len(running), "")  # here it begins: what was done before shows in the next one
    while waiting:
        ended, waiting = wait(waiting, timeout=_LOOK_S, return_when="FIRST_COMPLETED")
        for one in ended:
            one.result()
        if progress is not None:
            in_work = [one for one in waiting if one.running()]
            done = len(running) - len(waiting) + sum(share_done(running[x].out) for x in in_work)
            names = sorted(running[one].label for one in in_work or ended)
            progress(round(done, 2), len(running), ", ".join(names))


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


def _train(job: Job, processes: set[subprocess.Popen[str]]) -> None:
    """Run one training, in `processes` while it runs; one thread, so that none disturbs another."""
    if (job.out / "result.json").exists():
        return
    command = [sys.executable, "-m", "neurozsl", "train"]
    begun = (job.out / "run.json").exists()
    command += ["--resume", str(job.out)] if begun else job.begin
    # Its stderr is read where it fails alone, and then nothing but the error is wanted.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NEUROZSL_PROGRESS": "off"}
    environment |= children.environment()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        processes.add(process)
        message = process.communicate()[1].strip()
        processes.remove(process)
    if process.returncode != 0:
        failed = BadInput if process.returncode == BadInput.exit_code else NeuroZSLError
        raise failed(
            f"training '{job.out}' ended with exit code {process.returncode}: {message[-500:]}"
        )


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, extremes and standard deviation over seeds."""
    return {
        "mean": mean(values),
        "min": min(values),
        "max": max(values),
        "sd": stdev(values) if len(values) > 1 else None,
        "values": list(values),
    }


def tables_by_bias(
    result: Mapping[str, Any],
    title: str,
    columns: tuple[str, ...],
    cells: Callable[[Mapping[str, Any]], tuple[str, ...]],
) -> list[Table]:
    """One table per scene bias: its rows as `cells`; `title` goes on after the sizes."""
    study, rows = result["study"], result["rows"]
    return [
        Table(
            f"scene bias {bias}: synthetic, {study['seeds']} seeds, {study['test_size']} test "
            f"samples{title}",
            columns,
            tuple(cells(row) for row in rows if row["scene_bias"] == bias),
        )
        for bias in study["scene_biases"]
    ]


def show_spread(row: Mapping[str, Any]) -> str:
    """Mean and extremes in one cell; of one run, or of equal ones, the value alone.

    >>> show_spread({"mean": 2.0, "min": 1.0, "max": 3.0}), show_spread(dict.fromkeys(
    ...     ("mean", "min", "max"), 2.0))
    ('2.0 (1.0 to 3.0)', '2.0')
    """
    if row["min"] == row["max"]:
        return f"{row['mean']:.1f}"
    return f"{row['mean']:.1f} ({row['min']:.1f} to {row['max']:.1f})"
