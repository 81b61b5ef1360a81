"""Baselines through the commands: trained by their published recipe, scored, gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
BASELINES = ("ale", "sje", "devise", "apn", "cjme", "avgzslnet")
SHORT = ("--epochs", 1, "--rule", "epoch_batches=3", "--batch", 32)


@pytest.mark.parametrize("model", BASELINES)
def test_a_baseline_trains_by_its_recipe_and_is_scored(
    neurozsl: Command, data_dir: Path, tmp_path: Path, model: str
) -> None:
    run = tmp_path / "run"
    how = ("train", "--data", data_dir, "--model", model, "--protocol", "published")
    ran = neurozsl(*how, "--out", run, *SHORT)
    assert ran.code == 0, ran.err
    settings = json.loads((run / "run.json").read_text())
    train, rules = settings["train"], settings["train"]["protocol"]
    assert (train["weight_decay"], train["lr"], train["epochs"]) == (0.0, 1e-3, 1)
    paired = model in ("cjme", "avgzslnet")
    assert (rules["name"], rules["schedule"]) == ("published", "plateau")
    assert rules["negatives"] == ("drawn" if paired else "in_batch")
    assert settings["options"].get("passes") == ("apart" if paired else None)
    found = neurozsl("evaluate", run, "--json").document
    assert found["ZSL"] >= found["U"]
    stored = json.loads((run / "result.json").read_text())["test"]
    assert {key: found[key] for key in stored} == pytest.approx(stored)


def test_a_run_by_a_recipe_goes_on_to_the_same_scores(
    neurozsl: Command, data_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    how = ("train", "--data", data_dir, "--model", "cjme", "--protocol", "published")
    assert neurozsl(*how, "--out", run, *SHORT).code == 0
    first = json.loads((run / "result.json").read_text())
    for name in ("result.json", "model.safetensors"):
        (run / name).unlink()
    shutil.rmtree(run / "stage2")
    ran = neurozsl("train", "--resume", run)
    assert ran.code == 0, ran.err
    assert json.loads((run / "result.json").read_text())["test"] == first["test"]


def test_a_model_without_a_recipe_is_refused_before_a_folder_is_made(
    neurozsl: Command, data_dir: Path, tmp_path: Path
) -> None:
    for command in (("train", "--model"), ("benchmark", "--models")):
        out = tmp_path / command[0]
        ran = neurozsl(
            *command, "mdft", "--data", data_dir, "--protocol", "published", "--out", out
        )
        assert ran.code == 2
        assert "model 'mdft': no published recipe is known" in " ".join(ran.err.split())
        assert not out.exists()


@pytest.mark.parametrize(
    ("model", "passes", "smaller"),
    [
        ("hyper-alignment", "apart", ()),
        ("avmst", "apart", ("steps=2", "spiking_hidden=32")),
        ("tcaf", None, ("depth=1",)),
        ("clipclap", None, ("word_dim=300", "clip_words=100")),
        ("fvaegan-d2", None, ("synthetic=20", "clf_epochs=1")),
    ],
)
def test_a_recipe_of_another_code_trains_and_is_scored(
    neurozsl: Command,
    data_dir: Path,
    tmp_path: Path,
    model: str,
    passes: str | None,
    smaller: tuple[str, ...],
) -> None:
    run = tmp_path / "run"
    how = ("train", "--data", data_dir, "--model", model, "--protocol", "published")
    ran = neurozsl(*how, "--out", run, *SHORT, *(x for y in smaller for x in ("--set", y)))
    assert ran.code == 0, ran.err
    settings = json.loads((run / "run.json").read_text())
    assert settings["options"].get("passes") == passes
    rules = settings["train"]["protocol"]
    assert rules["negatives"] == ("in_batch" if passes is None else "drawn")
    found = neurozsl("evaluate", run, "--json").document
    stored = json.loads((run / "result.json").read_text())["test"]
    assert {key: found[key] for key in stored} == pytest.approx(stored)


@pytest.mark.slow
def test_a_benchmark_by_recipes_trains_each_model_by_its_own(
    neurozsl: Command, data_dir: Path, tmp_path: Path
) -> None:
    asked = ("benchmark", "--data", data_dir, "--models", "ale,cjme", "--protocol", "published")
    short = ("--seeds", 1, "--epochs", 1, "--rule", "epoch_batches=2", "--json")
    ran = neurozsl(*asked, "--out", tmp_path / "b", *short)
    assert ran.code == 0, ran.err
    assert [row["model"] for row in ran.document["rows"]] == ["ale", "cjme"]
    assert ran.document["protocol"]["protocol"]["name"] == "published"
    runs = [json.loads(x.read_text()) for x in sorted((tmp_path / "b").glob("*/run.json"))]
    assert [x["train"]["protocol"]["negatives"] for x in runs] == ["in_batch", "drawn"]
    again = neurozsl(*asked, "--out", tmp_path / "b", *short)
    assert again.document == ran.document  # nothing is trained again
