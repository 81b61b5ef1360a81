"""Batched emulator of Speck's integer neuron: `emulate_speck(program, chip_input) -> Trace`.

Step by step as `speck` defines it, bit for bit the forward of sinabs' discretised layers wherever
the state stays inside its 16 bits (sinabs does not model their ends). The weighted sums of all
steps of a layer are one exact product in floating point: |sum| < 2^24 in float32, else float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.hardware.floatsim import Progress, Record
from neurozsl.hardware.speck import STATE_MAX, STATE_MIN, SpeckLayer, SpeckProgram
from neurozsl.signals import ChipInput, Trace

_FLOAT32_EXACT: Final = 1 << 24


@dataclass(frozen=True)
class SpeckRun:
    """Spike counts uint8 and states int16 `(batch, time, out)`; how often the state was clipped."""

    spikes: npt.NDArray[np.uint8]
    membrane: npt.NDArray[np.int16]
    clipped: int


def emulate_speck(
    program: SpeckProgram,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int = 256,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer under the step-synchronous reading of the chip.

    Args:
        program: integers of the network.
        chip_input: binary codes `(samples, time, size)`.
        record: add "membrane" for v after each step, int16 `(samples, time, neuron)`.
        batch: samples that are held at once.
        device: where the weighted sums are computed; neurons always run on the CPU.
        progress: called with (samples done, samples in all) after each batch.

    Returns:
        Trace with uint8 spike counts; saturation counts sample x step x neuron in which the state
        was clipped, by its 16 bits or by the lower bound (a trained neuron has neither).

    Raises:
        BadInput: see `SpeckProgram.check`.
    """
    checked = program.check(chip_input)
    samples = checked.batch
    runs: dict[str, list[SpeckRun]] = {layer.name: [] for layer in program.layers}
    most = dict.fromkeys(program.inputs, 1) | {x.name: x.max_spikes for x in program.layers}
    for start in range(0, max(samples, 1), batch):
        values: dict[str, npt.NDArray[Any]] = dict(checked.take(slice(start, start + batch)).codes)
        for layer in program.layers:
            sums = weighted_sums(layer, values[layer.source], most[layer.source], device)
            run = run_speck_neurons(layer, sums, keep_membrane="membrane" in record)
            values[layer.name] = run.spikes
            runs[layer.name].append(run)
        if progress is not None:
            progress(min(start + batch, samples), samples)
    membrane = {}
    if "membrane" in record:
        membrane = {name: np.concatenate([r.membrane for r in rs]) for name, rs in runs.items()}
    return Trace(
        spikes={name: np.concatenate([r.spikes for r in rs]) for name, rs in runs.items()},
        overflow=dict.fromkeys(runs, 0),  # nothing wraps on this chip
        saturation={name: sum(r.clipped for r in rs) for name, rs in runs.items()},
        membrane=membrane,
    )


def weighted_sums(
    layer: SpeckLayer, codes: npt.NDArray[Any], most: int, device: str = "cpu"
) -> npt.NDArray[np.int64]:
    """Exact sum of weight x code `(batch, time, out)` for codes 0..`most`."""
    worst = int(np.abs(layer.weight.astype(np.int64)).sum(axis=1).max()) * most
    narrow = device == "cpu" and worst < _FLOAT32_EXACT
    dtype = torch.float32 if narrow else torch.float64
    columns = torch.from_numpy(layer.weight).to(device, dtype).t()
    rows = torch.from_numpy(np.ascontiguousarray(codes)).to(device, dtype)
    sums: npt.NDArray[np.int64] = torch.matmul(rows, columns).to(torch.int64).cpu().numpy()
    return sums


def run_speck_neurons(
    layer: SpeckLayer, sums: npt.NDArray[np.int64], *, keep_membrane: bool
) -> SpeckRun:
    """Neurons of one layer over time, vectorised over samples and neurons.

    Args:
        layer: bias, threshold, lower bound, reset.
        sums: weighted input `(batch, time, out)`.
        keep_membrane: False returns an empty membrane `(batch, 0, out)`.
    """
    samples, steps, size = sums.shape
    spikes = np.zeros(sums.shape, np.uint8)
    membrane = np.zeros((samples, steps if keep_membrane else 0, size), np.int16)
    v = np.zeros((samples, size), np.int64)
    clipped = 0
    for t in range(steps):
        added = v + sums[:, t] + layer.bias
        state = np.clip(added, STATE_MIN, STATE_MAX)
        z = np.where(
            state >= layer.threshold,
            np.minimum(state // layer.threshold, layer.max_spikes),
            0,
        )
        left = np.where(z > 0, 0, state) if layer.reset == "zero" else state - z * layer.threshold
        v = np.maximum(left, layer.low)
        clipped += int(np.count_nonzero((state != added) | (v != left)))
        spikes[:, t] = z
        if keep_membrane:
            membrane[:, t] = v
    return SpeckRun(spikes, membrane, clipped)
