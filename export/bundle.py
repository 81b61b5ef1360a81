"""The folder that is shipped: graph, integers, golden spikes, verdict; made whole or not at all.

    manifest.json    see `manifest`
    motion.nir       float graph; frozen thresholds, the policy in its metadata
    program.npz      integers (targets that have them)
    golden.npz       input samples, the spikes that they must give, and, where the network was
                     trained in integers, the spikes of its training forward
    run_lava.py      target lava: the worker itself, numpy + lava-nc only, runs golden.npz through
                     program.npz

A network that was trained in integers (`TrainedIntegers`) is shipped as these very integers;
`motion.nir` then holds their float twin (weights x unit, threshold half a state LSB up), which
gives any NIR reader the same spikes but for the truncation of the membrane.

Built in a temporary folder beside its destination and renamed when complete. On FAIL the folder
is kept as `<out_dir>.rejected`, an older bundle stays as it was, and the call raises. Integers that
do not fit the cores of the chip leave nothing.
"""

from __future__ import annotations

import math
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.errors import BadInput, VerificationFailed
from neurozsl.export import manifest as manifests
from neurozsl.export import nirfile
from neurozsl.export.backends import MotionBackend, Parts, Run, backend
from neurozsl.export.graph import canonical, from_nir, to_nir
from neurozsl.export.lava.run import WORKER, save_input
from neurozsl.export.manifest import Manifest, Step
from neurozsl.export.policy import Wanted, apply_policy
from neurozsl.export.targets import Target
from neurozsl.export.targets import target as find_target
from neurozsl.export.twin import unfolded
from neurozsl.export.verify import Verification, verify
from neurozsl.hardware.chip import load_chip
from neurozsl.hardware.lower import Lowered, lower
from neurozsl.hardware.mapping import Mapping as Placement
from neurozsl.hardware.place import place
from neurozsl.hardware.program import Program
from neurozsl.hardware.quantize import ARITHMETIC as LOIHI
from neurozsl.hardware.quantize import dequantize, quantize
from neurozsl.hardware.scales import ScaleRule
from neurozsl.hardware.speck import ARITHMETIC as SPECK
from neurozsl.hardware.speck import AnyProgram, SpeckProgram
from neurozsl.signals import BranchSpec, ChipInput, Trace

Score = Callable[[MotionBackend], Mapping[str, float]]
StageProgress = Callable[[str, int, int], None]  # stage, samples done, samples in all
GRAPH, PROGRAM, GOLDEN, SCRIPT = "motion.nir", "program.npz", "golden.npz", "run_lava.py"
_LOADERS: Mapping[str, Callable[[Path], AnyProgram]] = {
    LOIHI: Program.load,
    SPECK: SpeckProgram.load,
}


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


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose files match its manifest."""

    path: Path
    manifest: Manifest
    parts: Parts
    golden: ChipInput
    golden_trace: Trace
    trained_trace: Trace | None = None

    @property
    def spec(self) -> BranchSpec:
        """The branch as deployed."""
        return self.parts.spec

    @property
    def program(self) -> AnyProgram | None:
        """The integers, None for float targets."""
        return self.parts.program

    def backend(self, name: str | None = None, run: Run | None = None) -> MotionBackend:
        """A motion backend; the first of the target when no name is given."""
        return backend(name or find_target(self.manifest.target).backends[0], self.parts, run)

    def verify(
        self, *, timeout_s: float | None = None, progress: StageProgress | None = None
    ) -> Verification:
        """Run all checks of the target again on the golden samples."""
        return verify(
            self.parts,
            self.golden,
            target_name=self.manifest.target,
            golden=self.golden_trace,
            trained=self.trained_trace,
            policy_loss=self.manifest.policy_loss,
            timeout_s=timeout_s,
            progress=progress,
        )


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
    integers: TrainedIntegers | None = None,
    score: Score | None = None,
    max_hm_drop: float = 2.0,
    reference_score: Mapping[str, float] | None = None,
    steps: Steps | None = None,
    timeout_s: float | None = None,
    progress: StageProgress | None = None,
) -> Manifest:
    """Export, verify and write one bundle.

    Args:
        spec: the trained branch.
        target: key of `export.targets`.
        out_dir: destination; replaced only by a bundle that did not fail.
        calibration: samples that give frozen thresholds and the quantisation report.
        samples: golden samples, 16 or more make the verdict worth quoting.
        bits: weight bits of the integers.
        scale: rule of the weight scales, see `hardware.scales`.
        correct_bias: see `hardware.quantize`.
        threshold: policy of the deployed branch.
        integers: of a network trained in integers; they are shipped, `bits`, `scale` and
            `correct_bias` are not used.
        score: S, U, HM, ZSL in percent of a motion backend on the test set.
        max_hm_drop: allowed loss of HM in points, trained model to deployment.
        reference_score: score of the trained model, if it is known already.
        steps: name of the trained step, and the scores of related runs.
        timeout_s: limit of one Lava run.
        progress: called with stage, samples done, samples in all.

    Returns:
        The manifest that was written.

    Raises:
        VerificationFailed: verdict FAIL; the folder is `<out_dir>.rejected`.
        DoesNotFit: the integers break a limit of the chip; nothing is written.
        BadInput: unknown target, a policy that cannot be reached, a folder that is no bundle.
    """
    chosen, out_dir = find_target(target), Path(out_dir)
    _check_destination(out_dir)
    if samples.batch < 1:
        raise BadInput("export: no golden sample was given; pass at least one, better 16")
    if integers is not None:
        _check_integers(integers.program, chosen)
        spec = unfolded(dequantize(integers.program))
    trained = canonical(spec)
    deployed, policy_loss = apply_policy(trained, threshold, calibration)
    deployed = canonical(deployed)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    part = out_dir.parent / f".{out_dir.name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        rounding = _Rounding(calibration, bits, scale, correct_bias)
        program = None if integers is None else integers.program
        parts = _write_parts(part, deployed, chosen, rounding, program)
        placed = place(parts.program, parts.program.chip) if parts.program else None
        spikes = None if integers is None else integers.spikes
        golden = _write_golden(part, parts, chosen, samples, spikes)
        found = verify(
            parts,
            samples,
            target_name=target,
            golden=golden,
            trained=spikes,
            policy_loss=policy_loss,
            timeout_s=timeout_s,
            progress=progress,
        )
        related = steps or Steps()
        stages = _stages(trained, parts, chosen, rounding, related.trained, program)
        own = _score_steps(stages, score, reference_score, progress)
        reasons = found.reasons + _hm_drop(own, max_hm_drop)
        manifest = _manifest(
            part,
            spec.policy,
            policy_loss,
            parts,
            chosen,
            found,
            reasons,
            (*related.before, *own, *related.after) if own else (),
            rounding,
            integers is not None,
            placed,
        )
        manifests.write(part, manifest)
        if reasons:
            rejected = out_dir.with_name(out_dir.name + ".rejected")
            _replace(part, rejected)
            raise VerificationFailed(
                f"export to '{target}' failed its verification, kept as {rejected}: "
                + "; ".join(reasons)
            )
        _replace(part, out_dir)
        shutil.rmtree(out_dir.with_name(out_dir.name + ".rejected"), ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifests.read(out_dir)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after checking every file against the manifest.

    Raises:
        BadInput: no bundle, or a file that is missing, truncated or changed.
    """
    path = Path(path)
    manifest = manifests.read(path)
    for name in (GRAPH, GOLDEN):
        if name not in manifest.files:
            raise BadInput(f"{path}: the manifest does not list {name}; export again")
    graph = nirfile.read(path / GRAPH)
    program = None
    if PROGRAM in manifest.files and manifest.chip is not None:
        program = _load_program(path / PROGRAM, manifest.chip)
    parts = Parts(from_nir(graph), lower(graph), program)
    golden, trace, trained = _read_golden(path / GOLDEN, parts.spec)
    return Bundle(path, manifest, parts, golden, trace, trained)


@dataclass(frozen=True)
class _Rounding:
    """Settings of the quantiser."""

    calibration: ChipInput
    bits: int
    scale: ScaleRule
    correct_bias: bool

    def program(self, lowered: Lowered, chip: str) -> AnyProgram:
        """The integers of a branch, with their loss report."""
        return quantize(
            lowered,
            chip,
            bits=self.bits,
            calibration=self.calibration,
            scale=self.scale,
            correct_bias=self.correct_bias,
        )


def _check_integers(program: Program, chosen: Target) -> None:
    """Integers of one chip are not those of another."""
    if "fixed" in chosen.fidelity and chosen.chip != program.chip:
        raise BadInput(
            f"export to '{chosen.name}': the network was trained in the integers of "
            f"{program.chip}, the target is {chosen.chip}; fine-tune the original run for it "
            f"(neurozsl train --resume RUN --qat {chosen.chip}) or export that one"
        )


def _write_parts(
    folder: Path, spec: BranchSpec, chosen: Target, rounding: _Rounding, program: Program | None
) -> Parts:
    """Files of the branch; the parts are read back from them, except the branch itself."""
    graph = nirfile.read(nirfile.write(folder / GRAPH, to_nir(spec)))
    lowered = lower(graph)
    if "fixed" not in chosen.fidelity:
        return Parts(spec, lowered)
    assert chosen.chip is not None
    (program or rounding.program(lowered, chosen.chip)).save(folder / PROGRAM)
    if "lava" in chosen.backends:
        shutil.copyfile(WORKER, folder / SCRIPT)
    return Parts(spec, lowered, _load_program(folder / PROGRAM, chosen.chip))


def _load_program(path: Path, chip: str) -> AnyProgram:
    """The integers in a file, in the arithmetic of their chip."""
    return _LOADERS[load_chip(chip).arithmetic](path)


def _write_golden(
    folder: Path, parts: Parts, chosen: Target, samples: ChipInput, trained: Trace | None
) -> Trace:
    trace = backend(chosen.backends[0], parts)(samples)
    # Thresholds of the host are golden only where the deployment reads them.
    theta = samples.theta if parts.spec.policy == "dynamic" else None
    save_input(folder / GOLDEN, ChipInput(samples.codes, samples.code, theta), trace, trained)
    return trace


def _read_golden(path: Path, spec: BranchSpec) -> tuple[ChipInput, Trace, Trace | None]:
    """Samples, the spikes of the deployment, and those of an integer training forward."""
    kinds = ("codes", "theta", "spikes", "trained")
    found: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in kinds}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                kind, _, name = key.partition("/")
                found[kind][name] = file[key]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: not a golden file ({error}); export again") from error
    chip = ChipInput(found["codes"], spec.inputs, found["theta"] or None).to_numpy()
    trained = Trace(found["trained"]) if found["trained"] else None
    return chip, Trace(found["spikes"]), trained


_Stage = tuple[str, str, Parts]  # name of the step, backend, what runs


def _stages(
    trained: BranchSpec,
    parts: Parts,
    chosen: Target,
    rounding: _Rounding,
    name: str,
    program: Program | None,
) -> list[_Stage]:
    """What is scored, from the trained model (first) to the deployment (last).

    A policy that follows the sample is also scored frozen, in float and in integers, wherever it
    is deployed as it is: that is what a chip without programmable neurons would give.
    `program`: integers that the network was trained with.
    """
    if program is not None:
        integers = Parts(parts.spec, parts.lowered, program)
        return [
            (name, "emulator", integers),
            (f"{name}, deployed", chosen.backends[0], parts),
        ]
    stages: list[_Stage] = [(name, "norse", Parts(trained, parts.lowered))]
    if trained.policy in ("dynamic", "table") and parts.spec.policy != "frozen":
        spec, _ = apply_policy(trained, "frozen", rounding.calibration)
        lowered = lower(to_nir(spec))
        stages.append(("frozen", "norse", Parts(spec, lowered)))
        if parts.program is not None:
            constant = rounding.program(lowered, parts.program.chip)
            stages.append(("fixed-point", "emulator", Parts(spec, lowered, constant)))
    if trained.policy != parts.spec.policy:
        stages.append((parts.spec.policy, "norse", parts))
    if parts.program is not None:
        policy = parts.spec.policy
        step = "fixed-point" if policy in ("fixed", "frozen") else f"fixed-point, {policy}"
        stages.append((step, "emulator", parts))
    return stages


def _score_steps(
    stages: list[_Stage],
    score: Score | None,
    reference: Mapping[str, float] | None,
    progress: StageProgress | None,
) -> tuple[Step, ...]:
    """Accuracy of every stage; that of the first is not computed again where it is known."""
    if score is None:
        return ()
    steps = []
    for number, (step, name, use) in enumerate(stages):
        if progress is not None:
            progress(f"score {step}", number, len(stages))
        known = reference if number == 0 else None
        values = known if known is not None else score(backend(name, use))
        figures = {key: float(values[key]) for key in ("S", "U", "HM", "ZSL")}
        steps.append(Step(step=step, backend=name, policy=use.spec.policy, **figures))
    return tuple(steps)


def _hm_drop(steps: tuple[Step, ...], limit: float) -> tuple[str, ...]:
    if len(steps) < 2 or steps[0].HM - steps[-1].HM <= limit:
        return ()
    path = " -> ".join(f"{step.step} {step.HM:.2f}" for step in steps)
    drop = steps[0].HM - steps[-1].HM
    return (f"HM drops by {drop:.2f} points ({path}), limit {limit:g} (--max-hm-drop)",)


def _manifest(
    folder: Path,
    trained_policy: str,
    policy_loss: str,
    parts: Parts,
    chosen: Target,
    found: Verification,
    reasons: tuple[str, ...],
    steps: tuple[Step, ...],
    rounding: _Rounding,
    in_integers: bool,
    placed: Placement | None,
) -> Manifest:
    program = parts.program
    losses = [_finite(asdict(loss)) for loss in program.loss] if program else []
    return Manifest(
        target=chosen.name,
        chip=chosen.chip,
        fidelity=chosen.fidelity,
        T=parts.spec.steps,
        dt_s=parts.spec.dt_s,
        policy=parts.spec.policy,
        trained_policy=trained_policy,
        policy_loss=policy_loss,
        trained_forward="integers" if in_integers else "float",
        weight_bits=losses[0]["weight_bits"] if losses else None,
        calibration=losses[0].get("scale_rule") if losses else None,
        bias_correction=bool(losses) and rounding.correct_bias and not in_integers,
        versions=manifests.versions(found.oracle),
        oracle=found.oracle,
        verdict="FAIL" if reasons else found.verdict,
        reasons=reasons,
        losses=found.losses,
        verification=found.as_json() | ({"verdict": "FAIL"} if reasons else {}),
        quantisation=tuple(losses),
        mapping=None if placed is None else placed.as_json(),
        steps=steps,
        files={p.name: manifests.sha256(p) for p in sorted(folder.iterdir())},
    )


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a relative error of a threshold that became 0 is left open."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _check_destination(out_dir: Path) -> None:
    """Only a bundle, or nothing, is ever replaced."""
    for folder in (out_dir, out_dir.with_name(out_dir.name + ".rejected")):
        is_bundle = (folder / manifests.NAME).is_file()
        if folder.exists() and not is_bundle and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{folder}: exists and is not a bundle; choose another folder")


def _replace(part: Path, destination: Path) -> None:
    """Put a complete folder in place of an older one."""
    old = part.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if destination.exists():
        destination.rename(old)
    try:
        part.rename(destination)
    except OSError:
        if old.exists():
            old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)
