"""Whatever kills a command ends what it started, and its folder is free for the next one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurozsl.cli import main
from neurozsl.core import children
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import temporary_folder
from neurozsl.core.lock import Lock
from neurozsl.studies.base import sole_writer

Process = subprocess.Popen[str]
Start = Callable[..., Process]
SMALL = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}
SHARED_MEMORY = Path("/dev/shm")
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def options(prefix: str = "") -> list[str]:
    """A model that trains in no time."""
    return [x for k, v in SMALL.items() for x in ("--set", f"{prefix}{k}={json.dumps(v)}")]


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    """Starts `neurozsl ARGUMENTS` in a session of its own, which ends with the test."""
    begun: list[Process] = []

    def start(*arguments: object, **environment: str) -> Process:
        command = [sys.executable, "-m", "neurozsl", *map(str, arguments)]
        begun.append(
            subprocess.Popen(
                command,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def mentioning(*words: object) -> list[int]:
    """Living processes whose command line has all of the words."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:  # it ended while we looked
            continue
        if all(os.fsencode(str(word)) in line for word in words):
            found.append(int(file.parent.name))
    return found


def wait_until(there: Callable[[], bool], seconds: float) -> bool:
    """Whether it came in time."""
    end = time.monotonic() + seconds
    while not (now := there()) and time.monotonic() < end:
        time.sleep(0.05)
    return now


@pytest.mark.slow
@linux
def test_trainings_end_with_a_killed_benchmark_whose_folder_nobody_else_could_write(
    start: Start, data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    study: list[object] = ["benchmark", "--data", data_dir, "--models", "mdft", "--out", out]
    study += ["--seeds", 2, "--epochs", 400, "--jobs", 2, *options("mdft.")]
    first = start(*study)
    runs = [out / f"mdft-by_name-seed{seed}" for seed in (0, 1)]
    assert wait_until(lambda: all((x / "log.jsonl").exists() for x in runs), 180), first.poll()
    trainings = mentioning("\0train\0", out)
    assert len(trainings) == 2
    second = start(*study)
    refused = second.communicate(timeout=180)[1]
    assert second.returncode == 2 and f"study folder '{out}': is being written by" in refused
    assert "Traceback" not in refused
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert wait_until(lambda: not mentioning("\0train\0", out), 20)
    with sole_writer(out):
        assert not any((x / "result.json").exists() for x in runs)


@pytest.mark.slow
@linux
def test_the_processes_of_one_training_end_with_the_first(
    start: Start, data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train = ["train", "--data", data_dir, "--out", out, "--epochs", 400, "--devices", 2]
    process = start(*train, *options())
    assert wait_until((out / "log.jsonl").exists, 180), process.poll()
    assert len(mentioning("\0train\0", out)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not mentioning("\0train\0", out), 20)


@pytest.mark.lava
@linux
def test_a_killed_simulation_leaves_no_process_no_shared_memory_and_no_folder(
    lava_python: Path, lava_bundle: Path, start: Start, tmp_path: Path
) -> None:
    assert lava_python.exists()
    before = set(SHARED_MEMORY.iterdir())
    process = start("simulate", lava_bundle, "--backend", "lava", TMPDIR=str(tmp_path))
    worker = (tmp_path, "run_lava.py")
    assert wait_until(lambda: len(mentioning(*worker)) > 3, 180)  # one for every Lava Process
    assert wait_until(lambda: len(set(SHARED_MEMORY.iterdir()) - before) > 3, 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not mentioning(*worker), 10)
    assert wait_until(lambda: set(SHARED_MEMORY.iterdir()) <= before, 10)
    left = list(tmp_path.glob(".neurozsl-lava@*"))
    assert len(left) == 1  # nobody was there to remove it: the next one does
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        with temporary_folder("neurozsl-lava") as own:
            assert list(tmp_path.glob(".neurozsl-lava@*")) == [own]


def test_a_child_knows_its_parent_and_its_own_children_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "import os; from neurozsl.core.children import *; end_with_parent(); "
        "print(VARIABLE in os.environ)"
    )
    environment = {**os.environ, **children.environment()}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
    orphan = {**environment, children.VARIABLE: "1" if os.getpid() != 1 else "2"}
    ended = subprocess.run([sys.executable, "-c", code], env=orphan, check=False)
    assert ended.returncode == -signal.SIGKILL
    with children.inherited():
        assert os.environ[children.VARIABLE] == str(os.getpid())
    assert children.VARIABLE not in os.environ


@linux
def test_where_the_system_does_not_tell_the_parent_is_looked_for(tmp_path: Path) -> None:
    # The watch of macOS, with a parent in between that dies.
    child = (
        "import sys, time; sys.platform = 'darwin'; from neurozsl.core.children import *; "
        f"end_with_parent(); open({str(tmp_path / 'begun')!r}, 'w'); time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys, time; from neurozsl.core import children; "
        f"subprocess.Popen([sys.executable, '-c', {child!r}, {str(tmp_path)!r}], "
        "env={**os.environ, **children.environment()}); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        assert wait_until((tmp_path / "begun").exists, 30)
        process.kill()
    assert wait_until(lambda: not mentioning("darwin", tmp_path), 20)


def test_a_study_is_refused_while_its_folder_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lock(tmp_path, "study folder"):
        with pytest.raises(BadInput, match="is being written by process"), sole_writer(tmp_path):
            pass
        arguments = ["neurozsl", "benchmark", "--study", "motion", "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 2
    assert "is being written by process" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
