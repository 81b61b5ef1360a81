"""AVMST through the commands: one epoch, and bundles for Lava and Speck with their verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "options", "oracle"),
    [
        ("lava", (), "emulator_vs_lava_fixed"),
        ("speck", ("--motion-profile", "speck"), "emulator_vs_sinabs_discretised"),
    ],
)
def test_one_epoch_exports_with_a_verdict(
    target: str,
    options: tuple[str, ...],
    oracle: str,
    tmp_path: Path,
    data_dir: Path,
    neurozsl: Command,
) -> None:
    run = tmp_path / "run"
    small = ("--set", "spiking_hidden=64", "--set", "embed=64") if target == "lava" else ()
    train = ("train", "--data", data_dir, "--model", "avmst", "--out", run, "--epochs", 1)
    ran = neurozsl(*train, *options, *small)
    assert ran.code == 0 and "avmst on" in ran.err, ran.err
    ran = neurozsl("export", run, "--target", target, "--max-hm-drop", 100, "--samples", 4)
    assert ran.code == 0, ran.err
    manifest = json.loads((run / "deploy" / target / "manifest.json").read_text())
    found = manifest["verification"]["backends"].get(oracle)
    assert manifest["verdict"] == ("UNVERIFIED" if found is None else "PASS-WITH-LOSS")
    if found is not None:
        assert [x["agree"] for x in found["layers"]] == [1.0] * 4
        assert all(0 < x["rate"] < 0.9 for x in found["layers"])
    scored = neurozsl("evaluate", run, "--bundle", run / "deploy" / target, "--json").document
    assert scored["motion_backend"] == "emulator" and scored["ZSL"] >= scored["U"]
