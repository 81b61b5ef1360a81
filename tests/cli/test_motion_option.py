"""`neurozsl train --motion`: what it stores, and the models that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

SMALL = ("motion_maps=[2,3]", "motion_widths=[8,4]", "embed=16", "hidden=16")


@pytest.mark.parametrize("profile", ["", "speck"])
def test_pixel_motion_is_stored_as_options_of_the_model(
    profile: str, data_dir: Path, tmp_path: Path, neurozsl: Command
) -> None:
    sets = [part for option in SMALL for part in ("--set", option)]
    chip = ("--motion-profile", profile) if profile else ()
    train = ("train", "--data", data_dir, "--out", tmp_path / "run", "--epochs", 1)
    ran = neurozsl(*train, "--batch", 64, "--motion", "pixel", *chip, *sets)
    assert ran.code == 0, ran.err
    options = json.loads((tmp_path / "run" / "run.json").read_text())["options"]
    assert (options["events"], options["motion_encoder"]) == ("pixel", "conv")
    assert options["motion_maps"] == [2, 3]
    assert options["neuron"] == ("if" if profile else "lif")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--motion", "pixel", "--model", "stft"), "model 'stft' has no convolutions"),
        (("--motion", "flow"), "'flow' is not known"),
        (("--motion", "pixel", "--set", "egm=false"), "egm=false makes no events"),
        (("--motion", "pixel", "--set", "motion=false"), "motion=false leaves out"),
    ],
)
def test_what_does_not_go_together_is_refused_before_a_folder_is_made(
    given: tuple[str, ...], message: str, data_dir: Path, tmp_path: Path, neurozsl: Command
) -> None:
    ran = neurozsl("train", "--data", data_dir, "--out", tmp_path / "run", *given)
    assert ran.code == 2
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "run").exists()
