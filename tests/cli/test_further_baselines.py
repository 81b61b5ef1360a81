"""Baselines through the commands: trained for one epoch, evaluated, ZSL not below U."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("tcaf", ("depth=1", "heads=2", "head_width=8", "enc_hidden=32")),
        ("clipclap", ("word_dim=300", "embed=64")),
        ("fvaegan-d2", ("synthetic=20", "clf_epochs=3")),
        ("fvaegan-d2", ("synthetic=20", "clf_epochs=3", "selection=test", "batches=first")),
    ],
)
def test_a_baseline_trains_and_evaluates(
    neurozsl: Command, data_dir: Path, tmp_path: Path, model: str, options: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    ran = neurozsl(
        *("train", "--data", data_dir, "--model", model, "--out", run, "--epochs", 1),
        *(part for option in options for part in ("--set", option)),
    )
    assert ran.code == 0, ran.err
    stored = json.loads((run / "result.json").read_text())["test"]
    found = neurozsl("evaluate", run, "--json").document
    assert {key: found[key] for key in stored} == pytest.approx(stored)
    assert found["ZSL"] >= found["U"]
    settings = json.loads((run / "run.json").read_text())["options"]
    assert all(str(settings[k]) == v for k, v in (x.split("=") for x in options))
