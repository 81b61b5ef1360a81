"""A run (and the bundle of its branch) -> `RunReport`: scores, counts, energy, provenance.

One pass over the test splits with the motion branch on its backend gives everything: the scores,
and the spikes from which operations and energy are counted. With a bundle the branch runs as it
was deployed (the emulator for integers) and the host model uses none of its weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from neurozsl import __version__
from neurozsl.deploy import branch_spec, check_belongs, default_backend, own_branch
from neurozsl.evaluation import Evaluation, MotionBackend, collect, evaluate
from neurozsl.export.backends import Parts, backend
from neurozsl.export.bundle import Bundle, open_bundle
from neurozsl.export.graph import to_nir
from neurozsl.hardware.chip import load_chip
from neurozsl.hardware.counts import count
from neurozsl.hardware.energy import estimate_all
from neurozsl.hardware.lower import Lowered, lower
from neurozsl.hardware.speck.program import AnyProgram
from neurozsl.metrics import predict
from neurozsl.models.base import host_parts
from neurozsl.report import schema
from neurozsl.report.reading import NOTHING_SPIKES
from neurozsl.report.rows import dense_baseline, layer_rows, spiking_energy
from neurozsl.runs import Run, versions
from neurozsl.signals import ChipInput, Trace

Progress = Callable[[int, int], None]
_TIMED_ROWS = 32


@dataclass
class _Recorder:
    """A motion backend that keeps what went in and out."""

    run: MotionBackend
    inputs: list[ChipInput] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)

    def __call__(self, chip_input: ChipInput) -> Trace:
        trace = self.run(chip_input).to_numpy()
        self.inputs.append(chip_input)
        self.traces.append(trace)
        return trace

    def joined(self) -> tuple[ChipInput, Trace]:
        """Inputs and traces of all batches, end to end."""
        first = self.inputs[0]
        codes = {k: np.concatenate([i.codes[k] for i in self.inputs]) for k in first.codes}
        spikes = {
            k: np.concatenate([t.spikes[k] for t in self.traces]) for k in self.traces[0].spikes
        }
        return ChipInput(codes, first.code), Trace(
            spikes, self._summed("overflow"), self._summed("saturation")
        )

    def _summed(self, key: str) -> dict[str, int]:
        names = getattr(self.traces[0], key)
        return {n: sum(getattr(t, key).get(n, 0) for t in self.traces) for n in names}


@dataclass(frozen=True)
class _Motion:
    """The branch as it ran: its network, counts, and where."""

    backend: str
    policy: str
    recorder: _Recorder
    network: AnyProgram | Lowered


def build(
    run: Run, *, bundle: Path | None = None, progress: Progress | None = None
) -> schema.RunReport:
    """Profile a run.

    Args:
        run: an opened run.
        bundle: folder of a bundle of this run; None profiles the float branch (Norse).
        progress: called with (done, total) test samples.

    Raises:
        BadInput: the bundle is damaged or belongs to another run.
    """
    opened = open_bundle(bundle) if bundle is not None else None
    motion = _motion(run, opened)
    stage = run.data.stage(2)
    collected = collect(
        run.model,
        stage,
        run.data.vectors,
        backend=motion.recorder if motion else None,
        progress=progress,
    )
    result = evaluate(collected, beta=run.selected.beta, head_weight=run.selected.head_weight)
    predicted = predict(
        collected.combined(run.selected.head_weight), collected.problem, run.selected.beta
    )
    layers: tuple[schema.Layer, ...] = ()
    energy: tuple[schema.Energy, ...] = ()
    baseline = raster = None
    if motion is not None:
        chip_input, trace = motion.recorder.joined()
        counts = count(motion.network, chip_input, trace)
        rows = estimate_all(counts)
        layers = layer_rows(counts, trace)
        energy = spiking_energy(rows)
        baseline = dense_baseline(counts, rows)
        raster = _raster(run, trace, predicted, collected.problem.label)
    host_flops, seconds = _host_cost(run, spikes=motion is not None)
    return schema.RunReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={**versions(), "neurozsl": __version__},
        provenance=schema.Provenance(seed=run.settings.train.seed),
        data=_data(run),
        model=_model(run, host_flops),
        accuracy=schema.Accuracy(
            **vars(result.scores), chance=result.chance, samples=result.samples
        ),
        deployment=_deployment(run, opened),
        verification=_verification(opened),
        mapping=_placement(opened),
        layers=layers,
        energy=energy,
        host=schema.Host(
            device="cpu",
            motion_backend=motion.backend if motion else "none",
            flops=host_flops,
            energy=(_host_energy(host_flops),),
            seconds_per_inference=seconds,
        ),
        baseline=baseline,
        raster=raster,
        classes=_classes(run, result, collected.problem.label),
        notes=_notes(run, opened, motion),
    )


def _motion(run: Run, opened: Bundle | None) -> _Motion | None:
    if opened is not None:
        check_belongs(run, opened)
        network = opened.program or opened.parts.lowered
        name = default_backend(opened)
        return _Motion(name, opened.spec.policy, _Recorder(opened.backend(name)), network)
    if run.model.branch is None or run.model.branch.neuron == "mlp":
        return None
    spec = branch_spec(run)
    if spec.policy == "closed":  # counts ask for the wiring alone
        lowered = lower(to_nir(replace(spec, policy="fixed")))
        return _Motion("norse", spec.policy, _Recorder(own_branch(run.model)), lowered)
    lowered = lower(to_nir(spec))
    if run.program is not None:  # trained in integers: they are the model
        integers = backend("emulator", Parts(spec, lowered, run.program))
        return _Motion("emulator", spec.policy, _Recorder(integers), run.program)
    return _Motion("norse", spec.policy, _Recorder(backend("norse", Parts(spec, lowered))), lowered)


def _host_cost(run: Run, *, spikes: bool) -> tuple[float, float]:
    """FLOPs per inference and measured seconds on this CPU of everything but what spikes."""
    split = run.data.stage(2).seen
    rows = np.arange(min(_TIMED_ROWS, len(split)))
    batch = split.batch(rows)
    model = run.model
    # Class vectors are embedded once per class set, not per inference, and are left out.
    with torch.no_grad():
        prepared = model.prepare(batch)
        trace = model.branch(prepared.chip_input, prepared.context.mask) if spikes else None

    def infer() -> None:
        if spikes:
            model.finish(trace, model.prepare(batch).context)
        else:
            model(batch)

    with torch.no_grad():
        start = time.perf_counter()
        infer()
        seconds = time.perf_counter() - start
    # Outside no_grad: the counter hooks into autograd and fails on views of parameters inside it.
    with FlopCounterMode(display=False) as counter:
        infer()
    return counter.get_total_flops() / len(rows), seconds / len(rows)


def _host_energy(flops: float) -> schema.Energy:
    """Lower bound of the host part: its multiplications as 45 nm arithmetic."""
    mac = load_chip("cmos45_fp32").energy["mac"]
    return schema.Energy(
        device="host/cmos45_fp32",
        name="host part as 45 nm fp32 arithmetic",
        joules=flops / 2 * mac.value,
        source=f"mac {mac.value * 1e12:.4g} pJ [{mac.source}]",
        included=("matrix products (FLOPs / 2 multiply-accumulates)",),
        excluded=("memory", "control", "feature extraction", "the processor's idle power"),
        note="a lower bound: see what is excluded",
    )


def _data(run: Run) -> schema.DataSummary:
    data = run.data
    stage = data.stage(2)

    def names(ids: Any) -> tuple[str, ...]:
        return tuple(data.classes[i] for i in ids)

    skipped = data.meta.get("skipped", ())
    notes = []
    if data.synthetic:
        notes.append(
            "synthetic: stand-in features drawn around the class vectors, no video was seen"
            if "stand_in" in data.meta
            else "synthetic: rendered pictures and sounds, no recording"
        )
    if run.settings.options.get("encode") == "repeat":
        notes.append(
            "the features have no time axis and are repeated: motion is nearly absent in them"
        )
    return schema.DataSummary(
        name=data.name,
        synthetic=data.synthetic,
        classes=schema.ClassNames(
            train=names(stage.train_ids), seen=names(stage.seen_ids), unseen=names(stage.unseen_ids)
        ),
        samples={name: len(split) for name, split in data.splits.items()},
        steps=int(run.settings.options.get("steps", stage.train.audio.shape[1])),
        step_s=data.step_s,
        skipped=len(skipped) if isinstance(skipped, list | tuple) else 0,
        notes=tuple(notes),
    )


def _model(run: Run, host_flops: float) -> schema.ModelSummary:
    total = sum(p.numel() for p in run.model.parameters())
    branch = run.model.branch
    motion = sum(p.numel() for p in branch.parameters()) if branch is not None else 0
    return schema.ModelSummary(
        name=getattr(run.model, "title", run.settings.model),
        preset=run.settings.options.get("preset"),
        options=dict(run.settings.options),
        seed=run.settings.train.seed,
        parameters=schema.Parameters(total=total, motion=motion, host=total - motion),
        host_flops=host_flops,
    )


def _deployment(run: Run, opened: Bundle | None) -> tuple[schema.DeploymentStep, ...]:
    if opened is None:
        return ()
    policy = opened.spec.policy
    return tuple(
        schema.DeploymentStep(
            step=s.step,
            backend=s.backend,
            policy=s.policy or policy,
            S=s.S,
            U=s.U,
            HM=s.HM,
            ZSL=s.ZSL,
        )
        for s in opened.manifest.steps
        # Of a float run the bundle also lists the run fine-tuned from it, which is another model.
        if opened.manifest.trained_forward == "integers" or s.step != "after QAT"
    )


def _verification(opened: Bundle | None) -> schema.Verification | None:
    if opened is None:
        return None
    stored = opened.manifest.verification
    keys = schema.LayerAgreement.model_fields
    backends = {
        name: schema.BackendAgreement(
            layers=tuple(
                schema.LayerAgreement(**{k: v for k, v in layer.items() if k in keys})
                for layer in found["layers"]
            )
        )
        for name, found in stored["backends"].items()
    }
    return schema.Verification(
        verdict=opened.manifest.verdict,  # type: ignore[arg-type]  # one of the schema's words
        samples=stored["samples"],
        backends=backends,
        oracle=None if opened.manifest.oracle == "none" else opened.manifest.oracle,
        notes=(*opened.manifest.reasons, *opened.manifest.losses),
    )


def _placement(opened: Bundle | None) -> schema.Placement | None:
    if opened is None or opened.manifest.mapping is None:
        return None
    return schema.Placement.model_validate(opened.manifest.mapping)


def _raster(run: Run, trace: Trace, predicted: Any, label: Any) -> schema.Raster:
    """The first unseen-class sample that the deployed model recognises (else the first unseen)."""
    stage = run.data.stage(2)
    first = len(stage.seen)
    right = np.flatnonzero(predicted[first:] == label[first:])
    row = first + (int(right[0]) if len(right) else 0)
    names = run.data.classes
    return schema.raster(
        {k: v[row] for k, v in trace.spikes.items()},
        sample=stage.unseen.names[row - first],
        true_class=names[label[row]],
        predicted_class=names[predicted[row]],
    )


def _classes(run: Run, result: Evaluation, label: Any) -> tuple[schema.ClassRecall, ...]:
    unseen = set(run.data.stage(2).unseen_ids.tolist())
    return tuple(
        schema.ClassRecall(
            name=run.data.classes[c],
            role="unseen" if c in unseen else "seen",
            recall=recall,
            samples=int(np.count_nonzero(label == c)),
        )
        for c, recall in result.recalls.items()
    )


def _notes(run: Run, opened: Bundle | None, motion: _Motion | None) -> tuple[str, ...]:
    notes = [
        "Energies are estimates: counts of this run times published figures, each with its source. "
        "No chip was measured.",
        "Host latency is wall time on this machine, batch of up to 32"
        + (", motion branch left out." if motion is not None else "."),
    ]
    if motion is None:
        notes.append(NOTHING_SPIKES)
    elif opened is None:
        notes.append("The branch ran in Norse on the host; give a bundle to profile a deployment.")
    if motion is not None and motion.policy == "closed":
        notes.append(
            "Thresholds follow the layers' own spikes: that ran on the host, no chip here has the "
            "controller for it; a deployment has them frozen."
        )
    notes += [f"On the host: {part}." for part in host_parts(run.model)]
    if motion is not None and motion.policy == "dynamic":
        notes.append("Dynamic thresholds need a programmable neuron (Loihi 2 microcode).")
    notes += run.result["warnings"]
    if run.data.synthetic:
        notes.append("Scores on synthetic data say nothing about real videos.")
    return tuple(notes)
