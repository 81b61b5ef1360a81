"""`neurozsl train --network`, and the other commands on what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from tests.classifier.conftest import OWN
from tests.cli.conftest import run_command
from tests.factories.event_sets import recordings

Command = Callable[..., Any]
SHORT = ("--epochs", 3, "--batch", 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set `bars`, a file `net.py` and a trained run `run`."""
    folder = tmp_path_factory.mktemp("networks")
    found = recordings(folder / "recordings")
    grid = EventGrid(8, size=(10, 10))
    write_event_set(found, found / "labels.csv", folder / "bars", grid=grid)
    (folder / "net.py").write_text(OWN)
    ran = run_command(
        "train", "--network", f"{folder / 'net.py'}:make", "--data", folder / "bars",
        "--out", folder / "run", *SHORT, "--augment", "shift=1,flip",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "accuracy of network.nir" in ran.err
    assert f"neurozsl export {folder / 'run'} --target speck" in ran.err
    assert f"neurozsl train --resume {folder / 'run'} --qat speck2f" in ran.err
    return folder


def test_a_finished_run_is_evaluated_simulated_profiled_and_exported(
    made: Path, neurozsl: Command, tmp_path: Path
) -> None:
    run = made / "run"
    told = neurozsl("evaluate", run, "--json").document
    right = told["accuracy"]["float"]["test"]["right"]
    simulated = neurozsl("simulate", run, "--json")
    assert simulated.code == 0, simulated.err
    [row] = [x for x in simulated.document["task"]["rows"] if x["name"] == "float"]
    assert (row["accuracy"]["right"], row["accuracy"]["samples"]) == (right, 2)
    profiled = neurozsl("profile", run, "--chip", "speck2f", "--report", tmp_path / "r.json")
    assert profiled.code == 0, profiled.err
    exported = neurozsl(
        "export", run, "--target", "speck", "--max-acc-drop", 100, "--out", tmp_path / "b", "--json"
    )
    assert exported.code == 0, exported.err
    assert exported.document["task"]["samples"] == 2
    again = neurozsl(
        "simulate", tmp_path / "b", "--input", run / "test.npz", "--labels", run / "test.npz"
    )
    assert again.code == 0, again.err


def test_a_finished_run_is_fine_tuned_and_pruned_beside_it(made: Path, neurozsl: Command) -> None:
    run = made / "run"
    ran = neurozsl("train", "--resume", run, "--qat", "speck2f", "--sparsity", 0.5, "--epochs", 1)
    assert ran.code == 0, ran.err
    told = json.loads((made / "run-qat8-sparse50" / "result.json").read_text())
    assert "speck2f, 8 bits" in told["accuracy"]
    assert told["density"] == pytest.approx(0.5, abs=0.02)
    again = neurozsl("train", "--resume", run, "--qat", "speck2f", "--sparsity", 0.5, "--epochs", 2)
    assert again.code == 2 and "exists with other settings" in again.err


def test_a_nir_file_is_trained_with_the_same_words(
    made: Path, neurozsl: Command, tmp_path: Path
) -> None:
    ran = neurozsl(
        "train", "--network", made / "run" / "network.nir", "--data", made / "bars", "--qat",
        "loihi2", "--bits", 6, "--out", tmp_path / "r", *SHORT,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "loihi2, 6 bits" in ran.err
    resumed = neurozsl("train", "--resume", tmp_path / "r")
    assert resumed.code == 0 and "loihi2, 6 bits" in resumed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--network", "conv-if"), "give --data EVENTS and --out RUN"),
        (("--network", "conv-if", "--data", "bars", "--out", "run"), "already exists"),
        (("--network", "conv-if", "--data", "bars", "--out", "x", "--model", "mdft"), "--model"),
        (("--network", "conv-if", "--data", "bars", "--out", "x", "--bits", "4"), "--qat"),
        (("--network", "conv-if", "--data", "bars", "--out", "x", "--dialect", "nir"), "--dialect"),
        (("--network", "conv-if", "--data", "bars", "--out", "x", "--readout", "first"), "readout"),
        (("--network", "conv-if", "--data", "bars", "--out", "x", "--lr", "nan"), "--lr"),
        (("--network", "conv-if", "--data", "bars", "--out", "x", "--batch", "0"), "batch 0"),
        (("--network", "conv-if", "--data", "run", "--out", "x"), "run"),
        (("--resume", "run", "--qat", "speck2f", "--bits", "9"), "bits"),
        (("--resume", "run", "--teacher", "run"), "--teacher"),
        (("--data", "bars", "--out", "x"), "is a set of event recordings"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_and_nothing_is_made(
    arguments: tuple[str, ...],
    said: str,
    made: Path,
    neurozsl: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(made)
    before = sorted(made.iterdir())
    ran = neurozsl("train", *arguments)
    assert ran.code == 2, ran.err
    assert said in ran.err and "Traceback" not in ran.err
    assert sorted(made.iterdir()) == before


def test_commands_for_zero_shot_models_say_what_the_run_is(made: Path, neurozsl: Command) -> None:
    for arguments in (
        ("evaluate", made / "run", "--bundle", made / "run"),
        ("benchmark", "--data", made / "bars", "--models", "mdft", "--out", made / "b"),
    ):
        ran = neurozsl(*arguments)
        assert ran.code == 2 and "Traceback" not in ran.err


def test_silent_samples_are_told_beside_the_accuracy(
    made: Path, neurozsl: Command, tmp_path: Path
) -> None:
    quiet = (
        OWN
        + """

def quiet(shape, classes):
    made = make(shape, classes)
    made[4].weight.data.zero_()
    made[4].bias.data.zero_()
    return made
"""
    )
    (tmp_path / "quiet.py").write_text(quiet)
    ran = neurozsl(
        "train", "--network", f"{tmp_path / 'quiet.py'}:quiet", "--data", made / "bars",
        "--out", tmp_path / "run", "--epochs", 1, "--lr", 1e-9,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    words = " ".join(ran.err.split())
    assert "no spike of the output in 2 of test, 4 of train, 2 of val" in words
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["silent"]["float"]["test"] == 2


def test_other_commands_read_classes_and_bits_as_the_training_did(
    made: Path, neurozsl: Command, tmp_path: Path
) -> None:
    ran = neurozsl(
        "train", "--network", f"{made / 'net.py'}:make", "--data", made / "bars",
        "--out", tmp_path / "run", *SHORT, "--readout", "last",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    simulated = neurozsl("simulate", tmp_path / "run", "--json")
    assert simulated.code == 0, simulated.err
    assert simulated.document["task"]["readout"] == "last"
    tuned = neurozsl(
        "train", "--resume", tmp_path / "run", "--qat", "speck2f", "--bits", 5, "--epochs", 1
    )
    assert tuned.code == 0, tuned.err
    bundle, test = tmp_path / "run-qat5" / "deploy" / "speck", tmp_path / "run-qat5" / "test.npz"
    assert f"neurozsl profile {bundle} --input {test} --labels {test}" in tuned.err
    exported = neurozsl(
        "export", tmp_path / "run-qat5", "--target", "speck", "--max-acc-drop", 100, "--json"
    )
    assert exported.code == 0, exported.err
    assert exported.document["task"]["readout"] == "last"
    names = [row["name"] for row in exported.document["task"]["rows"]]
    assert any(name.startswith("5 bits") for name in names), names
    assert (bundle / "manifest.json").is_file()


def test_the_next_commands_are_for_the_chip_that_was_trained_for(
    made: Path, neurozsl: Command, tmp_path: Path
) -> None:
    ran = neurozsl(
        "train", "--resume", made / "run", "--qat", "loihi2", "--epochs", 1, "--out",
        tmp_path / "loihi",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert f"neurozsl export {tmp_path / 'loihi'} --target lava --bits 8" in ran.err
    profiled = neurozsl("profile", tmp_path / "loihi", "--json")
    assert profiled.code == 0, profiled.err
    assert profiled.document["backend"].startswith("emulator"), profiled.document["backend"]
    beside = neurozsl("profile", tmp_path / "loihi", made / "run", "--compare")
    assert beside.code == 0, beside.err
    shown = beside.out + beside.err
    assert "accuracy" in shown and "drop from float" in shown
    assert not any(word in shown for word in (" HM ", " ZSL ", "host FLOPs", " verdict "))


def test_inspect_shows_the_network_of_a_run(made: Path, neurozsl: Command) -> None:
    ran = neurozsl("inspect", made / "run", "--json")
    assert ran.code == 0, ran.err
    assert ran.document["file"].endswith("network.nir")


def test_a_recording_is_not_written_over_itself(made: Path, neurozsl: Command) -> None:
    file = made / "recordings" / "train0.npz"
    before = file.read_bytes()
    ran = neurozsl("data", "events", file, "--out", file)
    assert ran.code == 2 and "is the source itself" in ran.err
    assert file.read_bytes() == before
