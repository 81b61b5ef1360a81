"""One process at a time writes a run folder; a lock ends with its process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.lock import NAME, Lock
from neurozsl.runs import run as runs
from neurozsl.runs.settings import RunSettings, write_settings
from neurozsl.training.protocol import TrainConfig

HOLD = """
import sys, time
from pathlib import Path
from neurozsl.core.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of this folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_that_another_process_writes_is_refused_with_who_it_is(tmp_path: Path) -> None:
    with holder(tmp_path / "run") as process:
        said = rf"process {process.pid} on {socket.gethostname()} since 2.*try again"
        with pytest.raises(BadInput, match=said):
            Lock(tmp_path / "run").take()
    write_settings(tmp_path / "run", RunSettings("mdft", {}, TrainConfig(), "data", "0" * 64, {}))
    with (
        holder(tmp_path / "run"),
        pytest.raises(BadInput, match=r"is being written by process.*--resume"),
    ):
        runs.train(tmp_path / "run")


def test_the_lock_of_a_killed_process_is_taken_over_and_nothing_is_left(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert json.loads((tmp_path / NAME).read_text())["pid"] == process.pid
    with Lock(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_host_left_is_refused_until_it_is_removed(tmp_path: Path) -> None:
    left = {"pid": 7, "host": "elsewhere", "since": "2026-01-02T03:04:05+00:00"}
    (tmp_path / NAME).write_text(json.dumps(left))
    with pytest.raises(BadInput, match=r"process 7 on elsewhere since 2026.*remove .*\.lock"):
        Lock(tmp_path).take()
    (tmp_path / NAME).unlink()
    with Lock(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b"{", b"x" * 10_000])
def test_a_damaged_lock_that_nobody_holds_is_taken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with Lock(tmp_path), pytest.raises(BadInput, match=f"process {os.getpid()}"):
        Lock(tmp_path).take()
    assert list(tmp_path.iterdir()) == []


def test_many_processes_in_turn_never_hold_it_together(tmp_path: Path) -> None:
    """The file is removed at every release, so a waiter may have opened one that is gone."""
    work = """
import sys
from pathlib import Path
from neurozsl.core.errors import BadInput
from neurozsl.core.lock import Lock
folder, done = Path(sys.argv[1]), 0
while done < 60:
    try:
        with Lock(folder):
            inside = folder / "inside"
            inside.mkdir()  # fails where another one is inside
            inside.rmdir()
            done += 1
    except BadInput:
        pass
"""
    command = [sys.executable, "-c", work, str(tmp_path)]
    crowd = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(x.communicate(timeout=120)[1], x.returncode) for x in crowd]
    assert ended == [("", 0)] * 4


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/run': cannot be written \(NotADirectoryError"):
        Lock(tmp_path / "file" / "run").take()


@pytest.mark.slow
def test_two_trainings_of_one_folder_at_once_give_one_run_and_one_refusal(
    tmp_path: Path, data_dir: Path
) -> None:
    options = ["--set", "motion_widths=[16,16,16]", "--set", "embed=16", "--set", "hidden=32"]
    command = [sys.executable, "-m", "neurozsl", "train", "--data", str(data_dir), *options]
    command += ["--epochs", "3", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    first = subprocess.Popen(command, env=environment, stderr=pipe, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "stage1").exists():
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)  # so that it cannot end before the second one looks
    resume = [sys.executable, "-m", "neurozsl", "train", "--resume", str(tmp_path / "run")]
    second = subprocess.run(
        resume, env=environment, stderr=pipe, text=True, check=False, timeout=120
    )
    first.send_signal(signal.SIGCONT)
    message = first.communicate(timeout=300)[1]
    assert first.returncode == 0, message
    assert second.returncode == 2 and f"process {first.pid} on" in second.stderr
    assert not (tmp_path / "run" / NAME).exists()
    assert runs.open_run(tmp_path / "run").result["test"]["samples"] == 96
