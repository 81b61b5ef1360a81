"""Files of a classifier's run, damaged: refused by name where it counts, nothing is changed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import run_command
from tests.factories.event_sets import recordings

Command = Callable[..., Any]
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a bit": lambda content: content[:-20] + bytes([content[-20] ^ 4]) + content[-19:],
    "text": lambda content: b"nothing of the kind\n" * 9,
    "zeros": lambda content: bytes(len(content)),
    "more": lambda content: content + b"\x00",
}
# The others of the same kind run in `make test-all`.
EACH = [
    pytest.param(name, marks=[] if name in ("cut", "a bit") else [pytest.mark.slow])
    for name in DAMAGES
]
FINISHED = ("run.json", "result.json", "network.nir", "test.npz")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set and a run of two epochs."""
    folder = tmp_path_factory.mktemp("classifier")
    found = recordings(folder / "recordings")
    commands: tuple[tuple[object, ...], ...] = (
        ("data", "build", "--events", found, "--labels", found / "labels.csv", "--bins", 4,
         "--size", "10x10", "--out", folder / "set"),
        ("train", "--network", "conv-if", "--data", folder / "set", "--out", folder / "run",
         "--epochs", 2, "--batch", 2),
    )  # fmt: skip
    for command in commands:
        ran = run_command(*command)
        assert ran.code == 0, ran.err[-2000:]
    return folder


def _state(folder: Path) -> dict[str, str]:
    return {
        str(x.relative_to(folder)): hashlib.sha256(x.read_bytes()).hexdigest()
        for x in sorted(folder.rglob("*"))
        if x.is_file()
    }


@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.parametrize("damage", EACH)
def test_a_damaged_file_of_a_finished_run_is_refused_by_name(
    name: str, damage: str, trained: Path, neurozsl: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    (run / name).write_bytes(DAMAGES[damage]((run / name).read_bytes()))
    before = _state(run)
    commands: tuple[tuple[object, ...], ...] = (
        ("evaluate", run),
        ("simulate", run),
        ("profile", run, "--chip", "speck2f"),
        ("export", run, "--target", "speck", "--out", tmp_path / "bundle"),
        ("train", "--resume", run),
        ("train", "--resume", run, "--qat", "speck2f", "--epochs", 1),
    )
    for command in commands:
        ran = neurozsl(*command)
        if ran.code == 0:  # read as JSON it is the same: a byte behind it, or one of white space
            assert name.endswith(".json") and damage == "more"
            continue
        assert ran.code == 2, (command, ran.err[-500:])
        assert "Traceback" not in ran.err and str(run) in ran.err
    assert _state(run) == before
    assert not (tmp_path / "bundle").exists() and not (tmp_path / "run-qat8").exists()


@pytest.mark.parametrize("name", ["stage1/last.safetensors", "run.json"])
@pytest.mark.parametrize("damage", EACH)
def test_a_damaged_file_of_an_unfinished_run_is_refused_by_name(
    name: str, damage: str, trained: Path, neurozsl: Command, tmp_path: Path
) -> None:
    run = trained / f"unfinished-{name.replace('/', '-')}-{damage.replace(' ', '-')}"
    shutil.copytree(trained / "run", run)
    for done in ("result.json", "network.nir", "test.npz"):
        (run / done).unlink()
    (run / name).write_bytes(DAMAGES[damage]((run / name).read_bytes()))
    before = _state(run)
    ran = neurozsl("train", "--resume", run)
    assert ran.code == 2, ran.err[-500:]
    assert "Traceback" not in ran.err and str(run) in ran.err
    assert _state(run) == before


def test_a_damaged_log_is_written_again(trained: Path, neurozsl: Command) -> None:
    run = trained / "log"
    shutil.copytree(trained / "run", run)
    (run / "result.json").unlink()
    (run / "log.jsonl").write_text("{")
    ran = neurozsl("train", "--resume", run)
    assert ran.code == 0, ran.err
    assert len((run / "log.jsonl").read_text().splitlines()) == 2
    assert _state(run)["result.json"]


def test_the_data_of_a_run_are_known_by_their_fingerprint(
    trained: Path, neurozsl: Command, tmp_path: Path
) -> None:
    run = tmp_path / "alone"  # copied alone: it needs no data to be used
    shutil.copytree(trained / "run", run)
    assert neurozsl("evaluate", run).code == 0
    assert neurozsl("simulate", run).code == 0
    ran = neurozsl("train", "--resume", run, "--qat", "speck2f", "--epochs", 1)
    assert ran.code == 2 and "needs the data set 'set' with the fingerprint" in ran.err
    assert "NEUROZSL_DATA=FOLDER" in ran.err
