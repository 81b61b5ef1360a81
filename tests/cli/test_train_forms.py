"""`neurozsl train`: a new run, one to go on with, one to train on; each takes its own options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurozsl.cli.train_options import in_joules, torch_and_chip
from neurozsl.core.errors import BadInput

Command = Callable[..., Any]
Listing = Callable[[Path], dict[str, int]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sparsity", "1.5"), ("1.5", "share of zeros", "0.95")),
        (("--sparsity", "0.9", "--synops-budget", "100"), ("finds the sparsity itself",)),
        (("--structure", "neurons"), ("--structure", "--sparsity")),
        (("--sparsity", "0.9", "--structure", "rows"), ("'rows'", "weights, inputs, neurons")),
        (("--energy-budget", "much"), ("'much'", "1.5uJ")),
        (("--energy-budget", "1uJ"), ("--device loihi1",)),
        (("--energy-budget", "1uJ", "--device", "loihi9"), ("loihi9", "loihi1")),
        (("--device", "loihi1"), ("loihi1", "--energy-budget")),
        (("--synops-budget", "9", "--device", "loihi1"), ("loihi1", "leave it out")),
        (("--device", "cpu", "--device", "cuda"), ("2 devices",)),
        (("--synops-budget", "-4"), ("-4 SynOps", "above 0")),
        (("--synops-target", "4"), ("--synops-loss",)),
        (("--rate-loss", "1", "--rate-target", "2"), ("share 0..1",)),
        (("--rate-target", "0.1"), ("--rate-loss",)),
        (("--teacher-weight", "2"), ("--teacher RUN",)),
        (("--temperature", "2"), ("--teacher RUN",)),
        (("--teacher", "nowhere"), ("nowhere", "run.json")),
        (("--model", "avca", "--sparsity", "0.5"), ("AVCA", "no spiking branch")),
        (("--bits", "8"), ("--bits", "--resume")),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, tuple) and x[0].startswith("--") else "",
)
def test_what_cannot_be_asked_of_a_new_run_is_refused_before_a_folder_is_made(
    options: tuple[str, ...],
    said: tuple[str, ...],
    neurozsl: Command,
    workspace: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    ran = neurozsl("train", "--data", workspace / "data", "--out", out, "--epochs", 1, *options)
    assert ran.code == 2 and ran.out == ""
    [line] = ran.err.splitlines()
    assert all(part in line for part in said), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--epochs", "3"), "--epochs"),
        (("--seed", "3"), "--seed"),
        (("--lr", "1e-3"), "--lr"),
        (("--bits", "8"), "--bits"),
        (("--structure", "inputs"), "--structure"),
    ],
    ids=lambda x: x[0] if isinstance(x, tuple) else "",
)
def test_a_run_that_goes_on_takes_everything_from_its_folder(
    options: tuple[str, ...], said: str, neurozsl: Command, own_run: Path, listing: Listing
) -> None:
    before = listing(own_run)
    ran = neurozsl("train", "--resume", own_run, *options)
    assert ran.code == 2 and said in ran.err and str(own_run) in ran.err
    assert listing(own_run) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sparsity", "0.5", "--bits", "8"), "integers are those of --qat"),
        (("--sparsity", "0.5", "--preset", "paper"), "--preset"),
        (("--sparsity", "0.5", "--data", "x"), "--data"),
    ],
    ids=["bits", "preset", "data"],
)
def test_a_run_that_is_trained_on_takes_no_options_of_a_new_one(
    options: tuple[str, ...], said: str, neurozsl: Command, own_run: Path
) -> None:
    ran = neurozsl("train", "--resume", own_run, *options)
    assert ran.code == 2 and said in ran.err


@pytest.mark.slow
def test_a_teacher_that_cannot_teach_is_refused_before_a_folder_is_made(
    neurozsl: Command, own_run: Path, workspace: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    made = neurozsl(
        "data", "synth", "--out", other, "--seed", 7, "--train-per-class", 2, "--test-size", 48
    )
    assert made.code == 0, made.err
    new = ("--data", other, "--epochs", 1)
    on = ("--resume", own_run)
    for start, teacher, said in (
        (new, own_run, "was trained on other data"),
        (on, tmp_path / "nowhere", "no run.json there"),
    ):
        out = tmp_path / "taught"
        ran = neurozsl("train", *start, "--teacher", teacher, "--out", out)
        assert ran.code == 2 and said in ran.err, ran.err
        assert not out.exists()


@pytest.mark.slow
def test_a_finished_run_is_pruned_into_a_new_one_beside_it(
    neurozsl: Command, own_run: Path
) -> None:
    ran = neurozsl("train", "--resume", own_run, "--sparsity", 0.5, "--epochs", 1)
    assert ran.code == 0, ran.err
    made = own_run.with_name("run-sparse50")
    settings = json.loads((made / "run.json").read_text())
    assert settings["qat"] == {"rounding": None, "parent": "../run", "threshold": "trained"}
    assert settings["train"]["sparsity"]["density"] == 0.5
    profiled = neurozsl("profile", made, "--json")
    assert profiled.code == 0, profiled.err
    for layer in profiled.document["layers"]:
        weights = layer["neurons"] * layer["fan_in"]
        assert layer["nonzero_weights"] == pytest.approx(weights / 2, abs=1)
    scored = neurozsl("evaluate", made, "--json")
    assert scored.document["policy"] == settings["options"]["threshold"]


def test_energy_is_read_as_people_write_it() -> None:
    assert in_joules("1.5uJ") == in_joules("1.5 µJ") == in_joules("1500nJ") == 1.5e-6
    for text in ("", "J", "uJ", "1.5 W", "-"):
        with pytest.raises(BadInput, match="expected joules"):
            in_joules(text)


def test_a_device_is_one_of_torch_or_a_chip() -> None:
    assert torch_and_chip(None) == ("cpu", "")
    assert torch_and_chip(["lava", "cuda:1"]) == ("cuda:1", "loihi2")
    assert torch_and_chip(["my.toml"]) == ("cpu", "my.toml")
