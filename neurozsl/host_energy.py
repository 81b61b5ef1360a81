"""The host part of an inference: its FLOPs, bytes, seconds and joules -> `schema.Host`.

Everything but what spikes on the chip: `prepare` (the encoding part) and `finish`. FLOPs are those
of torch's counter: matrix products, convolutions and attention, nothing element by element. Bytes
are the sizes of the tensors that every operator reads and writes, parameters and activations alike;
views move nothing, and caches, which save much of this, are not modelled.

Joules are measured where torch has an NVIDIA GPU and NVML a meter (`nvml`). They are estimated in
any case: FLOPs / 2 multiply-accumulates at what the device table spans, from the peak rate of the
best accelerator to a desktop CPU; the value is the middle on a log scale, and a label says so.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from neurozsl.data.batch import AVBatch
from neurozsl.hardware.chip import load_chip
from neurozsl.nvml import Measured, Refused, measure
from neurozsl.report import schema
from neurozsl.signals import Trace

CHEAPEST: Final = ("gpu_h100", "mac_bf16")
DEAREST: Final = ("cpu_i7_4960x", "mac")
_TIMED_CALLS: Final = 3


def host(
    model: Any,
    batch: AVBatch,
    *,
    motion_backend: str,
    spikes: bool,
    link_bytes: float | None = None,
    seconds: float = 2.0,
) -> schema.Host:
    """What the host does for one inference, on average over a batch.

    Class vectors are embedded once per class set, not per inference, and are left out.

    Args:
        model: a `ZSLModel`, on the CPU.
        batch: the samples to time it on.
        motion_backend: what runs the motion branch; only named here.
        spikes: whether the branch is left out (it runs on the chip).
        link_bytes: what crosses between host and chip per inference (`hardware.host_link`).
        seconds: how long a GPU is measured.
    """
    rows = len(batch)
    trace = None
    if spikes:
        with torch.no_grad():
            prepared = model.prepare(batch)
            trace = model.branch(prepared.chip_input, prepared.context.mask)
    infer = _inference(model, batch, trace)
    flops = counted_flops(infer)
    spent = measured_seconds(infer)
    found = measure_model(model, batch, trace, seconds=seconds)
    energy = [estimated(flops / rows, found.reason if isinstance(found, Refused) else "")]
    if isinstance(found, Measured):
        energy.insert(0, measured_row(found, rows))
    return schema.Host(
        device=found.device if isinstance(found, Measured) else "cpu",
        motion_backend=motion_backend,
        flops=flops / rows,
        encoding_flops=counted_flops(lambda: model.prepare(batch)) / rows,
        bytes_moved=counted_bytes(infer) / rows,
        link_bytes=link_bytes,
        energy=tuple(energy),
        seconds_per_inference=(found.seconds if isinstance(found, Measured) else spent) / rows,
    )


def _inference(model: Any, batch: AVBatch, trace: Trace | None) -> Callable[[], object]:
    """One pass over the batch, without the branch where its spikes are given."""
    if trace is None:
        return lambda: model(batch)
    return lambda: model.finish(trace, model.prepare(batch).context)


# --- counts -----------------------------------------------------------------------------------


def counted_flops(work: Callable[[], object]) -> float:
    """FLOPs of one call by torch's counter (2 per multiply-accumulate)."""
    # Outside no_grad: the counter hooks into autograd and fails on views of parameters inside it.
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def counted_bytes(work: Callable[[], object]) -> float:
    """Bytes that the operators of one call read and write; see the module."""
    with torch.no_grad(), _Bytes() as counter:
        work()
    return float(counter.total)


class _Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own is untyped
    """Sum of the sizes of all tensors that go into and come out of operators but views."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and func not in _MOVES_NOTHING:
            values = tree_leaves((args, kwargs, out))
            self.total += sum(
                x.numel() * x.element_size() for x in values if isinstance(x, torch.Tensor)
            )
        return out


# Reshape without a copy of its own: what it copies, it copies through `clone`.
_MOVES_NOTHING: Final = frozenset({torch.ops.aten._unsafe_view.default})


def measured_seconds(work: Callable[[], object]) -> float:
    """Wall time of one call on this processor: the least of a few, after one to warm up."""
    with torch.no_grad():
        work()
        found = []
        for _ in range(_TIMED_CALLS):
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    return min(found)


# --- joules -----------------------------------------------------------------------------------


def measure_model(
    model: Any,
    batch: AVBatch,
    trace: Trace | None,
    *,
    device: torch.device | None = None,
    seconds: float = 2.0,
) -> Measured | Refused:
    """Joules of the host part of a batch on a device, by default torch's current GPU.

    A copy of the model moves there; this one stays as it is.
    """
    if not torch.cuda.is_available():
        return measure(lambda: None)  # says why not
    device = device or torch.device("cuda", torch.cuda.current_device())
    gpu = device.index or 0
    try:
        moved = copy.deepcopy(model).to(device)
        if trace is not None:
            trace = Trace({k: torch.as_tensor(v).to(device) for k, v in trace.spikes.items()})
        infer = _inference(moved, batch.to(device), trace)

        def work() -> None:
            with torch.no_grad():
                infer()

        return measure(work, gpu=gpu, seconds=seconds)
    except RuntimeError as error:  # torch's, e.g. of too little memory: no reason for no report
        return Refused(f"the host part does not run on device {gpu} ({error})")


def measured_row(found: Measured, rows: int) -> schema.Energy:
    """The energy row of a measurement of batches of `rows` samples."""
    joules, seconds = found.joules / rows, found.seconds / rows
    source = f"NVML on {found.device}, {found.calls} batches of {rows}, this machine"
    terms = [_term("whole board", "whole", "board", 1.0, joules, source)]
    notes = [f"the whole board, {joules / seconds:.4g} W on average"]
    if found.idle_w is not None:
        idle = found.idle_w * seconds
        notes.append(f"idle before: {found.idle_w:.4g} W")
        if idle < joules:
            terms = [
                _term("above idle power", "whole", "board", 1.0, joules - idle, source),
                _term("idle power x latency", "static", "idle", seconds, found.idle_w, source),
            ]
    if found.method == "nvml_sampled":
        notes.append("power sampled, as this board has no energy counter")
    return schema.Energy(
        device="host/nvml",
        name=f"host part on {found.device}, measured",
        method=found.method,
        joules=joules,
        latency_s=seconds,
        source=source,
        scope="all_in",
        terms=tuple(terms),
        included=("the GPU board: arithmetic, memory, idle power",),
        excluded=("the host's processor and memory", "power supply", "feature extraction"),
        note="; ".join(notes),
        estimate=False,
    )


def _term(
    name: str, cause: schema.Cause, figure: str, count: float, each: float, source: str
) -> schema.EnergyTerm:
    return schema.EnergyTerm(
        name=name,
        cause=cause,
        figure=figure,
        count=count,
        joules_each=each,
        joules=count * each,
        kind="measured",
        source=source,
    )


def estimated(flops: float, reason: str = "") -> schema.Energy:
    """The energy row of an estimate: FLOPs / 2 at what published figures span."""
    (low_chip, low_key), (high_chip, high_key) = CHEAPEST, DEAREST
    low, high = load_chip(low_chip).energy[low_key], load_chip(high_chip).energy[high_key]
    macs, each = flops / 2, math.sqrt(low.value * high.value)
    source = (
        f"{low_chip} {low_key} {low.value * 1e12:.4g} pJ, a peak rate [{low.source}] | "
        f"{high_chip} {high_key} {high.value * 1e12:.4g} pJ, {high.note} [{high.source}]"
    )
    bounds = macs * low.value, macs * high.value
    return schema.Energy(
        device="host/estimate",
        name="host part, estimated from FLOPs (accelerator at its peak to desktop CPU)",
        method="flops",
        joules_low=bounds[0],
        joules=macs * each,
        joules_high=bounds[1],
        interval="between sources",
        source=source,
        scope="per_term",
        terms=(
            schema.EnergyTerm(
                name="multiply-accumulates (FLOPs / 2)",
                cause="arithmetic",
                figure="mac",
                count=macs,
                joules_each=each,
                joules_low=bounds[0],
                joules=macs * each,
                joules_high=bounds[1],
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
