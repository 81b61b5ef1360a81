"""SIGTERM: a command of its own process closes what it opened, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neurozsl.cli import ending
from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.export.backends.lava.run import group_members

Process = subprocess.Popen[str]
Start = Callable[..., Process]
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}


_MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a script inherit "ignore"
from neurozsl.cli import main
main()
"""


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    """Starts `neurozsl ARGUMENTS` as the leader of a process group, which ends with the test."""
    begun: list[Process] = []

    def start(*arguments: object, **environment: str) -> Process:
        begun.append(
            subprocess.Popen(
                [sys.executable, "-c", _MAIN, *map(str, arguments)],
                cwd=ROOT,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "NEUROZSL_PROGRESS": "json",
                    **environment,
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        if group_members(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def options(prefix: str = "") -> list[str]:
    """A model that trains in no time."""
    return [x for k, v in SMALL.items() for x in ("--set", f"{prefix}{k}={json.dumps(v)}")]


def wait_for(process: Process, there: Callable[[], bool]) -> None:
    """Wait until something is there, while the process lives."""
    end = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def last_error(process: Process) -> dict[str, Any]:
    """End the process as a cluster does; its exit code is asserted, its last event returned."""
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + 15, errors
    found: dict[str, Any] = json.loads(errors.splitlines()[-1])
    return found


def test_inside_sigterm_raises_and_afterwards_it_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ending.Terminated), ending.raising():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not issubclass(ending.Terminated, Exception)


@pytest.mark.parametrize("mode", ["bar", pytest.param("json", marks=pytest.mark.slow)])
def test_ctrl_c_is_one_word_in_every_mode(
    mode: str, start: Start, workspace: Path, tmp_path: Path
) -> None:
    train = ["train", "--data", workspace / "data", "--out", tmp_path / "run", "--epochs", 200]
    process = start(*train, *options(), NEUROZSL_PROGRESS=mode)
    wait_for(process, (tmp_path / "run" / "log.jsonl").exists)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert "interrupted" in errors.splitlines()[-1] and "Traceback" not in errors


def workers(folder: Path) -> list[str]:
    """Processes whose command line names a folder of a Lava run inside this one."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if f"{folder}/.neurozsl-lava@".encode() in file.read_bytes():
                found.append(file.parent.name)
    return found


@pytest.mark.lava
def test_a_simulation_that_is_ended_leaves_no_folder_and_no_process(
    lava_python: Path, lava_bundle: Path, start: Start, tmp_path: Path
) -> None:
    assert lava_python.exists()
    process = start("simulate", lava_bundle, "--backend", "lava", TMPDIR=str(tmp_path))
    wait_for(process, lambda: bool(workers(tmp_path)))
    error = last_error(process)
    assert workers(tmp_path) == []
    assert (error["event"], error["message"]) == ("error", "ended by SIGTERM")
    assert error["exit_code"] == 143
    assert list(tmp_path.glob("*neurozsl-*")) == []


@pytest.mark.slow
def test_a_study_that_is_ended_ends_its_trainings_where_they_can_go_on(
    start: Start, tmp_path: Path
) -> None:
    write_synthetic(SyntheticConfig(test_size=48, train_per_class=2), tmp_path / "data")
    study: list[object] = ["benchmark", "--data", tmp_path / "data", "--models", "mdft"]
    study += ["--out", tmp_path / "o", "--seeds", 3, "--epochs", 200, "--jobs", 2]
    study += options("mdft.")
    process = start(*study)
    begun = [tmp_path / "o" / f"mdft-by_name-seed{seed}" for seed in (0, 1)]
    wait_for(process, lambda: all((x / "stage1" / "last.safetensors").exists() for x in begun))
    assert len(group_members(process.pid)) == 3
    assert last_error(process)["message"] == "ended by SIGTERM"
    assert group_members(process.pid) == []
    assert sorted((tmp_path / "o").iterdir()) == begun
    assert not any((x / "result.json").exists() for x in begun)
