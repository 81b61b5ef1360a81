"""A run folder: what was trained, from what, how, and where the result lies.

`create` writes `run.json` (`run_settings`) before training starts; `train` fills the folder;
`open_run` gives back model, data and settings.

A fine-tuned run (`finetune`) has settings `qat`, and in its folder also

    start.safetensors, start.json   what it began with: weights; beta, head weight, earlier scores
    program.npz                     the integers it was trained to, None for the float control

Its model runs with these integers wherever it is opened, so that its scores are those of the chip.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca_layout import FeatureName
from neurozsl.data.index import Alignment
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.sets.load import load
from neurozsl.hardware.loihi.program import Program
from neurozsl.models.base import ZSLModel, needed_branch
from neurozsl.runs.settings import RunSettings, load_data, read_settings, versions, write_settings
from neurozsl.training import checkpoint
from neurozsl.training.budget import left_over
from neurozsl.training.crew import Crew
from neurozsl.training.economy import Sparsity
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import FineTuning, IntegerForward, learning, program_of, same_integers
from neurozsl.training.sparsity import prunable
from neurozsl.training.stage_loop import EpochProgress, Selected
from neurozsl.training.teacher import Teacher, Teachers
from neurozsl.training.train import final_result, fine_tune, fit, make_model

WEIGHTS, START, INTEGERS = "model.safetensors", "start.safetensors", "program.npz"


@dataclass(frozen=True)
class Run:
    """An opened run that has been trained.

    program: the integers that its branch was trained with; None where it was trained in float.
    """

    path: Path
    settings: RunSettings
    data: ZSLData
    model: ZSLModel
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
) -> RunSettings:
    """Make the run folder and write `run.json`.

    label_alignment, feature_name: benchmark data alone: which vector a class gets, "by_name" or
        "legacy", and which of its features are read.

    Raises:
        BadInput: the folder already holds a run, or the data cannot be read that way.
    """
    if (path / "run.json").exists():
        raise BadInput(
            f"run '{path}': already exists; continue it with `neurozsl train --resume {path}` or "
            "choose another --out"
        )
    data = load(data_dir, feature_name=feature_name, label_alignment=label_alignment)
    for number in (1, 2):  # an unusable class is refused before anything is written
        data.stage(number)
    made = make_model(model, data, options)
    if train.sparsity or train.budget or train.penalties:
        prunable(made)
    resolved = made.options()
    if train.distillation is not None:
        teacher = Path(train.distillation.teacher)
        # refused before anything is written
        check_teacher(teacher, fingerprint(data_dir), label_alignment, feature_name)
        link = os.path.relpath(teacher.resolve(), path.resolve())
        train = replace(train, distillation=replace(train.distillation, teacher=link))
    for derived in ("codes", "thetas", "audio_dim", "video_dim"):  # the data fix these, no user
        resolved.pop(derived, None)
    settings = RunSettings(
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


def train(path: Path, *, progress: EpochProgress | None = None, crew: Crew | None = None) -> Run:
    """Train a created run, or continue it from its last checkpoint, and score it.

    path: several processes all see the same folder. progress: called after every epoch, and while
    the test set is scored. crew: devices and processes; None: this process, as the settings say.

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
    extra: dict[str, Any] = {}
    if settings.qat is not None:
        if crew is not None and crew.team.size > 1:
            raise BadInput(
                f"run '{path}': fine-tuning runs in one process, not in {crew.team.size}; leave "
                "--devices out"
            )
        model, selected, extra["before"] = _fine_tuned(path, settings, settings.qat, data, progress)
    else:
        model, selected = fit(
            data,
            name=settings.model,
            options=settings.options,
            config=settings.train,
            out=path,
            teachers=_teachers(path, settings),
            progress=progress,
            crew=crew,
        )
        if first:
            write_model_options(path, settings.model, model)
    model.float()  # as `open_run` reads it, so that the scores are those of the stored model
    device = settings.train.device
    team = None if crew is None else crew.team
    scored = final_result(
        model, data, selected, device=device, team=team, progress=progress if first else None
    )
    if settings.train.budget is not None:
        how, samples = settings.train.sparsity or Sparsity(), data.stage(2).train
        scored["warnings"] += left_over(model, settings.train.budget, how, samples)
    result = {**scored, **extra}
    if first:
        write_json(path / "result.json", result, sort_keys=True)
    program = _trained_program(path, settings, model)
    return Run(path, settings, data, model.eval(), selected, result, program)


def _fine_tuned(
    path: Path,
    settings: RunSettings,
    qat: FineTuning,
    data: ZSLData,
    progress: EpochProgress | None,
) -> tuple[ZSLModel, Selected, Any]:
    """More epochs from the weights that the run began with; the scores before, as noted."""
    found = json.loads((path / "start.json").read_text())
    model = fine_tune(
        data,
        name=settings.model,
        start=lambda: with_integers(load_model(path, START), qat),
        config=settings.train,
        out=path,
        teachers=_teachers(path, settings),
        progress=progress,
    )
    if qat.rounding is not None:
        program_of(needed_branch(model).spec(), qat.rounding).save(path / INTEGERS)
    return model, Selected(**found["selected"]), found["before"]


def check_teacher(teacher: Path, contents: str, alignment: str, features: str | None) -> Run:
    """The opened run that is to teach; contents: fingerprint of the data that it must know.

    Raises:
        BadInput: it is missing or not finished, or it was trained on other data.
    """
    run = open_run(teacher)
    theirs = run.settings
    found = (theirs.data_fingerprint, theirs.label_alignment, theirs.feature_name)
    if found != (contents, alignment, features):
        what = "the same data read in another way (--label-alignment, --features)"
        if theirs.data_fingerprint != contents:
            what = f"other data ({run.data.name}, '{(teacher / theirs.data).resolve()}')"
        raise BadInput(
            f"teacher '{teacher}': was trained on {what}; give a run of the same data set"
        )
    return run


def _teachers(path: Path, settings: RunSettings) -> Teachers | None:
    """The models of the run that teaches this one, by stage.

    Raises:
        BadInput: it is missing, or was trained on other data.
    """
    asked = settings.train.distillation
    if asked is None:
        return None
    run = check_teacher(
        (path / asked.teacher).resolve(),
        settings.data_fingerprint,
        settings.label_alignment,
        settings.feature_name,
    )

    def teacher(stage: int) -> Teacher:
        model = first_stage_model(run.path) if stage == 1 else run.model
        return Teacher(model, run.selected.head_weight)

    return teacher


def first_stage_model(path: Path) -> ZSLModel:
    """The best model of stage 1 of a run, which has not seen the validation classes.

    Raises:
        BadInput: the run has none; a fine-tuned one has that of its parent.
    """
    settings = read_settings(path)
    if settings.qat is not None:
        return first_stage_model(path / settings.qat.parent)
    from neurozsl import models

    file = path / "stage1" / "best.safetensors"
    if not file.is_file():
        raise BadInput(
            f"run '{path}': stage1/best.safetensors is missing, so there is no model that has not "
            "seen the validation classes (model.safetensors was trained on them); train again, or "
            "do without it (a number in the place of --margin auto, another --teacher)"
        )
    written = json.loads((path / "model.json").read_text())
    name = written.pop("name")
    _, meta = checkpoint.read(file)
    # Its input codes are its own; files of earlier versions do not hold them.
    model = models.build(name, **meta.get("options", written))
    checkpoint.load_model(file, model)
    return model.eval()


def with_integers(model: ZSLModel, qat: FineTuning | None) -> ZSLModel:
    """The same model; its branch runs in integers where it was trained with them.

    Raises:
        BadInput: its branch is none that can.
    """
    if qat is not None and qat.rounding is not None:
        learning(needed_branch(model)).override = IntegerForward(qat.rounding)
    return model


def write_model_options(path: Path, name: str, model: ZSLModel) -> None:
    """Write `model.json`, from which `load_model` builds the model again."""
    write_json(path / "model.json", {**model.options(), "name": name}, sort_keys=True)


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


def _trained_program(path: Path, settings: RunSettings, model: ZSLModel) -> Program | None:
    """The stored integers, after a check that the weights still round to them.

    Raises:
        BadInput: they do not, so that scores and deployment would differ.
    """
    if settings.qat is None or settings.qat.rounding is None:
        return None
    stored = Program.load(path / INTEGERS)
    if not same_integers(stored, program_of(needed_branch(model).spec(), settings.qat.rounding)):
        raise BadInput(
            f"run '{path}': its weights no longer round to the integers in {INTEGERS}; it was "
            "changed, or made by another version (see versions in run.json): fine-tune again"
        )
    return stored


def load_model(path: Path, weights: str = WEIGHTS) -> ZSLModel:
    """The trained model of a run folder, without its data; its branch runs in Norse."""
    from neurozsl import models

    file = path / "model.json"
    if not file.is_file():
        raise BadInput(f"run '{path}': no model.json; train it first")
    options = json.loads(file.read_text())
    model = models.build(options.pop("name"), **options)
    checkpoint.load_model(path / weights, model)
    return model.eval()
