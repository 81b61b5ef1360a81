"""Chips and targets are understood by each other's names; an old name of an option says the new."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neurozsl.cli.benchmark_options import DataOptions
from neurozsl.deploy import finetune
from neurozsl.hardware.chips import CHIPS
from tests.factories import network_files as files

Command = Callable[..., Any]


class Stopped(Exception):
    """Raised by a stand-in once it knows what was asked of it."""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Runs on both chips: neurons without leak."""
    return files.write(tmp_path / "net.nir", files.dense("IF"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the builder of bundles is asked, which stands still."""
    found: dict[str, Any] = {}

    def build_network_bundle(network: Any, **options: Any) -> Any:
        found.update(options)
        raise Stopped

    name = "neurozsl.export.network.build_network"
    stand_in = ModuleType(name)
    stand_in.build_network_bundle = build_network_bundle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, stand_in)
    return found


@pytest.mark.parametrize(
    ("said", "meant"), [("loihi2", "lava"), ("speck2f", "speck"), ("lava", "lava"), ("nir", "nir")]
)
def test_a_target_is_understood_by_its_chip(
    said: str, meant: str, neurozsl: Command, network: Path, asked: dict[str, Any]
) -> None:
    with pytest.raises(Stopped):
        neurozsl("export", network, "--target", said)
    assert (asked["target"], asked["out_dir"]) == (meant, network.parent / "net.deploy" / meant)


def test_a_run_is_exported_to_the_target_of_a_chip(neurozsl: Command, own_run: Path) -> None:
    lenient = ("--samples", 2, "--max-hm-drop", 100)
    ran = neurozsl("export", own_run, "--target", "loihi2", *lenient)
    assert ran.code == 0, ran.err
    [bundle] = (own_run / "deploy").iterdir()
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (bundle.name, manifest["target"], manifest["chip"]) == ("lava", "lava", "loihi2")
    assert f"neurozsl verify {bundle}" in ran.err


@pytest.mark.parametrize(("said", "meant"), [("lava", "loihi2"), ("speck", "speck2f")])
def test_a_chip_is_understood_by_its_target(
    said: str, meant: str, neurozsl: Command, network: Path
) -> None:
    fed = ("--poisson", 0.3, "--samples", 1, "--steps", 5, "--chip", said)
    shown = neurozsl("simulate", network, *fed, "--backend", "emulator")
    assert shown.code == 0 and f"integers of {meant}" in " ".join(shown.err.split())
    assert f"--chip {meant}" in shown.err  # what comes next names the chip itself
    document = neurozsl("profile", network, *fed, "--json").document
    assert document["chip"] == meant


def test_fine_tuning_and_benchmarks_understand_both(
    neurozsl: Command, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []

    def create(run: Any, *, rounding: Any, **options: Any) -> Any:
        found.append(rounding)
        raise Stopped

    monkeypatch.setattr(finetune, "create", create)
    for name in ("lava", "loihi1", "none"):
        with pytest.raises(Stopped):
            neurozsl("train", "--resume", run_dir, "--qat", name, "--scale-rule", "mse")
    assert [x and (x.chip, x.scale) for x in found] == [("loihi2", "mse"), ("loihi1", "mse"), None]
    assert DataOptions(targets="loihi2, speck2f,nir").names() == ("lava", "speck", "nir")


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("export NET --target truenorth", ("nir, lava, sinabs, speck", "loihi2, speck2f")),
        ("simulate NET --poisson 0.1 --backend emulator --chip gpu", (*CHIPS, "lava, speck")),
        ("profile NET --poisson 0.1 --chip nir", (*CHIPS, "lava, speck")),
        ("profile NET --poisson 0.1 --device gpu", (*CHIPS, "lava, speck", ".toml")),
        ("profile NET --poisson 0.1 --device lava", ("loihi2", "leave it out")),
        ("train --resume RUN --qat nir", (*CHIPS, "lava, speck")),
        ("benchmark --data RUN --targets gpu", ("nir, lava, sinabs, speck", "loihi2, speck2f")),
    ],
)
def test_an_unknown_name_lists_all_that_are_understood(
    command: str, known: tuple[str, ...], neurozsl: Command, network: Path, run_dir: Path
) -> None:
    places = {"NET": network, "RUN": run_dir}
    ran = neurozsl(*(places.get(word, word) for word in command.split()))
    assert (ran.code, ran.out) == (2, "")
    line = ran.err.splitlines()[-1]
    assert line.startswith("error: ") and [x for x in known if x not in line] == []


@pytest.mark.parametrize("option", ["--calibration=mse", "--calibration mse", "--scale-rule mse"])
def test_the_scale_rule_is_understood_by_its_old_name_which_says_the_new_one(
    option: str,
    neurozsl: Command,
    network: Path,
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr("neurozsl.cli.renamed.say", told.append)
    with pytest.raises(Stopped):
        neurozsl("export", network, "--target", "lava", *option.split())
    assert asked["scale"] == "mse"
    old = option.startswith("--calibration")
    assert told == ["--calibration is called --scale-rule now; the old name still works"] * old


def test_the_old_name_is_said_in_one_line_and_is_no_longer_in_the_help(
    neurozsl: Command, run_dir: Path
) -> None:
    for command in ("export", "train"):
        text = neurozsl(command, "--help").out
        assert "--scale-rule" in text and "--calibration" not in text
    ran = neurozsl("train", "--resume", run_dir, "--calibration", "max", "--qat", "gpu")
    assert ran.code == 2
    assert ran.err.splitlines()[0].startswith("--calibration is called --scale-rule now")
