"""From a trained run to a bundle for one target, and back to the scores of the deployed model.

In: an opened `Run`. `deploy` describes its spiking branch, collects calibration and golden inputs
from the data (training rows calibrate, test rows are golden), and hands both to `export`, with a
function that scores the whole split model at every step of the deployment. Models stay unknown to
`export`, bundles stay unknown to `evaluation`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import Policy
from neurozsl.deploy.belonging import check_belongs, made_from
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.on_workers import collected_on
from neurozsl.deploy.samples import calibration_input, golden_input, training_spikes
from neurozsl.deploy.score import RunScores, score_backend, score_steps, scored
from neurozsl.export.bundle.build_branch import Steps, StepScore, TrainedIntegers, build_bundle
from neurozsl.export.bundle.bundle import Bundle, StageProgress, open_bundle
from neurozsl.export.bundle.manifest import Manifest, Step
from neurozsl.export.bundle.manifest import read as read_manifest
from neurozsl.export.bundle.operations import ScoredStep
from neurozsl.export.bundle.policy import Wanted
from neurozsl.export.targets import TARGETS
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.models.base import branch_of
from neurozsl.runs.kept import KeptData
from neurozsl.runs.run import Run, load_result
from neurozsl.runs.settings import read_settings
from neurozsl.training.qat import Rounding, default_folder


def default_policy(trained: Policy, target: str) -> Wanted:
    """The policy of a deployment where none is asked for: as trained, where a target can.

    No target closes the loop of spikes and thresholds. Of what remains the table per step keeps
    most of it (the loop starts without spikes, so its thresholds rise over the first steps);
    targets that hold one constant get that. The manifest names the change.
    """
    if trained == "closed":
        return "frozen" if find_target(target).features["table"] == "no" else "table"
    return "dynamic" if trained == "dynamic" else "fixed"


def deploy(
    run: Run,
    *,
    target: str,
    out: Path | None = None,
    threshold: Wanted | None = None,
    bits: int | None = None,
    scale: ScaleRule | None = None,
    correct_bias: bool = False,
    keep_dead_neurons: bool = False,
    samples: int = 16,
    max_hm_drop: float = 2.0,
    progress: StageProgress | None = None,
) -> Manifest:
    """Export, verify and score a run's branch; writes `RUN/deploy/TARGET` unless `out` is given.

    Where the data set of the run is not here, what it kept calibrates and is golden, and no step is
    scored: the manifest has no steps.

    bits, scale: None takes those that the run was fine-tuned to, else 8 bits and "max".
    keep_dead_neurons: ship neurons too that never spike or that nobody reads.
    """
    spec = branch_spec(run)
    if samples < 1:
        raise BadInput(f"export: {samples} golden samples, expected 1 or more")
    rounding = _rounding(run, bits, scale, correct_bias)
    golden = golden_input(run, samples)

    def score(scored: Mapping[str, ScoredStep]) -> Mapping[str, StepScore]:
        told = None if progress is None else partial(progress, f"score {', '.join(scored)}")
        return score_steps(run, scored, progress=told)

    return build_bundle(
        spec,
        target=target,
        out_dir=out or run.path / "deploy" / target,
        calibration=calibration_input(run, spec),
        samples=golden,
        bits=rounding.bits,
        scale=rounding.scale,
        correct_bias=correct_bias,
        threshold=threshold or default_policy(spec.policy, target),
        keep_dead_neurons=keep_dead_neurons,
        integers=(
            None
            if run.program is None
            else TrainedIntegers(run.program, training_spikes(run, golden))
        ),
        score=None if isinstance(run.data, KeptData) else score,
        max_hm_drop=max_hm_drop,
        # No backend of a bundle steps a closed loop: its score is the one of training.
        reference_score=(
            run.result["test"] if run.program is not None or spec.policy == "closed" else None
        ),
        steps=_related_steps(run, rounding),
        made_from=made_from(run),
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


def _related_steps(run: Run, rounding: Rounding) -> Steps:
    """Scores of the run that this one was fine-tuned from, or of the one fine-tuned from it."""
    before = _counted(run, tuple(Step(**step) for step in run.result.get("before", ())))
    if run.settings.qat is not None:
        name = "after QAT" if run.program is not None else "fine-tuned in float"
        if run.program is None and run.settings.qat.threshold == "trained":
            name = "fine-tuned"
        return Steps(name, before)
    beside = default_folder(run.path, rounding)
    if not (beside / "result.json").is_file():
        return Steps()
    settings = read_settings(beside)
    qat, began_with = settings.qat, settings.sources.get("parent", run.digest)
    if qat is None or (beside / qat.parent).resolve() != run.path.resolve():
        return Steps()
    if began_with != run.digest:  # fine-tuned from what lay here before
        return Steps()
    test = load_result(beside)["test"]
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
        noted = run.settings.sources.get("parent")
        if manifest.run is not None and noted not in (None, manifest.run.result):
            continue  # of another run
        known |= {(s.step, s.backend, s.policy): s.operations for s in manifest.steps}
    return tuple(
        s.model_copy(update={"operations": known.get((s.step, s.backend, s.policy))})
        for s in before
    )


def default_backend(bundle: Bundle) -> str:
    """The backend that a bundle is scored on when none is named: the first of its target."""
    return TARGETS[bundle.manifest.target].backends[0]


def evaluate_run(
    run: Run,
    *,
    bundle: Path | None = None,
    backend: str = "",
    on: Workers = ALONE,
    progress: Progress | None = None,
) -> RunScores:
    """Score a run on its test splits, with its own branch or with that of a bundle of it.

    backend: of the bundle; default the first of its target. on: where batches are done; the scores
    are those of one process. progress: counts samples.

    Raises:
        BadInput: the bundle is damaged or belongs to another run, there is no such backend, or a
            worker has other files.
        MissingPart: `distributed` is needed and not installed.
    """
    if bundle is None:
        if backend:
            raise BadInput(
                f"backend '{backend}': runs a bundle, and none is given; give both or none"
            )
        (name, policy), motion, note = own_branch(run), None, ""
    else:
        opened = open_bundle(bundle)
        note = check_belongs(run, opened)
        name, policy = backend or default_backend(opened), str(opened.spec.policy)
        motion = opened.backend(name)
    if on.alone:
        result = score_backend(run, motion, progress=progress)
    else:
        using = None if bundle is None else (bundle, name)
        result = scored(run, collected_on(run, using, on, progress))
    return RunScores(
        **result.as_json(),
        motion_backend=name,
        policy=policy,
        bundle=None if bundle is None else str(bundle),
        note="; ".join(filter(None, (run.note, note))),
    )


def own_branch(run: Run) -> tuple[str, str]:
    """Where a run's branch runs without a bundle, and its policy; `none` where nothing spikes."""
    if branch_of(run.model) is None:
        return "none", "none"
    qat = run.settings.qat
    trained = qat is None or qat.threshold == "trained"
    policy = str(run.settings.options.get("threshold", "none")) if trained else "frozen"
    return "norse" if run.program is None else "emulator", policy
