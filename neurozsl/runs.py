"""A run folder: what was trained, from what, how, and where the result lies.

`create` writes `run.json` before training starts; `open_run` gives back model, data and settings.
The path of the data is kept relative to the run folder, with a fingerprint of its contents.

A fine-tuned run (`finetune`) has settings `qat`, and in its folder also

    start.safetensors, start.json   what it began with: weights; beta, head weight, earlier scores
    program.npz                     the integers it was trained to, None for the float control

Its model runs with these integers wherever it is opened, so that its scores are those of the chip.
"""

from __future__ import annotations

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
from neurozsl.data.avca_layout import FeatureName
from neurozsl.data.batch import ZSLData
from neurozsl.data.fingerprint import fingerprint
from neurozsl.data.index import Alignment
from neurozsl.errors import BadInput
from neurozsl.hardware.program import Program
from neurozsl.parallel.crew import Crew
from neurozsl.protocol import TrainConfig, train_config_from
from neurozsl.qat import FineTuning, IntegerForward, fine_tuning_from, program_of, same_integers
from neurozsl.training import (
    Progress,
    Selected,
    final_result,
    fine_tune,
    fit,
    make_model,
)

SCHEMA = 1
WEIGHTS, START, INTEGERS = "model.safetensors", "start.safetensors", "program.npz"
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


@dataclass(frozen=True)
class Settings:
    """The contents of `run.json`.

    label_alignment, feature_name: how benchmark data are read (`data.load`).
    """

    model: str
    options: Mapping[str, Any]
    train: TrainConfig
    data: str  # path relative to the run folder
    data_fingerprint: str
    versions: Mapping[str, str]
    schema: int = SCHEMA
    qat: FineTuning | None = None
    label_alignment: Alignment = "by_name"
    feature_name: FeatureName | None = None


@dataclass(frozen=True)
class Run:
    """An opened run that has been trained.

    program: the integers that its branch was trained with; None where it was trained in float.
    """

    path: Path
    settings: Settings
    data: ZSLData
    model: Any
    selected: Selected
    result: Mapping[str, Any]
    program: Program | None = None


def create(
    path: Path,
    *,
    data_dir: Path,
    model: str,
    options: Mapping[str, Any],
    train: TrainConfig,
    label_alignment: Alignment = "by_name",
    feature_name: FeatureName | None = None,
) -> Settings:
    """Make the run folder and write `run.json`.

    Args:
        path: of the run folder.
        data_dir: data set folder.
        model: name of the model.
        options: of the model.
        train: how to train it.
        label_alignment: benchmark data alone: which vector a class gets, "by_name" or "legacy".
        feature_name: benchmark data alone: which of its features.

    Raises:
        BadInput: the folder already holds a run, or the data cannot be read that way.
    """
    if (path / "run.json").exists():
        raise BadInput(
            f"run '{path}': already exists; continue it with `neurozsl train --resume {path}` or "
            "choose another --out"
        )
    data = load_as(data_dir, label_alignment, feature_name)
    for number in (1, 2):  # an unusable class is refused before anything is written
        data.stage(number)
    resolved = make_model(model, data, options).options()
    for derived in (
        "codes",
        "thetas",
        "audio_dim",
        "video_dim",
    ):  # fixed by the data, not by the user
        resolved.pop(derived, None)
    settings = Settings(
        model,
        resolved,
        train,
        os.path.relpath(data_dir.resolve(), path.resolve()),
        fingerprint(data_dir),
        versions(),
        label_alignment=label_alignment,
        feature_name=feature_name,
    )
    write_settings(path, settings)
    return settings


def load_as(folder: Path, label_alignment: Alignment, feature_name: FeatureName | None) -> ZSLData:
    """Load a data set, its classes with their own vectors or in the published order.

    Raises:
        BadInput: it cannot be read, or it is no benchmark data and has no published order.
    """
    data = datasets.load(folder, feature_name=feature_name, label_alignment=label_alignment)
    if label_alignment != "by_name" and data.meta.get("label_alignment") != label_alignment:
        raise BadInput(
            f"{folder}: label_alignment {label_alignment!r} exists for benchmark data alone; use "
            "by_name"
        )
    return data


def write_settings(path: Path, settings: Settings) -> None:
    """Write `run.json`, which makes the folder a run."""
    path.mkdir(parents=True, exist_ok=True)
    _write_json(path / "run.json", asdict(settings))


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
        qat = None if raw.get("qat") is None else fine_tuning_from(raw["qat"])
        return Settings(**{**raw, "train": train_config_from(raw["train"]), "qat": qat})
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"run '{path}': run.json cannot be read ({error}); restore it") from error


def load_data(path: Path, settings: Settings) -> ZSLData:
    """Load the data set of a run and check that it is still the same.

    Raises:
        BadInput: it is missing or has changed.
    """
    folder = (path / settings.data).resolve()
    data = load_as(folder, settings.label_alignment, settings.feature_name)
    if fingerprint(folder) != settings.data_fingerprint:
        raise BadInput(
            f"run '{path}': the data in '{settings.data}' changed since training; restore it or "
            "train a new run"
        )
    return data


def train(path: Path, *, progress: Progress | None = None, crew: Crew | None = None) -> Run:
    """Train a created run, or continue it from its last checkpoint, and score it.

    Args:
        path: of the run folder; with several processes all of them see the same folder.
        progress: called after every epoch, and while the test set is scored.
        crew: devices and processes; None: this process, as the settings say.

    Raises:
        BadInput: the run cannot be read or trained, or it is a fine-tuning and has several
            processes.
    """
    settings = read_settings(path)
    data = load_data(path, settings)
    done = (path / "result.json").exists()
    first = crew is None or crew.team.rank == 0
    if crew is not None:
        crew.team.wait()  # all have looked before the first one can write it
    if done:
        return open_run(path)
    train_it = _train_new if settings.qat is None else _train_fine
    model, selected, extra = train_it(path, settings, data, progress, crew)
    model.float()  # as `open_run` reads it, so that the scores are those of the stored model
    device = settings.train.device
    team = None if crew is None else crew.team
    scored = final_result(
        model, data, selected, device=device, team=team, progress=progress if first else None
    )
    result = {**scored, **extra}
    if first:
        _write_json(path / "result.json", result)
    program = _trained_program(path, settings, model)
    return Run(path, settings, data, model.eval(), selected, result, program)


Trained = tuple[Any, Selected, dict[str, Any]]


def _train_new(
    path: Path, settings: Settings, data: ZSLData, progress: Progress | None, crew: Crew | None
) -> Trained:
    """Both stages from new weights."""
    model, selected = fit(
        data,
        name=settings.model,
        options=settings.options,
        config=settings.train,
        out=path,
        progress=progress,
        crew=crew,
    )
    if crew is None or crew.team.rank == 0:
        write_model_options(path, settings.model, model)
    return model, selected, {}


def _train_fine(
    path: Path, settings: Settings, data: ZSLData, progress: Progress | None, crew: Crew | None
) -> Trained:
    """More epochs from the weights that the run began with."""
    if crew is not None and crew.team.size > 1:
        raise BadInput(
            f"run '{path}': fine-tuning runs in one process, not in {crew.team.size}; leave "
            "--devices out"
        )
    found = json.loads((path / "start.json").read_text())
    model = fine_tune(
        data,
        name=settings.model,
        start=lambda: with_integers(load_model(path, START), settings.qat),
        config=settings.train,
        out=path,
        progress=progress,
    )
    if settings.qat is not None and settings.qat.rounding is not None:
        program_of(model.branch_spec(), settings.qat.rounding).save(path / INTEGERS)
    return model, Selected(**found["selected"]), {"before": found["before"]}


def with_integers(model: Any, qat: FineTuning | None) -> Any:
    """The same model; its branch runs in integers where it was trained with them."""
    if qat is not None and qat.rounding is not None:
        model.branch.override = IntegerForward(qat.rounding)
    return model


def write_model_options(path: Path, name: str, model: Any) -> None:
    """Write `model.json`, from which `load_model` builds the model again."""
    _write_json(path / "model.json", {**model.options(), "name": name})


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
    model = with_integers(load_model(path), settings.qat)
    program = _trained_program(path, settings, model)
    return Run(path, settings, data, model, Selected(**result["selected"]), result, program)


def _trained_program(path: Path, settings: Settings, model: Any) -> Program | None:
    """The stored integers, after a check that the weights still round to them.

    Raises:
        BadInput: they do not, so that scores and deployment would differ.
    """
    if settings.qat is None or settings.qat.rounding is None:
        return None
    stored = Program.load(path / INTEGERS)
    if not same_integers(stored, program_of(model.branch_spec(), settings.qat.rounding)):
        raise BadInput(
            f"run '{path}': its weights no longer round to the integers in {INTEGERS}; it was "
            "changed, or made by another version (see versions in run.json): fine-tune again"
        )
    return stored


def load_model(path: Path, weights: str = WEIGHTS) -> nn.Module:
    """The trained model of a run folder, without its data; its branch runs in Norse."""
    from neurozsl import models

    file = path / "model.json"
    if not file.is_file():
        raise BadInput(f"run '{path}': no model.json; train it first")
    options = json.loads(file.read_text())
    model = models.build(options.pop("name"), **options)
    checkpoint.load_model(path / weights, model)
    return model.eval()


def _write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)
