"""Run folders as a test wants them: made up, sealed again after a change, or without digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurozsl.runs.result import write_result
from neurozsl.runs.settings import RunSettings, read_settings, write_settings
from neurozsl.runs.stored import FILES
from neurozsl.training.protocol import TrainConfig

SEAL = ("settings", "files", "digest")


def scores(path: Path) -> dict[str, Any]:
    """What `result.json` says, without the digests of weights that may differ in rounding."""
    content: dict[str, Any] = json.loads((path / "result.json").read_text())
    return {key: value for key, value in content.items() if key not in SEAL}


def made_up(path: Path, test: Mapping[str, float]) -> Path:
    """A finished run without model and data that has these scores."""
    settings = write_settings(path, RunSettings("mdft", {}, TrainConfig(), "data", "0" * 64, {}))
    selected = {"epochs": 1, "beta": 0.0, "head_weight": 0.0, "val_hm": 0.0}
    content = {"selected": selected, "test": {"samples": 1, **test}, "warnings": []}
    write_result(path, content, settings, ())
    return path


def sealed_again(path: Path) -> Path:
    """The run, as if the files that it holds now were those that it was trained to."""
    settings = write_settings(path, read_settings(path))
    write_result(path, scores(path), settings, FILES)
    return path


def of_an_earlier_version(path: Path) -> Path:
    """The run without any digest, as versions before them wrote it."""
    settings = json.loads((path / "run.json").read_text())
    for key in ("digest", "sources"):
        del settings[key]
    (path / "run.json").write_text(json.dumps({**settings, "schema": 1}))
    (path / "result.json").write_text(json.dumps(scores(path)))
    return path
