"""A finished run, opened: every file that its scores come from is the one that was scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.shell import words
from neurozsl.data.batch import ZSLData
from neurozsl.hardware.loihi.program import Program
from neurozsl.models.base import ZSLModel, needed_branch
from neurozsl.runs.kept import KEPT, kept_data, read_kept
from neurozsl.runs.result import NAME as RESULT
from neurozsl.runs.result import Result, read_result
from neurozsl.runs.seal import check_digest
from neurozsl.runs.settings import NAME as SETTINGS
from neurozsl.runs.settings import DataElsewhere, RunSettings, data_folder, load_data, read_settings
from neurozsl.runs.stored import (
    FIRST_STAGE,
    INTEGERS,
    MODEL,
    START,
    STARTED,
    WEIGHTS,
    built,
    read_model,
    read_options,
)
from neurozsl.training import checkpoint
from neurozsl.training.qat import FineTuning, IntegerForward, learning, program_of, same_integers
from neurozsl.training.stage_loop import Selected


@dataclass(frozen=True)
class Run:
    """An opened run that has been trained.

    program: the integers that its branch was trained with; None where it was trained in float.
    digest: of its result, by which a run that it teaches or begins knows it. note: that its files
    are not checked, where an earlier version wrote it. data_path: the folder of its data; None:
    they are not here, and `data` is what the run kept of them (`kept.KeptData`).
    """

    path: Path
    settings: RunSettings
    data: ZSLData
    model: ZSLModel
    selected: Selected
    result: Mapping[str, Any]
    program: Program | None = None
    digest: str = ""
    note: str = ""
    data_path: Path | None = None


def open_run(path: Path, *, data: Path | None = None) -> Run:
    """Open a finished run: model in evaluation mode on the CPU.

    data: where its data set lies; None: where it was, or where `NEUROZSL_DATA` says. A run whose
    data are not there opens with what it kept of them.

    Raises:
        DataElsewhere: the data are not there, and the run is of a version that kept nothing of
            them, or `data` was given.
        BadInput: no run, unfinished, or files damaged.
    """
    settings = read_settings(path)
    result = check_run(path, settings)
    folder, loaded = _data(path, settings, result, data)
    model = with_integers(read_model(path), settings.qat)
    program = trained_program(path, settings, model)
    about = (result.selected, result.content, program, result.digest, result.note)
    return Run(path, settings, loaded, model, *about, folder)


def _data(
    path: Path, settings: RunSettings, result: Result, given: Path | None
) -> tuple[Path | None, ZSLData]:
    """Folder and content of the data set, or None and what is kept of it."""
    try:
        folder = data_folder(path, settings, given)
    except DataElsewhere as error:
        if given is not None or KEPT not in result.files:
            raise
        return None, kept_data(read_kept(path), str(error))
    return folder, load_data(path, settings, given)


def check_run(path: Path, settings: RunSettings) -> Result:
    """The result of a finished run, every file that opening it reads being the one it comes from.

    Raises:
        BadInput: unfinished, or files damaged.
    """
    result = _finished(path, settings)
    for name in (WEIGHTS, MODEL, INTEGERS, START, STARTED, KEPT):
        result.check_file(path, name)
    return result


def load_result(path: Path) -> Mapping[str, Any]:
    """What `result.json` of a finished run holds, without opening its model and data.

    Raises:
        BadInput: no run, unfinished, or changed.
    """
    return _finished(path, read_settings(path)).content


def _finished(path: Path, settings: RunSettings) -> Result:
    if not (path / RESULT).is_file():
        raise BadInput(
            f"run '{path}': training has not finished, {RESULT} is missing; continue with "
            f"`neurozsl train{words({'resume': path})}`"
        )
    return read_result(path, settings)


def trained_program(path: Path, settings: RunSettings, model: ZSLModel) -> Program | None:
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


def load_model(path: Path) -> ZSLModel:
    """The trained model of a finished run, without its data; its branch runs in Norse.

    Raises:
        BadInput: no run, unfinished, or files damaged.
    """
    result = _finished(path, read_settings(path))
    for name in (WEIGHTS, MODEL):
        result.check_file(path, name)
    return read_model(path)


def with_integers(model: ZSLModel, qat: FineTuning | None) -> ZSLModel:
    """The same model; its branch runs in integers where it was trained with them.

    Raises:
        BadInput: its branch is none that can.
    """
    if qat is not None and qat.rounding is not None:
        learning(needed_branch(model)).override = IntegerForward(qat.rounding)
    return model


def check_source(path: Path, settings: RunSettings, role: str, file: Path, found: str) -> None:
    """Refuse another parent or teacher (`role`) than the one that the run was made with.

    file, found: its result and the digest of it.

    Raises:
        BadInput: it is another.
    """
    noted = settings.sources.get(role)
    if noted is not None:
        check_digest(file, found, noted, f"{path / SETTINGS} of its {role}")


def first_stage_model(path: Path) -> ZSLModel:
    """The best model of stage 1 of a run, which has not seen the validation classes.

    Raises:
        BadInput: the run has none; a fine-tuned one has that of its parent.
    """
    settings = read_settings(path)
    result = read_result(path, settings)
    if settings.qat is not None:
        parent = path / settings.qat.parent
        digest = read_result(parent, read_settings(parent)).digest
        check_source(path, settings, "parent", parent / RESULT, digest)
        return first_stage_model(parent)
    file = path / FIRST_STAGE
    if not file.is_file():
        raise BadInput(
            f"run '{path}': {FIRST_STAGE} is missing, so there is no model that has not "
            "seen the validation classes (model.safetensors was trained on them); train again, or "
            "do without it (a number in the place of --margin auto, another --teacher)"
        )
    result.check_file(path, FIRST_STAGE)
    result.check_file(path, MODEL)
    written = read_options(path)
    name = written.pop("name")
    _, meta = checkpoint.read(file)
    # Its input codes are its own; files of earlier versions do not hold them.
    model = built(file, name, meta.get("options", written))
    checkpoint.load_model(file, model)
    return model.eval()


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
