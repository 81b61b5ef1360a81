"""What the machine refuses is one message with path, cause, remedy; a bug keeps its traceback."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neurozsl.cli import edge
from neurozsl.core.folders import whole_file, whole_folder, write_json

Command = Callable[..., Any]
FULL = Path("/dev/full")


@contextmanager
def limit(kind: int, value: int) -> Iterator[None]:
    """A limit of the system for this process; Python ignores SIGXFSZ, so a write fails instead."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def told(work: Callable[[], object]) -> str:
    """The message for what `work` raises."""
    caught: Exception | None = None
    try:
        work()
    except Exception as error:
        caught = error
    assert caught is not None
    message = edge.foreseen(caught)
    assert message is not None, repr(caught)
    assert message.exit_code == 2
    return str(message)


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EIO,
        errno.EISDIR,
        errno.ENOENT,
    ],
)
def test_each_number_of_the_system_gives_path_cause_and_remedy(number: int) -> None:
    message = edge.foreseen(OSError(number, os.strerror(number), "some/place"))
    assert str(message).startswith(f"'some/place': {os.strerror(number)}; ")
    assert len(str(message).partition("; ")[2]) > 10


@pytest.mark.parametrize(
    "bug",
    [
        ValueError("No space left on device"),
        KeyError("a"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError("no number"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        AssertionError(),
    ],
)
def test_what_is_a_bug_is_no_message(bug: Exception) -> None:
    assert edge.foreseen(bug) is None


def test_files_that_grow_too_large_are_told_whatever_library_writes_them(tmp_path: Path) -> None:
    def text() -> None:
        with whole_file(tmp_path / "log.jsonl") as part:
            part.write_text("x" * 100_000)

    def tensors() -> None:
        with whole_file(tmp_path / "model.safetensors") as part:
            save_file({"w": torch.zeros(100_000)}, part)

    def arrays() -> None:
        with whole_folder(tmp_path / "set") as made, h5py.File(made / "dataset.h5", "w") as file:
            file["a"] = np.zeros(100_000)

    def numbers() -> None:
        with whole_file(tmp_path / "golden.npz") as part, part.open("wb") as stream:
            np.savez(stream, a=np.zeros(100_000))

    works = {"log.jsonl": text, "model.safetensors": tensors, "set": arrays, "golden.npz": numbers}
    for name, work in works.items():
        with limit(resource.RLIMIT_FSIZE, 10_000):
            message = told(work)
        assert message.startswith(f"'{tmp_path / name}': File too large; raise the limit"), message
    assert list(tmp_path.iterdir()) == []


def test_too_many_open_files_are_told(tmp_path: Path) -> None:
    used = len(os.listdir("/proc/self/fd")) if Path("/proc").exists() else 64

    def work() -> None:
        with ExitStack() as kept:
            for number in range(used + 64):
                kept.enter_context((tmp_path / str(number)).open("w"))

    with limit(resource.RLIMIT_NOFILE, used + 16):
        message = told(work)
    assert "Too many open files; raise the limit of open files (ulimit -n)" in message


def test_a_name_that_is_too_long_and_a_circle_of_links_are_told(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    message = told(lambda: write_json(tmp_path / ("n" * 300) / "run.json", {}))
    assert "File name too long; give a shorter name" in message
    message = told(lambda: write_json(tmp_path / "circle" / "run.json", {}))
    assert f"'{tmp_path / 'circle'}" in message and "circle; give the place itself" in message


def test_memory_that_is_not_there_is_told_by_numpy_and_by_torch() -> None:
    message = told(lambda: np.zeros((2**50, 8)))
    assert message.startswith("not enough memory (Unable to allocate 64.0 PiB")
    assert told(lambda: torch.zeros(2**50)).startswith("not enough memory; free memory")


_RUN = """
import sys
sys.argv = ["neurozsl", *sys.argv[1:]]
import neurozsl.cli as cli
from neurozsl.cli import targets
import typer
def broken() -> None:
    {line}
cli.app.command("break")(broken)
cli.main()
"""


def run(line: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of one line, with the end that every command has."""
    return subprocess.run(
        [sys.executable, "-c", _RUN.format(line=line), *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
        encoding="utf-8",
    )


@pytest.mark.parametrize("mode", ["bar", "json", "off"])
def test_a_full_disk_ends_a_command_with_2_and_a_bug_with_1_and_its_traceback(mode: str) -> None:
    full = run("raise OSError(28, 'No space left on device', 'a/b')", "break", "--progress", mode)
    assert full.returncode == 2 and full.stdout == "" and "Traceback" not in full.stderr
    assert "'a/b': No space left on device; make space" in full.stderr
    if mode == "json":
        (event,) = map(json.loads, full.stderr.splitlines())
        assert (event["event"], event["exit_code"]) == ("error", 2) and "traceback" not in event
    else:
        assert len(full.stderr.splitlines()) == 1
    bug = run("{}['a']", "break", "--progress", mode)
    assert bug.returncode == 1 and "Traceback" in bug.stderr and "KeyError" in bug.stderr


@pytest.mark.parametrize("settings", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_streams_that_are_not_utf_8_get_escapes(settings: dict[str, str]) -> None:
    line = (
        "from neurozsl.cli import console; console.show_table('\\xb5', ('J',), [('1 \\xb5J',)]); "
        "console.say('1 \\xb5J \\udcff'); console.emit('[\"\\xb5 \\U0001f600 \\udcff\"]')"
    )
    ended = run(line, "break", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", **settings)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == ["µ \U0001f600 \udcff"]
    assert "1 \\u00b5J" in ended.stderr or "1 \\xb5J" in ended.stderr
    helped = run("pass", "train", "--help", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", **settings)
    assert helped.returncode == 0 and "--data" in helped.stdout, helped.stderr


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_document_for_a_full_disk_is_told(neurozsl: Command) -> None:
    with FULL.open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "neurozsl", "targets", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2 and "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
