"""A run folder: what was trained, from what, how, and where the result lies.

`create` writes `run.json` before training starts; `open_run` gives back model, data and settings.
The path of the data is kept relative to the run folder, with a fingerprint of its contents.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import nn

from neurozsl import __version__, checkpoint
from neurozsl import data as datasets
from neurozsl.data.batch import ZSLData
from neurozsl.errors import BadInput
from neurozsl.training import Progress, Selected, TrainConfig, final_result, fit, make_model

SCHEMA = 1
_LIBRARIES = ("torch", "norse", "nir", "sinabs", "numpy", "lightning-fabric")


def versions() -> dict[str, str]:
    """Versions of everything that a number may depend on."""
    found = {"neurozsl": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def fingerprint(folder: Path) -> str:
    """Hash of the names and contents of the files in a data folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Settings:
    """The contents of `run.json`."""

    model: str
    options: Mapping[str, Any]
    train: TrainConfig
    data: str  # path relative to the run folder
    data_fingerprint: str
    versions: Mapping[str, str]
    schema: int = SCHEMA


@dataclass(frozen=True)
class Run:
    """An opened run that has been trained."""

    path: Path
    settings: Settings
    data: ZSLData
    model: Any
    selected: Selected
    result: Mapping[str, Any]


def create(
    path: Path, *, data_dir: Path, model: str, options: Mapping[str, Any], train: TrainConfig
) -> Settings:
    """Make the run folder and write `run.json`.

    Raises:
        BadInput: the folder already holds a run.
    """
    if (path / "run.json").exists():
        raise BadInput(
            f"run '{path}': already exists; continue it with `neurozsl train --resume {path}` or "
            "choose another --out"
        )
    data = datasets.load(data_dir)
    for number in (1, 2):  # an unusable class is refused before anything is written
        data.stage(number)
    resolved = make_model(model, data, options).options()
    for derived in ("codes", "audio_dim", "video_dim"):  # fixed by the data, not by the user
        resolved.pop(derived, None)
    settings = Settings(
        model,
        resolved,
        train,
        os.path.relpath(data_dir.resolve(), path.resolve()),
        fingerprint(data_dir),
        versions(),
    )
    path.mkdir(parents=True, exist_ok=True)
    _write_json(path / "run.json", asdict(settings))
    return settings


def read_settings(path: Path) -> Settings:
    """Read `run.json`.

    Raises:
        BadInput: there is no run, or its file cannot be read.
    """
    file = path / "run.json"
    if not file.is_file():
        raise BadInput(
            f"run '{path}': no run.json there; give the folder that `neurozsl train --out` wrote"
        )
    try:
        raw = json.loads(file.read_text())
        if raw["schema"] != SCHEMA:
            raise BadInput(
                f"run '{path}': schema {raw['schema']}, this version reads {SCHEMA}; train again "
                "or use the version that wrote it"
            )
        return Settings(**{**raw, "train": TrainConfig(**raw["train"])})
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"run '{path}': run.json cannot be read ({error}); restore it") from error


def load_data(path: Path, settings: Settings) -> ZSLData:
    """Load the data set of a run and check that it is still the same.

    Raises:
        BadInput: it is missing or has changed.
    """
    folder = (path / settings.data).resolve()
    data = datasets.load(folder)
    if fingerprint(folder) != settings.data_fingerprint:
        raise BadInput(
            f"run '{path}': the data in '{settings.data}' changed since training; restore it or "
            "train a new run"
        )
    return data


def train(path: Path, *, progress: Progress | None = None) -> Run:
    """Train a created run, or continue it from its last checkpoint, and score it."""
    settings = read_settings(path)
    data = load_data(path, settings)
    if (path / "result.json").exists():
        return open_run(path)
    model, selected = fit(
        data,
        name=settings.model,
        options=settings.options,
        config=settings.train,
        out=path,
        progress=progress,
    )
    options = {**model.options(), "name": settings.model}
    _write_json(path / "model.json", options)
    result = final_result(model, data, selected, device=settings.train.device)
    _write_json(path / "result.json", result)
    model.eval()
    return Run(path, settings, data, model, selected, result)


def open_run(path: Path) -> Run:
    """Open a finished run: model in evaluation mode on the CPU.

    Raises:
        BadInput: no run, unfinished, or files damaged.
    """
    settings = read_settings(path)
    if not (path / "result.json").is_file():
        raise BadInput(
            f"run '{path}': training has not finished; continue with "
            f"`neurozsl train --resume {path}`"
        )
    data = load_data(path, settings)
    result = json.loads((path / "result.json").read_text())
    model = load_model(path)
    return Run(path, settings, data, model, Selected(**result["selected"]), result)


def load_model(path: Path) -> nn.Module:
    """The trained model of a run folder, without its data."""
    from neurozsl import models

    file = path / "model.json"
    if not file.is_file():
        raise BadInput(f"run '{path}': no model.json; train it first")
    options = json.loads(file.read_text())
    model = models.build(options.pop("name"), **options)
    checkpoint.load_model(path / "model.safetensors", model)
    return model.eval()


def _write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)
