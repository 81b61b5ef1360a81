"""A run folder: what was trained, from what, how, and where the result lies.

`create` writes `run.json` (`settings`) before training starts; `train` fills the folder, one crew
at a time (`lock`); `open_run` gives back model, data and settings, after a check that every file is
the one that was trained and scored (`seal`).

A fine-tuned run (`finetune`) has settings `qat`, and in its folder also

    start.safetensors, start.json   what it began with: weights; beta, head weight, earlier scores
    program.npz                     the integers it was trained to, None for the float control

Its model runs with these integers wherever it is opened, so that its scores are those of the chip.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.lock import Lock
from neurozsl.core.reading import brief, read_object
from neurozsl.core.shell import words
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca_layout import FeatureName
from neurozsl.data.index import Alignment
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.sets.load import load
from neurozsl.models.base import ZSLModel, needed_branch
from neurozsl.parallel.team import Alone, Team, first_does
from neurozsl.runs.kept import write_kept
from neurozsl.runs.opened import (
    Run,
    check_source,
    check_teacher,
    first_stage_model,
    load_model,
    load_result,
    open_run,
    trained_program,
    with_integers,
)
from neurozsl.runs.result import NAME as RESULT
from neurozsl.runs.result import write_result
from neurozsl.runs.seal import RESTORE, check_file
from neurozsl.runs.settings import NAME as SETTINGS
from neurozsl.runs.settings import (
    RunSettings,
    data_folder,
    load_data,
    read_settings,
    versions,
    write_settings,
)
from neurozsl.runs.stored import (
    FILES,
    INTEGERS,
    MODEL,
    START,
    STARTED,
    WEIGHTS,
    read_model,
    write_model_options,
)
from neurozsl.training.budget import left_over
from neurozsl.training.crew import Crew
from neurozsl.training.economy import Sparsity
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import FineTuning, program_of
from neurozsl.training.sparsity import prunable
from neurozsl.training.stage_loop import EpochProgress, Selected
from neurozsl.training.teacher import Teacher, Teachers
from neurozsl.training.train import final_result, fine_tune, fit, make_model

__all__ = [  # with what a finished run is opened by, so that others need this file alone
    "INTEGERS",
    "MODEL",
    "START",
    "STARTED",
    "WEIGHTS",
    "Run",
    "check_teacher",
    "create",
    "first_stage_model",
    "load_model",
    "load_result",
    "open_run",
    "refuse_existing",
    "resolved",
    "train",
    "write_model_options",
]


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
    refuse_existing(path)
    data = load(data_dir, feature_name=feature_name, label_alignment=label_alignment)
    for number in (1, 2):  # an unusable class is refused before anything is written
        data.stage(number)
    made = make_model(model, data, options)
    if train.sparsity or train.budget or train.penalties:
        prunable(made)
    sources = dict[str, str]()
    if train.distillation is not None:
        teacher = Path(train.distillation.teacher)
        # refused before anything is written
        taught_by = check_teacher(teacher, fingerprint(data_dir), label_alignment, feature_name)
        sources["teacher"] = taught_by.digest
        link = os.path.relpath(teacher.resolve(), path.resolve())
        train = replace(train, distillation=replace(train.distillation, teacher=link))
    settings = RunSettings(
        model,
        resolved(made),
        train,
        os.path.relpath(data_dir.resolve(), path.resolve()),
        fingerprint(data_dir),
        versions(),
        label_alignment=label_alignment,
        feature_name=feature_name,
        sources=sources,
    )
    with Lock(path):
        refuse_existing(path)  # another process may have been faster
        return write_settings(path, settings)


def resolved(model: ZSLModel) -> dict[str, Any]:
    """All options of a model as run.json holds them: with those that were left to their defaults.

    What the data fix is no option of the user.
    """
    derived = ("codes", "thetas", "audio_dim", "video_dim", "encoders")
    return {key: value for key, value in model.options().items() if key not in derived}


def refuse_existing(path: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        BadInput: it does.
    """
    if (path / SETTINGS).exists():
        raise BadInput(
            f"run '{path}': already exists; continue it with "
            f"`neurozsl train{words({'resume': path})}` or choose another --out"
        )


def train(path: Path, *, progress: EpochProgress | None = None, crew: Crew | None = None) -> Run:
    """Train a created run, or continue it from its last checkpoint, and score it.

    path: several processes all see the same folder. progress: called after every epoch, and while
    the test set is scored. crew: devices and processes; None: this process, as the settings say.

    Raises:
        BadInput: the run cannot be read or trained, or it is a fine-tuning and has several
            processes.
    """
    team = Alone() if crew is None else crew.team
    done = (path / RESULT).exists()
    team.wait()  # all have looked before the first one can write it
    if done:
        return open_run(path)
    lock = Lock(path, then="go on with `neurozsl train --resume`")
    first_does(team, lock.take)
    try:
        return _trained(path, progress, crew, team)
    finally:
        lock.release()


def _trained(path: Path, progress: EpochProgress | None, crew: Crew | None, team: Team) -> Run:
    """The run, trained by the processes that hold its lock."""
    settings = read_settings(path)
    data = load_data(path, settings)
    first = team.rank == 0
    extra: dict[str, Any] = {}
    if settings.qat is not None:
        if team.size > 1:
            raise BadInput(
                f"run '{path}': fine-tuning runs in one process, not in {team.size}; leave "
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
            run=settings.digest,
            teachers=_teachers(path, settings),
            progress=progress,
            crew=crew,
        )
        if first:
            write_model_options(path, settings.model, model)
    model.float()  # as `open_run` reads it, so that the scores are those of the stored model
    device = settings.train.device
    scored = final_result(
        model,
        data,
        selected,
        device=device,
        team=None if crew is None else team,
        progress=progress if first else None,
    )
    if settings.train.budget is not None:
        how, samples = settings.train.sparsity or Sparsity(), data.stage(2).train
        scored["warnings"] += left_over(model, settings.train.budget, how, samples)
    result, digest = {**scored, **extra}, ""
    program = trained_program(path, settings, model)
    if first:
        with torch.random.fork_rng(devices=[]):  # a model that is built draws its first weights
            write_kept(path, data, with_integers(read_model(path), settings.qat))
        digest = write_result(path, result, settings, FILES).digest
    folder = data_folder(path, settings)
    about = (selected, result, program, digest)
    return Run(path, settings, data, model.eval(), *about, data_path=folder)


def _fine_tuned(
    path: Path,
    settings: RunSettings,
    qat: FineTuning,
    data: ZSLData,
    progress: EpochProgress | None,
) -> tuple[ZSLModel, Selected, Any]:
    """More epochs from the weights that the run began with; the scores before, as noted."""
    for name in (START, MODEL, STARTED):
        check_file(path, name, settings.sources, SETTINGS)
    found = read_object(path / STARTED, remedy=RESTORE, keys={"selected": dict, "before": list})
    try:
        selected = Selected(**found["selected"])
    except TypeError as error:
        raise BadInput(f"{path / STARTED}: 'selected' {brief(error)}; {RESTORE}") from error
    model = fine_tune(
        data,
        name=settings.model,
        start=lambda: with_integers(read_model(path, START), qat),
        config=settings.train,
        out=path,
        run=settings.digest,
        teachers=_teachers(path, settings),
        progress=progress,
    )
    if qat.rounding is not None:
        program_of(needed_branch(model).spec(), qat.rounding).save(path / INTEGERS)
    return model, selected, found["before"]


def _teachers(path: Path, settings: RunSettings) -> Teachers | None:
    """The models of the run that teaches this one, by stage.

    Raises:
        BadInput: it is missing, or was trained on other data.
    """
    asked = settings.train.distillation
    if asked is None:
        return None
    folder = (path / asked.teacher).resolve()
    alignment, features = settings.label_alignment, settings.feature_name
    run = check_teacher(folder, settings.data_fingerprint, alignment, features)
    check_source(path, settings, "teacher", run.path / RESULT, run.digest)

    def teacher(stage: int) -> Teacher:
        model = first_stage_model(run.path) if stage == 1 else run.model
        return Teacher(model, run.selected.head_weight)

    return teacher
