"""Temporal features of many lengths through the commands: converted, trained on, scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurozsl.cli import app
from neurozsl.data.ragged import RaggedSplit
from neurozsl.data.sets.load import load
from neurozsl.runs.run import open_run

Temporal = Callable[..., Path]
SMALL = {
    "mdft": ("motion_widths=[8,8,8]", "embed=16", "hidden=16"),
    "stft": ("embed=16", "hidden=16", "feed_hidden=16"),
    "tcaf": ("depth=1", "enc_hidden=16", "heads=2", "head_width=8"),
}


def ran(*arguments: object) -> str:
    made = CliRunner().invoke(app, [str(x) for x in arguments])
    assert made.exit_code == 0, made.output
    return made.stdout


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("source", ["converted", "folder"])
def test_a_model_of_sequences_trains_on_samples_of_many_lengths(
    temporal: Temporal, tmp_path: Path, model: str, source: str
) -> None:
    data = temporal(lengths=(9, 7))  # seconds of sound and of picture, one more for every other
    features: tuple[str, ...] = ("--features", "main_temporal")
    if source == "converted":
        made = ran("data", "convert", data, "--out", tmp_path / "set", *features, "--json")
        assert json.loads(made)["steps"] == 8
        data, features = tmp_path / "set", ()
        train = load(data).splits["train"]
        assert isinstance(train, RaggedSplit) and set(train.rows.lengths.tolist()) == {7, 8}
    run = tmp_path / "run"
    options = ("encode=sequence", *SMALL[model])
    how = ("--epochs", 1, "--batch", 4, *(x for o in options for x in ("--set", o)))
    ran("train", "--data", data, *features, "--model", model, "--out", run, *how)
    stored = json.loads((run / "result.json").read_text())["test"]
    found = json.loads(ran("evaluate", run, "--json"))
    assert {key: found[key] for key in stored} == pytest.approx(stored)
    assert found["ZSL"] >= found["U"]
    opened = open_run(run).model.options()
    assert opened.get("steps") == (None if model == "tcaf" else 8)
