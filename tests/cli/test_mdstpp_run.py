"""MDST++ through the commands: two epochs, the bundle for Lava with a verdict, the profile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories.datasets import small_set

Command = Callable[..., Any]
OPTIONS = (
    "motion_widths=[48,32]",
    "motion_slots=4",
    "embed=16",
    "hidden=32",
    "stages=2",
    "theta=0.5",
    "attention_theta=0.25",
)


@pytest.fixture(scope="module")
def mdstpp_run(tmp_path_factory: pytest.TempPathFactory, neurozsl: Command) -> Path:
    """A run of two epochs on a small synthetic set."""
    folder = tmp_path_factory.mktemp("mdstpp")
    small_set(folder / "data")
    sets = [part for option in OPTIONS for part in ("--set", option)]
    ran = neurozsl(
        "train", "--data", folder / "data", "--model", "mdst++", "--out", folder / "run",
        "--epochs", 2, "--batch", 6, *sets,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "mdst++ on" in ran.err
    return folder / "run"


@pytest.mark.slow
def test_the_run_scores_the_same_each_time(mdstpp_run: Path, neurozsl: Command) -> None:
    first, second = (neurozsl("evaluate", mdstpp_run, "--json").document for _ in range(2))
    assert first == second
    assert first["ZSL"] >= first["U"]


@pytest.mark.slow
def test_the_bundle_has_a_verdict_and_the_export_names_the_host_part(
    mdstpp_run: Path, neurozsl: Command, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export = ("export", mdstpp_run, "--target", "lava", "--max-hm-drop", 100, "--samples", 4)
    ran = neurozsl(*export, "--out", out)
    assert ran.code == 0, ran.err
    manifest = json.loads((out / "manifest.json").read_text())
    oracle = manifest["verification"]["backends"].get("emulator_vs_lava_fixed")
    assert manifest["verdict"] == ("UNVERIFIED" if oracle is None else "PASS-WITH-LOSS")
    assert oracle is None or all(layer["agree"] == 1.0 for layer in oracle["layers"])
    assert f"verdict {manifest['verdict']}" in ran.err
    assert "on the host: the product s Q K^T V" in ran.err
    assert "on the host: the stages after the first (steps per stage 10, 5)" in ran.err
    found = neurozsl("evaluate", mdstpp_run, "--bundle", out, "--json").document
    assert found["motion_backend"] == "emulator"
    report = neurozsl("profile", mdstpp_run, "--bundle", out, "--json").document
    assert report["model"]["name"] == "mdst++ (MDST++-style reading)"
    names = [layer["name"] for layer in report["layers"]]
    assert names[:5] == ["audio.0", "audio.1", "audio.q", "audio.k", "audio.v"]
    assert any(note.startswith("On the host: the product") for note in report["notes"])
    assert report["host"]["flops"] > 0


@pytest.mark.slow
def test_a_fine_tuned_run_keeps_the_projections_in_integers(
    mdstpp_run: Path, neurozsl: Command, tmp_path: Path
) -> None:
    out = tmp_path / "tuned"
    ran = neurozsl("train", "--resume", mdstpp_run, "--qat", "loihi2", "--epochs", 1, "--out", out)
    assert ran.code == 0, ran.err
    assert neurozsl("evaluate", out, "--json").document["motion_backend"] == "emulator"
