"""A model that never spikes, through every command: trained, scored, profiled; export refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurozsl.report import RunReport, read_report

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def avca_run(neurozsl: Command, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AVCA after two epochs on the tiny synthetic set, trained by the command."""
    path = tmp_path_factory.mktemp("avca") / "run"
    ran = neurozsl(
        *("train", "--data", workspace / "data", "--model", "avca", "--out", path),
        *("--preset", "activitynet_main", "--epochs", 2, "--set", "attention=post_norm"),
    )
    assert ran.code == 0, ran.err
    assert f"neurozsl profile {path}" in ran.err
    assert "neurozsl export" not in ran.err  # there is nothing to export
    return path


def test_the_run_keeps_name_preset_and_options(avca_run: Path) -> None:
    settings = json.loads((avca_run / "run.json").read_text())
    assert settings["model"] == "avca"
    options = settings["options"]
    assert (options["preset"], options["attention"]) == ("activitynet_main", "post_norm")
    assert options["drop_dec"] == 0.1
    assert not {"encode", "steps", "audio_dim"} & set(options)


def test_evaluate_says_that_no_motion_backend_ran(neurozsl: Command, avca_run: Path) -> None:
    found = neurozsl("evaluate", avca_run, "--json").document
    stored = json.loads((avca_run / "result.json").read_text())["test"]
    assert {key: found[key] for key in stored} == pytest.approx(stored)
    assert found["ZSL"] >= found["U"]
    assert (found["motion_backend"], found["policy"]) == ("none", "none")
    assert neurozsl("evaluate", avca_run).code == 0


def test_profile_shows_the_host_part_and_says_that_nothing_spikes(
    neurozsl: Command, avca_run: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    ran = neurozsl("profile", avca_run, "--report", page)
    assert ran.code == 0, ran.err
    assert "Nothing spikes in this model" in ran.err
    assert "Motion branch" not in ran.err and "host part" in ran.err
    report = read_report(page.with_suffix(".json"))
    assert isinstance(report, RunReport)
    assert (report.layers, report.energy, report.raster) == ((), (), None)
    assert report.model.parameters.motion == 0
    assert report.host.motion_backend == "none"
    # 2 FLOPs per weight and token of the linear maps; torch's counter leaves out the two by two
    # products of softmax attention on the CPU.
    encoders = 2 * (256 * 512 + 512 * 300)
    attention = 2 * (4 * 300 * 300 + 2 * 300 * 64)
    projections = 2 * (300 * 512 + 512 * 64)
    assert report.host.flops == 2 * (encoders + attention + projections)
    text = page.read_text()
    assert "Nothing spikes" in text and "spike rate" not in text


@pytest.mark.parametrize("target", ["nir", "lava", "sinabs", "speck"])
def test_export_is_refused_with_the_reason_and_what_to_do(
    neurozsl: Command, avca_run: Path, target: str
) -> None:
    ran = neurozsl("export", avca_run, "--target", target)
    assert ran.code == 2
    assert "model 'avca' never spikes" in ran.err.replace("\n", " ")
    assert "neurozsl evaluate" in ran.err
    assert not (avca_run / "deploy").exists()


def test_fine_tuning_in_integers_is_refused(neurozsl: Command, avca_run: Path) -> None:
    ran = neurozsl("train", "--resume", avca_run, "--qat", "loihi2")
    assert ran.code == 2
    assert "never spikes" in ran.err
    assert not avca_run.with_name("run-qat8").exists()


def test_a_preset_of_another_model_is_refused_with_the_list(
    neurozsl: Command, workspace: Path, tmp_path: Path
) -> None:
    ran = neurozsl(
        *("train", "--data", workspace / "data", "--model", "avca", "--out", tmp_path / "r"),
        *("--preset", "paper"),
    )
    assert ran.code == 2
    assert "vggsound_cls" in ran.err
    assert not (tmp_path / "r").exists()
