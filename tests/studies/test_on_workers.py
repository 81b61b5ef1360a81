"""A study on a cluster whose worker is killed in the middle gives the table of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from neurozsl.cluster import client as clients
from neurozsl.cluster import run as cluster
from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.studies import benchmark, trainings
from neurozsl.studies.benchmark import BenchmarkSettings

pytest.importorskip("distributed")
SMALL = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}


def settings(data: Path, **changes: Any) -> BenchmarkSettings:
    options = {"mdft": SMALL, "avca": {"embed": 16, "hidden": 32}}
    asked = {"models": ("mdft", "avca"), "seeds": 2, "epochs": 6, "options": options}
    return BenchmarkSettings(data=data, **{**asked, **changes})


@pytest.mark.slow
def test_one_of_two_workers_is_killed_and_the_table_is_that_of_one_process(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = benchmark.run(settings(data_dir), out=tmp_path / "alone", on=ALONE)
    pids: dict[str, int] = {}
    real = clients.opened

    @contextmanager
    def opened(on: Workers, tasks: int) -> Iterator[Any]:
        with real(on, tasks) as client:
            pids.update(client.run(os.getpid))
            yield client

    monkeypatch.setattr(cluster, "opened", opened)
    killed: list[tuple[float, str]] = []

    def kill_one(done: float, total: int, names: str) -> None:
        if not killed and done > 0 and "," in names and len(pids) == 2:
            os.kill(next(iter(pids.values())), signal.SIGKILL)
            killed.append((done, names))

    out = tmp_path / "cluster"
    table = benchmark.run(settings(data_dir), out=out, on=Workers(2), progress=kill_one)
    assert killed, "no worker was killed while two trainings ran"
    assert table == alone
    logs = [(out / x.name / "log.jsonl").read_bytes() for x in (tmp_path / "alone").glob("*-seed*")]
    assert len(logs) == 4


def test_a_process_that_has_not_used_a_cluster_may_use_two() -> None:
    """Settings of `distributed` that end with the first one must leave its own behind."""
    script = (
        "from neurozsl.cluster.run import run\n"
        "from neurozsl.cluster.tasks import Call, Workers\n"
        "if __name__ == '__main__':\n"
        "    for turn in range(2):\n"
        "        tasks = [Call(str(x), f'{turn}-{x}', abs, (-x,)) for x in range(3)]\n"
        "        print(sorted(run(tasks, Workers(2))))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == 2 * "[(0, 0), (1, 1), (2, 2)]\n", ran.stderr
    assert ran.stderr == ""


@pytest.mark.parametrize("place", ["folder", "result"])
def test_a_worker_that_does_not_share_the_folder_ends_the_study(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    job = trainings.new_run("one", out=tmp_path / "run", data=data_dir, model="avca", seed=0)
    if place == "folder":
        with pytest.raises(BadInput, match=r"has no .*under the same path"):
            trainings.train_one(str(tmp_path / "elsewhere"), "run", job.begin)
        return

    def elsewhere(*_: object) -> None:
        """As on a machine that writes the run to its own disk."""

    monkeypatch.setattr(trainings, "train_one", elsewhere)
    with pytest.raises(BadInput, match="nothing of it is here"):
        trainings.train_all([job], on=ALONE, progress=None)


def test_what_is_done_is_told_and_not_asked_of_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> Sequence[Any]:
        raise AssertionError("a finished training was begun")

    monkeypatch.setattr(trainings, "train_one", never)
    (tmp_path / "result.json").write_text("{}")
    told: list[tuple[float, int, str]] = []
    job = trainings.Job("one", tmp_path, ())
    trainings.train_all([job], on=ALONE, progress=lambda *x: told.append(x))
    assert told == [(1, 1, "")]
