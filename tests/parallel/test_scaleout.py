"""One training in several processes, started as a user would: the numbers of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from neurozsl.training import checkpoint
from tests.cli.conftest import run_command
from tests.factories import runs as run_folders

SMALL = ("motion_widths=[32,16,16]", "embed=16", "hidden=32")
NO_DROPOUT = ("drop_enc=0", "drop_dec=0", "drop_word=0")
DDP = ("--devices", "2", "--strategy", "ddp")


def arguments(data_dir: Path, out: Path, sets: tuple[str, ...], *more: str) -> list[str]:
    found = ["train", "--data", str(data_dir), "--out", str(out), "--epochs", "2"]
    found += ["--precision", "64", "--dropout", "counter"]
    for one in sets:
        found += ["--set", one]
    return [*found, *more]


def begin(launcher: list[str], given: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "neurozsl", *given],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(given: list[str], launcher: tuple[str, ...] = ()) -> tuple[int, str]:
    process = begin(list(launcher), given)
    _, message = process.communicate(timeout=300)
    return process.returncode, message


def log(path: Path) -> list[dict[str, float]]:
    lines = [json.loads(x) for x in (path / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "samples_per_s"} for line in lines]


def check_same(one: Path, other: Path) -> dict[str, float]:
    """Metrics of every epoch to 1e-9, weights of every stage to 1e-8, and the same scores."""
    worst = {"log": 0.0, "weights": 0.0}
    for a, b in zip(log(one), log(other), strict=True):
        assert a.keys() == b.keys()
        worst["log"] = max(worst["log"], *(abs(a[k] - b[k]) for k in a))
    for name in ("stage1/last", "stage2/last", "model"):
        weights = [checkpoint.read(p / f"{name}.safetensors")[0] for p in (one, other)]
        for key, value in weights[0].items():
            if key.startswith("model/"):
                difference = (value.double() - weights[1][key].double()).abs().max()
                worst["weights"] = max(worst["weights"], float(difference))
    assert worst["log"] < 1e-9 and worst["weights"] < 1e-8, worst
    assert run_folders.scores(one) == run_folders.scores(other)
    return worst


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(
    tmp_path: Path, data_dir: Path, record_property: Any
) -> None:
    """Both stages, batches of an odd size, dropout: every number of the log, every weight."""
    one, two = tmp_path / "one", tmp_path / "two"
    odd = ("--batch", "33")
    assert run(arguments(data_dir, one, SMALL, *odd))[0] == 0
    code, message = run(arguments(data_dir, two, SMALL, *odd, *DDP))
    assert code == 0, message
    assert message.count("stage 1 chose") == 1  # the first process alone prints
    record_property("two_processes", check_same(one, two))
    refused = run(arguments(data_dir, two, SMALL, *odd, *DDP))
    assert refused[0] == 2
    assert refused[1].count("already exists") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [("--batch", "32"), ("--protocol", "avca", "--rule", "epoch_batches=4", "--batch", "31")],
    ids=["ours", "avca"],
)
def test_torchrun_trains_the_model_of_one_process(
    tmp_path: Path, data_dir: Path, more: tuple[str, ...], record_property: Any
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(arguments(data_dir, one, SMALL + NO_DROPOUT, *more))[0] == 0
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2")
    code, message = run(arguments(data_dir, two, SMALL + NO_DROPOUT, *more), launcher)
    assert code == 0, message
    record_property("torchrun", check_same(one, two))


@pytest.mark.slow
def test_the_loss_of_one_process_ends_the_others(tmp_path: Path, data_dir: Path) -> None:
    """The second of two processes is killed; the first ends, and a resumed run ends as ever."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    long = ("--epochs", "8")
    assert run(arguments(data_dir, whole, SMALL, *long))[0] == 0
    process = begin([], arguments(data_dir, broken, SMALL, *long, *DDP))
    deadline = time.monotonic() + 120
    while not (broken / "stage1" / "last.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process")
    [child] = [int(x) for x in children.read_text().split()]
    os.kill(child, signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (broken / "result.json").exists()
    code, message = run(["train", "--resume", str(broken), *DDP])
    assert code == 0, message
    check_same(whole, broken)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--devices", "2", "--dropout", "torch"), "use --dropout counter"),
        (("--devices", "2", "--batch", "1"), "raise --batch"),
        (("--devices", "0"), "--devices 0"),
        (("--strategy", "fsdp"), "auto, ddp"),
        (("--precision", "16"), "precision='16'"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_starts(
    tmp_path: Path, data_dir: Path, more: tuple[str, ...], message: str
) -> None:
    ran = run_command(*arguments(data_dir, tmp_path / "run", SMALL, *more))
    assert ran.code == 2 and message in ran.err
    assert not (tmp_path / "run").exists()
