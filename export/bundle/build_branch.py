"""Export, verify and write the bundle of a model's spiking branch.

A network that was trained in integers (`TrainedIntegers`) is shipped as these very integers;
`motion.nir` then holds their float twin (weights x unit, threshold half a state LSB up), which
gives any NIR reader the same spikes but for the truncation of the membrane.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.export.backends.registry import RUNS_INTEGERS, Parts, backend
from neurozsl.export.bundle.bundle import StageProgress
from neurozsl.export.bundle.bundle_files import describe, publish, staged, write_golden, write_parts
from neurozsl.export.bundle.dead_neurons import Removal, remove_dead
from neurozsl.export.bundle.manifest import (
    DeadLayer,
    DeadNeurons,
    MadeFrom,
    Manifest,
    Operations,
    Step,
)
from neurozsl.export.bundle.operations import ScoredStep, mesh_cores
from neurozsl.export.bundle.policy import Wanted, apply_policy
from neurozsl.export.bundle.twin import unfolded
from neurozsl.export.bundle.verify import verify
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.targets import Target
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.arithmetic.base import QuantiserOptions
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.place.mapping import Mapping as Placed
from neurozsl.hardware.place.place import place


@dataclass(frozen=True)
class StepScore:
    """S, U, HM and ZSL in percent after one step, and the operations of its branch."""

    figures: Mapping[str, float]
    operations: Operations | None = None


Score = Callable[[Mapping[str, ScoredStep]], Mapping[str, StepScore]]
"""Scores all steps at once, so that the host part of the model runs once for all of them."""


@dataclass(frozen=True)
class TrainedIntegers:
    """A network whose training forward ran in integers.

    program: these integers. spikes: of the training forward, on the golden samples.
    """

    program: Program
    spikes: Trace


@dataclass(frozen=True)
class Steps:
    """Scores from the trained model to the deployment, beside those that `score` gives.

    trained: name of the trained model's step. before, after: steps of related runs.
    """

    trained: str = "trained"
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


def build_bundle(
    spec: BranchSpec,
    *,
    target: str,
    out_dir: Path,
    calibration: ChipInput,
    samples: ChipInput,
    bits: int = 8,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
    threshold: Wanted = "fixed",
    keep_dead_neurons: bool = False,
    integers: TrainedIntegers | None = None,
    score: Score | None = None,
    max_hm_drop: float = 2.0,
    reference_score: Mapping[str, float] | None = None,
    steps: Steps | None = None,
    made_from: MadeFrom | None = None,
    timeout_s: float | None = None,
    progress: StageProgress | None = None,
) -> Manifest:
    """Export the trained branch, verify it and write one bundle; returns its manifest.

    target: key of `export.targets`. out_dir: replaced only by a bundle that did not fail.
    calibration: samples that give frozen thresholds and the quantisation report. samples: golden
    ones, 16 or more make the verdict worth quoting. bits, scale, correct_bias: of the integers, see
    `hardware.arithmetic.quantize`; not used of a network trained in `integers`, which are shipped.
    threshold: policy of the deployed branch. keep_dead_neurons: those too that never spike or that
    nobody reads (`dead_neurons`). score: scores the steps of the deployment, by their
    names, on the test set. max_hm_drop: allowed loss of HM in points, trained model to deployment.
    reference_score: of the trained model, if it is known already. steps: name of the trained step,
    and the scores of related runs. made_from: the run, which the manifest notes. timeout_s: limit
    of one Lava run. progress: called with stage, samples done, samples in all.

    Raises:
        VerificationFailed: verdict FAIL; the folder is `<out_dir>.rejected`.
        DoesNotFit: the integers break a limit of the chip; nothing is written.
        BadInput: unknown target, a policy that cannot be reached, a folder that is no bundle.
    """
    chosen, out_dir = find_target(target), Path(out_dir)
    if samples.batch < 1:
        raise BadInput("export: no golden sample was given; pass at least one, better 16")
    if integers is not None:
        _check_integers(integers.program, chosen)
        spec = unfolded(dequantize(integers.program))
    trained = canonical(spec)
    deployed, policy_loss = apply_policy(trained, threshold, calibration)
    deployed = canonical(deployed)
    with staged(out_dir) as part:
        rounding = QuantiserOptions(calibration, bits, scale, correct_bias)
        program = None if integers is None else integers.program
        whole = write_parts(part, to_nir(deployed), deployed, chosen, rounding, program)
        parts, removal = whole, None
        if not keep_dead_neurons:
            removal = remove_dead(whole, recount=integers is None)
        if removal is not None and removal.layers:
            graph = to_nir(removal.spec)
            parts = write_parts(part, graph, removal.spec, chosen, rounding, removal.program)
        # Before the slow checks: integers that do not fit leave nothing.
        placed = place(parts.program, parts.program.chip) if parts.program else None
        spikes = None if integers is None else integers.spikes
        if removal is not None and spikes is not None:
            spikes = removal.trace(spikes)
        golden = write_golden(part, parts, chosen, samples, spikes)
        found = verify(
            parts,
            samples,
            target_name=target,
            golden=golden,
            trained=spikes,
            policy_loss=policy_loss,
            timeout_s=timeout_s,
            progress=progress,
            neurons={layer.name: layer.size for layer in whole.lowered.layers},
        )
        differ, dead = _checked(removal, whole, golden, samples, chosen, placed)
        related = steps or Steps()
        stages = _stages(trained, whole, parts, chosen, rounding, related.trained, program)
        own = _score_steps(stages, score, reference_score)
        manifest = describe(
            part,
            parts,
            chosen,
            found,
            found.reasons + differ + _hm_drop(own, max_hm_drop),
            placed,
            trained_policy=spec.policy,
            policy_loss=policy_loss,
            trained_forward="float" if integers is None else "integers",
            bias_correction=parts.program is not None and correct_bias and integers is None,
            steps=(*related.before, *own, *related.after) if own else (),
            dead_neurons=dead,
            run=made_from,
        )
        return publish(part, out_dir, manifest)


def _checked(
    removal: Removal | None,
    whole: Parts,
    lean: Trace,
    samples: ChipInput,
    chosen: Target,
    placed: Placed | None,
) -> tuple[tuple[str, ...], DeadNeurons | None]:
    """What the samples show against leaving out dead neurons, and what it saves; None without any.

    lean: spikes of the samples without them.
    """
    if removal is None or not removal.layers:
        return (), None
    before = backend(chosen.backends[0], whole, own=chosen.own_backends)(samples)
    freed = None
    if placed is not None and whole.program is not None:
        with suppress(DoesNotFit):
            cores = len(place(whole.program, whole.program.chip).parts)
            freed = cores - len(placed.parts)
    rows = (DeadLayer(**vars(row)) for row in removal.layers)
    saved = DeadNeurons(
        neurons=removal.count,
        updates=removal.count * whole.lowered.steps,
        cores=freed,
        layers=tuple(rows),
    )
    return removal.differences(before, lean), saved


def _check_integers(program: Program, chosen: Target) -> None:
    """Integers of one chip are not those of another."""
    if "fixed" in chosen.fidelity and chosen.chip != program.chip:
        raise BadInput(
            f"export to '{chosen.name}': the network was trained in the integers of "
            f"{program.chip}, the target is {chosen.chip}; fine-tune the original run for it "
            f"(neurozsl train --resume RUN --qat {chosen.chip}) or export that one"
        )


_Stage = tuple[str, str, Parts]  # name of the step, backend, what runs


def _stages(
    trained: BranchSpec,
    whole: Parts,
    parts: Parts,
    chosen: Target,
    rounding: QuantiserOptions,
    name: str,
    program: Program | None,
) -> list[_Stage]:
    """What is scored, from the trained model (first) to the deployment (last).

    A policy that follows the sample is also scored frozen, in float and in integers, wherever it
    is deployed as it is: that is what a chip without programmable neurons would give.
    `program`: integers that the network was trained with. whole: the deployment with its dead
    neurons, as it was trained.
    """
    deployed = parts.lowered
    if program is not None:
        integers = Parts(whole.spec, whole.lowered, program)
        return [(name, "emulator", integers), (f"{name}, deployed", chosen.backends[0], parts)]
    stages: list[_Stage] = [(name, "norse", Parts(trained, whole.lowered))]
    if trained.policy in ("dynamic", "table", "closed") and deployed.policy != "frozen":
        assert rounding.calibration is not None
        spec, _ = apply_policy(trained, "frozen", rounding.calibration)
        lowered = lower(to_nir(spec))
        stages.append(("frozen", "norse", Parts(spec, lowered)))
        if parts.program is not None:
            constant = quantize(lowered, parts.program.chip, **vars(rounding))
            stages.append(("fixed-point", "emulator", Parts(spec, lowered, constant)))
    if trained.policy != deployed.policy:
        stages.append((deployed.policy, "norse", parts))
    if parts.program is not None:
        policy = deployed.policy
        step = "fixed-point" if policy in ("fixed", "frozen") else f"fixed-point, {policy}"
        stages.append((step, "emulator", parts))
    return stages


def _score_steps(
    stages: list[_Stage], score: Score | None, reference: Mapping[str, float] | None
) -> tuple[Step, ...]:
    """Accuracy of every stage; that of the first is not computed again where it is known."""
    if score is None:
        return ()
    asked, cores = {}, dict[tuple[int, ...], Placed | None]()  # cores: by the sizes of the layers
    for step, name, use in stages if reference is None else stages[1:]:
        integers = use.program if name in RUNS_INTEGERS else None
        sizes = _sizes(use)
        if sizes not in cores:
            cores[sizes] = mesh_cores(use.lowered)
        asked[step] = ScoredStep(backend(name, use), integers or use.lowered, cores[sizes])
    found = dict(score(asked)) if asked else {}
    if reference is not None:
        # Trained in these very integers: what is deployed does what was trained, neuron by neuron.
        same = all(
            name in RUNS_INTEGERS and _sizes(use) == _sizes(stages[-1][2])
            for _, name, use in stages
        )
        last = found.get(stages[-1][0])
        found[stages[0][0]] = StepScore(reference, last.operations if same and last else None)
    return tuple(
        Step(
            step=step,
            backend=name,
            policy=use.lowered.policy if use.spec is None else use.spec.policy,
            operations=found[step].operations,
            **{key: float(found[step].figures[key]) for key in ("S", "U", "HM", "ZSL")},
        )
        for step, name, use in stages
    )


def _sizes(parts: Parts) -> tuple[int, ...]:
    return tuple(layer.size for layer in parts.lowered.layers)


def _hm_drop(steps: tuple[Step, ...], limit: float) -> tuple[str, ...]:
    if len(steps) < 2 or steps[0].HM - steps[-1].HM <= limit:
        return ()
    path, drop = " -> ".join(f"{x.step} {x.HM:.2f}" for x in steps), steps[0].HM - steps[-1].HM
    return (f"HM drops by {drop:.2f} points ({path}), limit {limit:g} (--max-hm-drop)",)
