"""Fine-tuning a finished run for deployment: a new run folder beside it.

The start is the run's model as it would be deployed: the BatchNorms of the branch keep the
statistics they have and are folded into its weights, which are then trained directly; thresholds
that follow the sample become one constant per layer, their mean over training samples. From there
it trains a few epochs on all training data of stage 2, with the forward of the branch in the
chip's integers (`qat`), or in float: the control, which tells what rounding adds to training on.
Where a finished run is pruned or taught in float, its model begins as it is instead: BatchNorm
learns on, thresholds are not frozen.

The scores before are kept: as trained, frozen, and in integers without fine-tuning.
"""

import os
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.lock import Lock
from neurozsl.core.shell import words
from neurozsl.core.signals import MotionBackend
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.samples import calibration_input
from neurozsl.deploy.score import score_each
from neurozsl.export.bundle.bundle import StageProgress
from neurozsl.export.bundle.policy import apply_policy
from neurozsl.export.nir.graph import canonical
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.models.base import BranchModel, branch_model, needed_branch
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.runs.seal import file_digests
from neurozsl.runs.settings import SCHEMA, RunSettings, read_settings, versions, write_settings
from neurozsl.training import checkpoint
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import FineTuning, Rounding, learning, program_of, tuned_folder

EPOCHS = 5
PRUNING_EPOCHS = 10  # the density falls within them, and the last three train at the final one
LR = 1e-3


def create(
    parent: Run,
    *,
    rounding: Rounding | None,
    train: TrainConfig,
    frozen: bool = True,
    out: Path | None = None,
    progress: StageProgress | None = None,
) -> Path:
    """Make the folder of a fine-tuned run, by default beside its parent; `runs.train` trains it.

    A folder that already holds this very fine-tuning is left as it is, to be continued.

    Args:
        parent: the finished run.
        rounding: the chip's integers; None in float.
        train: epochs, learning rate and seed of the fine-tuning, and what is pruned.
        frozen: begin with the model as it would be deployed, which integers need.
        out: folder of the new run.
        progress: called with the step that is scored, samples done, samples in all.

    Raises:
        BadInput: the folder holds something else, the parent has no branch or was folded and
            frozen itself, or its branch does not go into the integers.
    """
    tuning = FineTuning(rounding, "", "frozen" if frozen else "trained")
    parent.data.stage(2)  # refused before a folder is made where its data are not here
    path = out or tuned_folder(parent.path, tuning, train)
    qat = replace(tuning, parent=os.path.relpath(parent.path.resolve(), path.resolve()))
    if train.distillation is not None:
        teacher = os.path.relpath(Path(train.distillation.teacher).resolve(), path.resolve())
        train = replace(train, distillation=replace(train.distillation, teacher=teacher))
    before_it = parent.settings.qat
    if before_it is not None and before_it.threshold == "frozen":
        raise BadInput(
            f"run '{parent.path}': was fine-tuned itself, folded and frozen; fine-tune the run it "
            f"came from, '{parent.path / before_it.parent}'"
        )
    if (path / "run.json").exists():
        found = read_settings(path)
        if found.qat != qat or found.train != train:
            raise BadInput(
                f"run '{path}': exists with other settings ("
                + ", ".join((*_differing(found.qat, qat), *_differing(found.train, train)))
                + f"); continue it with `neurozsl train{words({'resume': path})}` or "
                "choose another --out"
            )
        return path
    sources = {"parent": parent.digest}
    if train.distillation is not None:  # refused before a folder is made
        own = parent.settings
        taught_by = (path / train.distillation.teacher).resolve()
        sources["teacher"] = runs.check_teacher(
            taught_by, own.data_fingerprint, own.label_alignment, own.feature_name
        ).digest
    model = frozen_model(parent) if frozen else branch_model(parent.model)
    before = [_trained(parent)]
    if frozen:
        before += _scores_before(parent, model, rounding, progress)
    options = {k: v for k, v in model.options().items() if k in parent.settings.options}
    data = (parent.path / parent.settings.data).resolve()
    settings = replace(
        parent.settings,
        schema=SCHEMA,
        sources=sources,
        options=options,
        train=train,
        data=os.path.relpath(data, path.resolve()),
        versions=versions(),
        qat=qat,
    )
    _write(path, settings, model, before, parent)
    return path


def _differing(found: Any, asked: Any) -> list[str]:
    """The fields in which two values of one class differ, as a person reads them."""
    pairs = ((x.name, getattr(found, x.name, None), getattr(asked, x.name)) for x in fields(asked))
    return [f"{name} {old}, asked for {new}" for name, old, new in pairs if old != new]


def frozen_model(parent: Run) -> BranchModel:
    """The model of a run as it would be deployed: BatchNorm folded, thresholds constant."""
    described = canonical(branch_spec(parent))
    spec, _ = apply_policy(described, "frozen", calibration_input(parent, described))
    thetas = {x.name: float(x.threshold[0]) for x in spec.layers}
    return branch_model(parent.model).frozen(thetas).eval()


def _scores_before(
    parent: Run, model: BranchModel, rounding: Rounding | None, progress: StageProgress | None
) -> list[dict[str, Any]]:
    """S, U, HM, ZSL frozen, and rounded without fine-tuning."""
    policy = branch_spec(parent).policy
    backends: dict[str, MotionBackend | None] = {}
    if policy in ("dynamic", "closed"):
        backends["frozen"] = None
    if rounding is not None:
        branch = needed_branch(model)
        backends["fixed-point"] = partial(emulate, program_of(branch.spec(), rounding))
        learning(branch)  # refused before a folder is made
    told = None if progress is None else partial(progress, ", ".join(backends))
    found = score_each(replace(parent, model=model), backends, progress=told)
    names = {"frozen": "norse", "fixed-point": "emulator"}
    return [_step(x, names[x], "frozen", asdict(y.scores)) for x, y in found.items()]


def _trained(parent: Run) -> dict[str, Any]:
    return _step("trained", "norse", branch_spec(parent).policy, parent.result["test"])


def _step(step: str, backend: str, policy: str, scores: Any) -> dict[str, Any]:
    figures = {key: float(scores[key]) for key in ("S", "U", "HM", "ZSL")}
    return {"step": step, "backend": backend, "policy": policy, **figures}


def _write(
    path: Path, settings: RunSettings, model: BranchModel, before: list[dict[str, Any]], parent: Run
) -> None:
    """All files of the new run; `run.json` last, so that a folder that has it is complete."""
    with Lock(path):
        runs.refuse_existing(path)  # another process may have been faster
        checkpoint.save_model(path / runs.START, model, settings.model)
        runs.write_model_options(path, settings.model, model)
        write_json(path / runs.STARTED, {"selected": asdict(parent.selected), "before": before})
        begun = file_digests(path, (runs.START, runs.MODEL, runs.STARTED))
        write_settings(path, replace(settings, sources={**settings.sources, **begun}))
