"""What a user gets wrong: one clear error, the promised exit code, and nothing half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurozsl.training import checkpoint
from tests.factories import runs as run_folders

Command = Callable[..., Any]
Listing = Callable[[Path], dict[str, int]]


def check_error(ran: Any, *parts: str, code: int = 2) -> None:
    """One line on stderr, no traceback, nothing on stdout."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    [line] = ran.err.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_an_unknown_target_lists_those_there_are(
    neurozsl: Command, own_run: Path, listing: Listing
) -> None:
    before = listing(own_run)
    ran = neurozsl("export", own_run, "--target", "truenorth")
    check_error(ran, "'truenorth'", "nir, lava, sinabs")
    assert listing(own_run) == before


@pytest.mark.parametrize(
    "command",
    [("evaluate", "RUN"), ("export", "RUN", "--target", "nir"), ("profile", "RUN"),
     ("train", "--resume", "RUN")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_a_missing_run_is_named_and_not_made(
    command: tuple[str, ...], neurozsl: Command, tmp_path: Path
) -> None:
    missing = tmp_path / "nowhere"
    ran = neurozsl(*(missing if word == "RUN" else word for word in command))
    check_error(ran, str(missing), "run.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["verify", "simulate"])
def test_a_missing_bundle_is_named(command: str, neurozsl: Command, tmp_path: Path) -> None:
    check_error(neurozsl(command, tmp_path / "none"), str(tmp_path / "none"))


def test_a_truncated_nir_file(neurozsl: Command, lava_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.nir"
    content = (lava_bundle / "motion.nir").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    check_error(neurozsl("inspect", path), str(path), "truncated")
    check_error(neurozsl("inspect", tmp_path / "none.nir"), "no such file")


def test_a_bundle_with_a_changed_file(neurozsl: Command, lava_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "lava"
    shutil.copytree(lava_bundle, copy)
    graph = copy / "motion.nir"
    graph.write_bytes(graph.read_bytes()[:-100])
    check_error(neurozsl("verify", copy), "motion.nir")


@pytest.mark.parametrize(
    "command", [("evaluate",), ("export", "--target", "nir")], ids=lambda command: command[0]
)
def test_a_weight_that_is_not_a_number(
    command: tuple[str, ...], neurozsl: Command, own_run: Path, listing: Listing
) -> None:
    tensors, meta = checkpoint.read(own_run / "model.safetensors")
    tensors["model/branch.pathways.audio.0.linear.weight"][0, 0] = float("nan")
    checkpoint.write(own_run / "model.safetensors", tensors, meta)
    run_folders.sealed_again(own_run)
    before = listing(own_run)
    check_error(neurozsl(command[0], own_run, *command[1:]), "audio.0.linear.weight", "1 NaN")
    assert listing(own_run) == before


def relabel(folder: Path, split: str, keep: int, labels: tuple[int, int]) -> None:
    """In a split, give all but `keep` samples of class labels[0] to class labels[1]."""
    with h5py.File(folder / "dataset.h5", "r+") as file:
        values = np.asarray(file[split]["label"])
        rows = np.flatnonzero(values == labels[0])[keep:]
        values[rows] = labels[1]
        file[split]["label"][...] = values


@pytest.fixture
def own_data(workspace: Path, tmp_path: Path) -> Path:
    shutil.copytree(workspace / "data", tmp_path / "data")
    return tmp_path / "data"


def seen_classes(folder: Path) -> tuple[list[str], int, int]:
    """Class names, and the ids of the first two training classes."""
    with h5py.File(folder / "dataset.h5") as file:
        first, second = np.unique(file["train"]["label"])[:2]
        return list(file["classes"].asstr()[:]), int(first), int(second)


@pytest.mark.parametrize(
    ("kept", "splits", "said"),
    [
        (1, ("train",), "1 sample"),
        (0, ("train",), "no training sample"),
        (0, ("train", "val_seen", "test_seen"), "without a sample"),
    ],
    ids=["one training sample", "no training sample", "no sample at all"],
)
def test_a_class_that_cannot_be_learnt(
    kept: int,
    splits: tuple[str, ...],
    said: str,
    neurozsl: Command,
    own_data: Path,
    listing: Listing,
) -> None:
    names, first, second = seen_classes(own_data)
    for split in splits:
        relabel(own_data, split, kept, (first, second))
    before = listing(own_data.parent)
    ran = neurozsl("train", "--data", own_data, "--out", own_data.parent / "run", "--epochs", 1)
    check_error(ran, said, names[first])
    assert listing(own_data.parent) == before


def test_training_without_data_or_on_a_missing_folder(neurozsl: Command, tmp_path: Path) -> None:
    check_error(neurozsl("train"), "--data", "--resume")
    check_error(
        neurozsl("train", "--data", tmp_path / "no", "--out", tmp_path / "run"),
        str(tmp_path / "no"),
        "neurozsl data synth",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "gpt"), "mdft"),
        (("--set", "wings=2"), "wings"),
        (("--set", "motion"), "key=value"),
        (("--preset", "best"), "paper, deploy, sparse"),
        (("--epochs", "0"), "epochs=0"),
        (("--device", "tpu"), "cpu, cuda"),
    ],
    ids=lambda x: "=".join(x) if isinstance(x, tuple) else "",
)
def test_a_wrong_training_option(
    options: tuple[str, ...], said: str, neurozsl: Command, workspace: Path, tmp_path: Path
) -> None:
    ran = neurozsl("train", "--data", workspace / "data", "--out", tmp_path / "run", *options)
    check_error(ran, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("simulate", "BUNDLE", "--backend", "gpu"), "emulator"),
        (("export", "RUN", "--target", "lava", "--bits", "3"), "bits"),
        (("export", "RUN", "--target", "nir", "--threshold", "dynamic"), "dynamic"),
    ],
    ids=["backend", "bits", "threshold"],
)
def test_a_wrong_option_of_a_deployment(
    command: tuple[str, ...],
    said: str,
    neurozsl: Command,
    own_run: Path,
    lava_bundle: Path,
    listing: Listing,
) -> None:
    before = listing(own_run)
    places = {"RUN": own_run, "BUNDLE": lava_bundle}
    check_error(neurozsl(*(places.get(word, word) for word in command)), said)
    after = {name: size for name, size in listing(own_run).items() if name != "deploy"}
    assert after == before


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", "BUNDLE", "--limit", "0"),
        ("simulate", "BUNDLE", "--limit", "-3"),
        ("export", "RUN", "--target", "nir", "--samples", "0"),
        ("export", "RUN", "--target", "nir", "--threshold", "warm"),
        ("evaluate",),
        ("fly",),
    ],
    ids=" ".join,
)
def test_usage_errors_are_exit_code_2(
    command: tuple[str, ...], neurozsl: Command, own_run: Path, lava_bundle: Path, listing: Listing
) -> None:
    before = listing(own_run)
    places = {"RUN": own_run, "BUNDLE": lava_bundle}
    ran = neurozsl(*(places.get(word, word) for word in command))
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: neurozsl" in ran.err and "Traceback" not in ran.err
    assert listing(own_run) == before


def test_a_foreign_bundle_is_refused_by_the_run(
    neurozsl: Command, run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    """Same layout, other input scale: its spikes would be noise."""
    other = tmp_path / "run"
    shutil.copytree(run_dir, other, ignore=shutil.ignore_patterns("deploy"))
    settings = json.loads((other / "run.json").read_text())
    settings["data"] = str((run_dir / settings["data"]).resolve())
    (other / "run.json").write_text(json.dumps(settings))
    model = json.loads((other / "model.json").read_text())
    model["codes"]["audio"]["scale"] *= 2
    (other / "model.json").write_text(json.dumps(model))
    run_folders.sealed_again(other)
    check_error(neurozsl("evaluate", other, "--bundle", lava_bundle), "audio", "export the run")


def test_the_demo_removes_nothing_that_it_did_not_make(
    neurozsl: Command, own_run: Path, listing: Listing
) -> None:
    before = listing(own_run.parent)
    check_error(neurozsl("demo", "--out", own_run), str(own_run), "not made by the demo")
    assert listing(own_run.parent) == before


# ---------------------------------------------------------------- in a process of its own


def in_a_process(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neurozsl", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_process_ends_with_the_code_and_one_line(tmp_path: Path) -> None:
    done = in_a_process("evaluate", tmp_path / "none", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: run ")


@pytest.mark.slow
def test_colour_only_where_it_is_wanted(lava_bundle: Path) -> None:
    path = lava_bundle / "motion.nir"
    coloured = in_a_process("inspect", path, FORCE_COLOR="1", NO_COLOR="")
    plain = in_a_process("inspect", path, FORCE_COLOR="1", NO_COLOR="1")
    piped = in_a_process("inspect", path)
    assert [x.returncode for x in (coloured, plain, piped)] == [0, 0, 0]
    assert "\x1b[" in coloured.stderr
    assert not re.search(r"\x1b\[(\d+;)*[39][0-7]m", plain.stderr)  # bold may stay
    assert "\x1b" not in piped.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full (Linux)")
def test_a_document_that_stdout_cannot_take_is_one_error() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "neurozsl", "targets", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 2
    assert "stdout: the document cannot be written" in ran.stderr
    assert "Traceback" not in ran.stderr and "Exception ignored" not in ran.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell that closes streams")
@pytest.mark.parametrize(("closed", "code"), [(">&-", 2), ("2>&-", 0)])
def test_a_closed_stream_is_no_traceback(closed: str, code: int) -> None:
    ran = subprocess.run(
        ["sh", "-c", f'exec "$0" -m neurozsl targets --json {closed}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr
    assert "stdout: closed" in ran.stderr if code else ran.stdout.startswith("[")
