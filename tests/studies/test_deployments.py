"""What runs where: verdicts, reasons and the table, on tiny runs of real models."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.runs import run as runs
from neurozsl.runs.settings import read_settings, write_settings
from neurozsl.studies import deployments
from neurozsl.training import checkpoint
from neurozsl.training.protocol import TrainConfig
from tests.factories import runs as run_folders
from tests.factories.datasets import small_set

SMALL = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("deployments")
    small_set(base / "data")
    cases: tuple[tuple[str, Mapping[str, Any]], ...] = (("avca", {}), ("mdft", SMALL))
    return {model: train(base / model, base / "data", model, options) for model, options in cases}


def train(path: Path, data: Path, model: str, options: Mapping[str, Any]) -> Path:
    how = TrainConfig(epochs=3, batch=8)
    runs.create(path, data_dir=data, model=model, options=options, train=how)
    runs.train(path)
    return path


@pytest.mark.slow
def test_a_model_has_a_verdict_or_a_reason_on_every_target(folders: dict[str, Path]) -> None:
    told = []
    rows = deployments.deploy_all(
        folders, ("sinabs", "speck"), progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    avca, mdft = rows
    assert avca["spiking"] == [] and avca["host"] == "the whole model"
    assert {found["verdict"] for found in avca["targets"].values()} == {"-"}
    assert "never spikes" in avca["targets"]["speck"]["reason"]
    assert len(mdft["spiking"]) == 6
    sinabs, speck = mdft["targets"]["sinabs"], mdft["targets"]["speck"]
    assert sinabs["verdict"] == "PASS" and sinabs["bundle"] is not None
    assert (Path(sinabs["bundle"]) / "manifest.json").is_file()
    assert speck["verdict"] == "cannot run it" and "leak" in speck["reason"]
    text = deployments.markdown(rows, ("sinabs", "speck")).splitlines()
    assert text[0] == "| model | weights | spiking layers | sinabs | speck |"
    assert text[3].endswith("| 6 | PASS | cannot run it |")
    assert any(line.startswith("mdft on speck: ") for line in deployments.reasons(rows))


@pytest.mark.slow
def test_layers_that_spike_but_cannot_be_exported_are_counted_and_the_reason_is_given(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    squashed = train(
        tmp_path / "stft",
        folders["mdft"].parent / "data",
        "stft",
        {"glp": "blocks", "channels": [2, 1], "strides": [2, 2], "embed": 16, "hidden": 32},
    )
    damaged = Path(shutil.copytree(folders["mdft"], tmp_path / "mdft"))
    settings = read_settings(folders["mdft"])
    data = (folders["mdft"] / settings.data).resolve()
    write_settings(damaged, replace(settings, data=os.path.relpath(data, damaged)))
    weights, _ = checkpoint.read(damaged / "model.safetensors")
    key = "model/branch.pathways.audio.1.norm.norm.running_var"
    weights[key] = torch.full_like(weights[key], -1.0)  # finite, and NaN where it is folded
    checkpoint.write(damaged / "model.safetensors", weights, {"model": "mdft"})
    run_folders.sealed_again(damaged)
    silent = train(tmp_path / "none", data, "mdft", {"motion": False, **SMALL})
    rows = deployments.deploy_all(
        {"glp": squashed, "nan": damaged, "none": silent}, ("sinabs", "speck")
    )
    assert [len(row["spiking"]) for row in rows] == [4, 6, 0]
    assert all(row["host"] == "the whole model" for row in rows)
    reasons = (
        r"cannot be exported: GLP .*glp=input",
        "'audio.1' .*folded weights are NaN",
        "false",
    )
    for row, reason in zip(rows, reasons, strict=True):
        for found in row["targets"].values():
            assert re.search(reason, found["reason"])
    words = [{x["verdict"] for x in row["targets"].values()} for row in rows]
    assert words == [{"cannot be exported"}, {"cannot be exported"}, {"-"}]
    assert [row[2:4] for row in deployments.table(rows, ("sinabs",))[1:]] == [
        ("4", "cannot be exported"),
        ("6", "cannot be exported"),
        ("none", "-"),
    ]
    assert len(deployments.reasons(rows)) == 6


def test_an_unknown_target_is_refused_before_any_run_is_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        deployments.deploy_all({"avca": tmp_path / "none"}, ("sinabs", "nowhere"))
