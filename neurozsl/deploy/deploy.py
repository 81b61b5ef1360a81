"""From a trained run to a bundle for one target, and back to the scores of the deployed model.

In: an opened `Run`. `deploy` describes its spiking branch, collects calibration and golden inputs
from the data (training rows calibrate, test rows are golden), and hands both to `export`, with a
function that scores the whole split model for any motion backend. Models stay unknown to `export`,
bundles stay unknown to `evaluation`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import BranchSpec, ChipInput, Policy, Trace
from neurozsl.data.batch import Split
from neurozsl.export.bundle.build_branch import Steps, TrainedIntegers, build_bundle
from neurozsl.export.bundle.bundle import Bundle, StageProgress, open_bundle
from neurozsl.export.bundle.manifest import Manifest, Step
from neurozsl.export.bundle.manifest import read as read_manifest
from neurozsl.export.bundle.policy import Wanted
from neurozsl.export.targets import TARGETS
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.models.base import ZSLModel, branch_of, closed_loop, needed_branch
from neurozsl.runs.run import Run, read_settings
from neurozsl.scoring.evaluation import Evaluation, MotionBackend, collect, evaluate
from neurozsl.training.qat import Rounding, default_folder

CALIBRATION_ROWS = 256


def chip_input(model: ZSLModel, split: Split, rows: Any) -> ChipInput:
    """What the chip would read for samples `rows` of a split, as integers.

    Raises:
        BadInput: the model has no spiking branch.
    """
    import torch

    with torch.no_grad():
        prepared = model.prepare(split.batch(rows))
    if prepared.chip_input is None:
        raise BadInput("model: it has no motion branch; train with motion=true to deploy it")
    found: ChipInput = prepared.chip_input.to_numpy()
    return found


def default_policy(trained: Policy, target: str) -> Wanted:
    """The policy of a deployment where none is asked for: as trained, where a target can.

    No target closes the loop of spikes and thresholds. Of what remains the table per step keeps
    most of it (the loop starts without spikes, so its thresholds rise over the first steps);
    targets that hold one constant get that. The manifest names the change.
    """
    if trained == "closed":
        return "frozen" if find_target(target).features["table"] == "no" else "table"
    return "dynamic" if trained == "dynamic" else "fixed"


def with_thresholds(model: ZSLModel, chip: ChipInput, spec: BranchSpec) -> ChipInput:
    """The input with the thresholds that the branch itself uses on it, where it closes the loop.

    A closed loop moves its thresholds by its own spikes: `prepare` cannot know them, calibration
    asks the branch. For every other policy the input is returned as it is.
    """
    import torch

    if spec.policy != "closed":
        return chip
    with torch.no_grad():
        found = closed_loop(needed_branch(model)).thresholds(_as_float(chip))
    return ChipInput(chip.codes, chip.code, {k: v.double().numpy() for k, v in found.items()})


def own_branch(model: ZSLModel) -> MotionBackend:
    """The model's own branch as a motion backend: Norse, stepped as it was trained."""
    import torch

    def run(chip: ChipInput) -> Trace:
        with torch.no_grad():
            trace = needed_branch(model)(_as_float(chip))
        return trace.to_numpy()

    return run


def _as_float(chip: ChipInput) -> ChipInput:
    import torch

    codes = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in chip.codes.items()}
    return ChipInput(codes, chip.code, None)


def spread(split: Split, count: int) -> Any:
    """Up to `count` rows of a split, evenly spread, so that all classes appear."""
    return np.unique(np.linspace(0, len(split) - 1, count).astype(np.int64))


def golden_input(run: Run, count: int) -> ChipInput:
    """Inputs of `count` test samples, half seen and half unseen classes."""
    stage = run.data.stage(2)
    parts = [
        chip_input(run.model, split, spread(split, n))
        for split, n in ((stage.seen, count - count // 2), (stage.unseen, count // 2))
    ]
    codes = {k: np.concatenate([p.codes[k] for p in parts]) for k in parts[0].codes}
    theta = None
    if parts[0].theta is not None:
        theta = {k: np.concatenate([p.theta[k] for p in parts]) for k in parts[0].theta}  # type: ignore[index]  # same policy in all parts
    return ChipInput(codes, parts[0].code, theta)


def branch_spec(run: Run) -> BranchSpec:
    """The spiking branch of a run as it will be deployed.

    Raises:
        BadInput: there is none, or it cannot be deployed.
    """
    branch = branch_of(run.model)
    if branch is None:
        name = run.settings.model
        if "motion" in run.settings.options:
            raise BadInput(
                f"run '{run.path}': its model '{name}' has no spiking branch (motion=false); "
                "train with motion=true to export it"
            )
        raise BadInput(
            f"run '{run.path}': model '{name}' never spikes and has no branch that a chip could "
            f"take; run it on the host with `neurozsl evaluate {run.path}`, or train a spiking "
            "model, for example --model mdft"
        )
    return branch.spec()


def score_backend(
    run: Run, backend: MotionBackend | None, *, progress: Progress | None = None
) -> Evaluation:
    """Scores on the test splits with the branch on a backend (None: the model's own, Norse)."""
    collected = collect(
        run.model, run.data.stage(2), run.data.vectors, backend=backend, progress=progress
    )
    chosen = run.selected
    return evaluate(collected, beta=chosen.beta, head_weight=chosen.head_weight)


def deploy(
    run: Run,
    *,
    target: str,
    out: Path | None = None,
    threshold: Wanted | None = None,
    bits: int | None = None,
    scale: ScaleRule | None = None,
    correct_bias: bool = False,
    samples: int = 16,
    max_hm_drop: float = 2.0,
    progress: StageProgress | None = None,
) -> Manifest:
    """Export, verify and score a run's branch; writes `RUN/deploy/TARGET` unless `out` is given.

    bits, scale: None takes those that the run was fine-tuned to, else 8 bits and "max".
    """
    spec = branch_spec(run)
    rounding = _rounding(run, bits, scale, correct_bias)
    train = run.data.stage(2).train
    golden = golden_input(run, samples)

    def score(backend: MotionBackend | None) -> Mapping[str, float]:
        scores = score_backend(run, backend).scores
        return {"S": scores.S, "U": scores.U, "HM": scores.HM, "ZSL": scores.ZSL}

    return build_bundle(
        spec,
        target=target,
        out_dir=out or run.path / "deploy" / target,
        calibration=with_thresholds(
            run.model, chip_input(run.model, train, spread(train, CALIBRATION_ROWS)), spec
        ),
        samples=golden,
        bits=rounding.bits,
        scale=rounding.scale,
        correct_bias=correct_bias,
        threshold=threshold or default_policy(spec.policy, target),
        integers=_trained_integers(run, golden),
        score=score,
        max_hm_drop=max_hm_drop,
        # No backend of a bundle steps a closed loop: its score is the one of training.
        reference_score=(
            run.result["test"] if run.program is not None or spec.policy == "closed" else None
        ),
        steps=_related_steps(run, rounding),
        progress=progress,
    )


def _rounding(run: Run, bits: int | None, scale: ScaleRule | None, correct_bias: bool) -> Rounding:
    """The integers that are asked for; a run that was trained in integers has its own alone."""
    if run.program is None:
        return Rounding(bits=8 if bits is None else bits, scale=scale or "max")
    assert run.settings.qat is not None and run.settings.qat.rounding is not None
    own = run.settings.qat.rounding
    asked = Rounding(own.chip, own.bits if bits is None else bits, scale or own.scale)
    if asked != own or correct_bias:
        raise BadInput(
            f"run '{run.path}': was trained in {own.bits}-bit integers (scale {own.scale}), asked "
            f"for {asked.bits} bits, scale {asked.scale}, bias correction {correct_bias}; leave "
            "these options out, or export the run that it was fine-tuned from"
        )
    return own


def _trained_integers(run: Run, golden: ChipInput) -> TrainedIntegers | None:
    """The integers of a run with the spikes of its training forward; None of a float run."""
    if run.program is None:
        return None
    return TrainedIntegers(run.program, training_spikes(run, golden))


def training_spikes(run: Run, samples: ChipInput) -> Trace:
    """Spikes of the branch's own forward in training mode, as its loss saw them."""
    branch = needed_branch(run.model)
    was_training = branch.training
    branch.train()
    try:
        trace: Trace = branch(_as_float(samples))
    finally:
        branch.train(was_training)
    return trace.to_numpy()


def _related_steps(run: Run, rounding: Rounding) -> Steps:
    """Scores of the run that this one was fine-tuned from, or of the one fine-tuned from it."""
    before = _counted(run, tuple(Step(**step) for step in run.result.get("before", ())))
    if run.settings.qat is not None:
        name = "after QAT" if run.program is not None else "fine-tuned in float"
        return Steps(name, before)
    beside = default_folder(run.path, rounding)
    if not (beside / "result.json").is_file():
        return Steps()
    qat = read_settings(beside).qat
    if qat is None or (beside / qat.parent).resolve() != run.path.resolve():
        return Steps()
    test = json.loads((beside / "result.json").read_text())["test"]
    figures = {key: test[key] for key in ("S", "U", "HM", "ZSL")}
    return Steps(after=(Step(step="after QAT", backend="emulator", policy="frozen", **figures),))


def _counted(run: Run, before: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps of the run before fine-tuning, with the operations that its own bundles counted."""
    if run.settings.qat is None:
        return before
    known: dict[tuple[str, str, str], Any] = {}
    for target in TARGETS:
        try:
            manifest = read_manifest(run.path / run.settings.qat.parent / "deploy" / target)
        except BadInput:  # not exported, or damaged: nothing is known of it
            continue
        known |= {(s.step, s.backend, s.policy): s.operations for s in manifest.steps}
    return tuple(
        s.model_copy(update={"operations": known.get((s.step, s.backend, s.policy))})
        for s in before
    )


def default_backend(bundle: Bundle) -> str:
    """The backend that a bundle is scored on when none is named: the first of its target."""
    return TARGETS[bundle.manifest.target].backends[0]


def check_belongs(run: Run, bundle: Bundle) -> None:
    """Refuse a bundle whose inputs are not those of the run's model.

    Raises:
        BadInput: naming the input that differs.
    """
    spec = branch_spec(run)
    for name, code in spec.inputs.items():
        if bundle.spec.inputs.get(name) != code:
            raise BadInput(
                f"bundle '{bundle.path}': input '{name}' is coded as "
                f"{bundle.spec.inputs.get(name)}, the run '{run.path}' writes {code}; export the "
                "run again"
            )


def evaluate_run(
    run: Run,
    *,
    bundle: Path | None = None,
    backend: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What `neurozsl evaluate` reports: scores, chance, and where the motion branch ran."""
    if bundle is None:
        result = score_backend(run, None, progress=progress)
        name = _own_backend(run)
        where = {"motion_backend": name, "policy": _policy(run), "bundle": None}
    else:
        opened = open_bundle(bundle)
        check_belongs(run, opened)
        name = backend or default_backend(opened)
        result = score_backend(run, opened.backend(name), progress=progress)
        where = {"motion_backend": name, "policy": opened.spec.policy, "bundle": str(bundle)}
    return {**result.as_json(), **where, "host_device": "cpu"}


def _own_backend(run: Run) -> str:
    """Where a run's branch runs without a bundle; `none` where nothing spikes."""
    if branch_of(run.model) is None:
        return "none"
    return "norse" if run.program is None else "emulator"


def _policy(run: Run) -> str:
    if branch_of(run.model) is None:
        return "none"
    if run.settings.qat is not None:
        return run.settings.qat.threshold
    return str(run.settings.options.get("threshold", "none"))
