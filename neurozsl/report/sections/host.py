"""The host part of an inference: its FLOPs, bytes, seconds and joules -> `schema.Host`.

Everything but what spikes on the chip: `prepare` (the encoding part) and `finish`, counted by
`host_work`.

Joules are measured where this machine has a meter (`meters`): of an NVIDIA GPU, else of the
processor. They are estimated in any case: FLOPs / 2 multiply-accumulates at what the device table
spans, from the peak rate of the best accelerator to a desktop CPU; the value is the middle on a log
scale, and a label says so.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.energy import Cause, EnergyRow, EnergyTerm
from neurozsl.meters import nvml, rapl
from neurozsl.meters.reading import Measured, Method, Refused
from neurozsl.models.base import ZSLModel, embed, own_trace
from neurozsl.report import schema
from neurozsl.report.sections.host_work import counted_bytes, counted_flops, measured_seconds

CHEAPEST: Final = ("gpu_h100", "mac_bf16")
DEAREST: Final = ("cpu_i7_4960x", "mac")


def host(
    model: ZSLModel,
    batch: AVBatch,
    *,
    motion_backend: str,
    spikes: bool,
    link_bytes: float | None = None,
) -> schema.Host:
    """What the host does for one inference, on average over a batch; the model is on the CPU.

    Class vectors are embedded once per class set, not per inference, and are left out.
    motion_backend: what runs the motion branch; only named here. spikes: whether the branch is left
    out (it runs on the chip). link_bytes: per inference, of `hardware.count.host_link`.
    """
    rows = len(batch)
    trace = None
    if spikes:
        with torch.no_grad():
            trace = own_trace(model, model.prepare(batch))
    infer = _inference(model, batch, trace)
    flops = counted_flops(infer)
    found = measure_model(model, batch, trace)
    energy = [estimated(flops / rows, found.reason if isinstance(found, Refused) else "")]
    if isinstance(found, Measured):
        energy.insert(0, measured_row(found, rows))
    seconds = found.seconds if isinstance(found, Measured) else measured_seconds(infer)
    return schema.Host(
        device=found.device if isinstance(found, Measured) else "cpu",
        motion_backend=motion_backend,
        flops=flops / rows,
        encoding_flops=counted_flops(lambda: model.prepare(batch)) / rows,
        bytes_moved=counted_bytes(infer) / rows,
        link_bytes=link_bytes,
        energy=tuple(energy),
        seconds_per_inference=seconds / rows,
    )


def _inference(model: ZSLModel, batch: AVBatch, trace: Trace | None) -> Callable[[], object]:
    """One pass over the batch, without the branch where its spikes are given."""
    if trace is None:
        return lambda: embed(model, batch)
    return lambda: model.finish(trace, model.prepare(batch).context)


# --- measured ---------------------------------------------------------------------------------


def measure_model(
    model: ZSLModel,
    batch: AVBatch,
    trace: Trace | None,
    *,
    device: torch.device | None = None,
    seconds: float = 2.0,
) -> Measured | Refused:
    """Joules of the host part of a batch: on a GPU where there is one, else on the processor.

    A copy of the model moves to the GPU (`device`, by default torch's current one). trace: spikes
    of the branch, where it is left out. seconds: how long is measured.
    """
    found = _on_gpu(model, batch, trace, device, seconds)
    if isinstance(found, Measured):
        return found
    infer = _inference(model, batch, trace)
    other = rapl.measure(torch.no_grad()(infer), seconds=seconds)
    if isinstance(other, Refused):
        return Refused(f"{found.reason}; {other.reason}")
    return replace(other, note=f"no GPU was measured: {found.reason}")


def _on_gpu(
    model: ZSLModel,
    batch: AVBatch,
    trace: Trace | None,
    device: torch.device | None,
    seconds: float,
) -> Measured | Refused:
    if not torch.cuda.is_available():
        return nvml.measure(lambda: None)  # says why not
    device = device or torch.device("cuda", torch.cuda.current_device())
    gpu = device.index or 0
    try:
        moved = copy.deepcopy(model).to(device)
        if trace is not None:
            trace = Trace({k: torch.as_tensor(v).to(device) for k, v in trace.spikes.items()})
        infer = _inference(moved, batch.to(device), trace)
        return nvml.measure(torch.no_grad()(infer), gpu=gpu, seconds=seconds)
    except RuntimeError as error:  # torch's, e.g. of too little memory: no reason for no report
        return Refused(f"the host part does not run on device {gpu} ({error})")


@dataclass(frozen=True)
class _Meter:
    """What one kind of meter covers and leaves out; whole: what its idle power belongs to.

    optional: left out as well where the reading does not name it among its parts.
    """

    key: str
    name: str
    whole: str
    included: str
    excluded: tuple[str, ...]
    optional: tuple[str, ...] = ()
    note: str = ""


_GPU: Final = _Meter(
    "host/nvml",
    "NVML",
    "board",
    "the GPU board: arithmetic, memory, idle power",
    ("the host's processor and memory", "power supply", "feature extraction"),
)
_METERS: Final[Mapping[Method, _Meter]] = {
    "nvml_counter": _GPU,
    "nvml_sampled": replace(_GPU, note="power sampled, as this board has no energy counter"),
    "rapl": _Meter(
        "host/rapl",
        "RAPL",
        "processor",
        "the whole processor: arithmetic, caches, idle power, other programs that ran",
        ("the rest of the board", "power supply", "feature extraction"),
        optional=(rapl.MEMORY,),
        note="RAPL counters, with whatever else ran on the processor",
    ),
}


def measured_row(found: Measured, rows: int) -> EnergyRow:
    """The energy row of a measurement of batches of `rows` samples."""
    meter = _METERS[found.method]
    joules, seconds = found.joules / rows, found.seconds / rows
    source = f"{meter.name} on {found.device}, {found.calls} batches of {rows}, this machine"
    terms = [_term(f"whole {meter.whole}", "whole", meter.whole, 1.0, joules, source)]
    notes = [f"the whole {meter.whole}, {joules / seconds:.4g} W on average"]
    if found.idle_w is not None:
        idle = found.idle_w * seconds
        notes.append(f"idle before: {found.idle_w:.4g} W")
        if idle < joules:
            terms = [
                _term("above idle power", "whole", meter.whole, 1.0, joules - idle, source),
                _term("idle power x latency", "static", "idle", seconds, found.idle_w, source),
            ]
    notes += filter(None, (meter.note, found.note))
    unseen = tuple(part for part in meter.optional if part not in found.parts)
    return EnergyRow(
        device=meter.key,
        key=meter.key,
        name=f"host part on {found.device}, measured",
        method=found.method,
        joules=joules,
        latency_s=seconds,
        source=source,
        scope="all_in",
        terms=tuple(terms),
        included=(meter.included, *found.parts),
        excluded=(*meter.excluded, *unseen),
        note="; ".join(notes),
        estimate=False,
    )


def _term(
    name: str, cause: Cause, figure: str, count: float, each: float, source: str
) -> EnergyTerm:
    return EnergyTerm(
        name=name,
        cause=cause,
        figure=figure,
        count=count,
        joules_each=each,
        joules=count * each,
        kind="measured",
        source=source,
    )


# --- estimated --------------------------------------------------------------------------------


def estimated(flops: float, reason: str = "") -> EnergyRow:
    """The energy row of an estimate: FLOPs / 2 at what published figures span."""
    (low_chip, low_key), (high_chip, high_key) = CHEAPEST, DEAREST
    low, high = load_chip(low_chip).energy[low_key], load_chip(high_chip).energy[high_key]
    macs, each = flops / 2, math.sqrt(low.value * high.value)
    source = (
        f"{low_chip} {low_key} {low.value * 1e12:.4g} pJ, a peak rate [{low.source}] | "
        f"{high_chip} {high_key} {high.value * 1e12:.4g} pJ, {high.note} [{high.source}]"
    )
    joules: dict[str, Any] = {
        "joules_low": macs * low.value, "joules": macs * each, "joules_high": macs * high.value
    }  # fmt: skip
    return EnergyRow(
        device="host/estimate",
        key="host/estimate",
        name="host part, estimated from FLOPs (accelerator at its peak to desktop CPU)",
        method="flops",
        **joules,
        interval="between sources",
        source=source,
        scope="per_term",
        terms=(
            EnergyTerm(
                name="multiply-accumulates (FLOPs / 2)",
                cause="arithmetic",
                figure="mac",
                count=macs,
                joules_each=each,
                **joules,
                kind="derived",
                source=source,
            ),
        ),
        included=("matrix products, convolutions, attention",),
        excluded=("element-wise operators", "feature extraction", "idle power of the machine"),
        unknown=("what this host takes per operation",),
        note="an estimate"
        + (f", not measured: {reason}" if reason else "")
        + "; the value is the middle of both bounds on a log scale",
    )
