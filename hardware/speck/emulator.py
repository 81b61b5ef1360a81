"""Batched emulator of Speck's integer neuron: `emulate_speck(program, chip_input) -> Trace`.

Step by step as `speck` defines it, bit for bit the forward of sinabs' discretised layers wherever
the state stays inside its 16 bits (sinabs does not model their ends). The weighted sums of all
steps of a layer are exact products in floating point: |sum| < 2^24 in float32, else float64. A
convolution is one product of its kernel with the patches that it reads; library convolutions may
transform (Winograd, FFT), which rounds. Pools in front of a layer are sums of counts.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.network.ranges import worst_sums
from neurozsl.hardware.network.synapse import Conv, Pool
from neurozsl.hardware.speck.program import STATE_MAX, STATE_MIN, SpeckLayer, SpeckProgram

_FLOAT32_EXACT: Final = 1 << 24
_PATCH_VALUES: Final = 1 << 22  # values of patches that are held at once, 32 MB in float64
_SUM_VALUES: Final = 1 << 24  # weighted sums of a layer that are held at once, 128 MB


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

    Arguments as in `arithmetic.emulate`: codes are binary, the membrane is int16, a batch is
    smaller where a map is so large that its sums would take more than 128 MB, and the device
    computes the weighted sums; neurons always run on the CPU.

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
    widest = max(layer.size for layer in program.layers) * checked.steps
    batch = min(batch, max(1, _SUM_VALUES // max(widest, 1)))
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
    """Exact weighted sums `(batch, time, out)`, pools included, for codes 0..`most`."""
    synapse = layer.synapses[0]
    # Every partial sum, in any order, lies between the sums of the negative and positive terms.
    worst = int(worst_sums((synapse,), {synapse.source: (0, most)}).max())
    window = most * math.prod(math.prod(pool.kernel) for pool in layer.link.pools)
    narrow = device == "cpu" and max(worst, window) < _FLOAT32_EXACT
    dtype = torch.float32 if narrow else torch.float64
    weight = torch.from_numpy(layer.weight).to(device, dtype)
    batch, steps, wide = codes.shape
    found = np.empty((batch * steps, layer.size), np.int64)
    values = np.ascontiguousarray(codes).reshape(batch * steps, wide)
    size = max(1, _PATCH_VALUES // _patch_values(layer))
    for start in range(0, len(values), size):
        rows = torch.from_numpy(values[start : start + size]).to(device, dtype)
        part = _weigh(layer.link.conv, weight, _pool(layer.link.pools, rows))
        found[start : start + size] = part.to(torch.int64).cpu().numpy()
    return found.reshape(batch, steps, layer.size)


def _pool(pools: tuple[Pool, ...], rows: torch.Tensor) -> torch.Tensor:
    """Window sums, one row a step: `(rows, size_in)` to `(rows, size)`."""
    for pool in pools:
        (rows_around, columns_around), maps = pool.padding, rows.reshape(-1, *pool.shape)
        maps = functional.pad(maps, (columns_around, columns_around, rows_around, rows_around))
        sums = functional.avg_pool2d(maps, pool.kernel, pool.stride, divisor_override=1)
        rows = sums.reshape(len(rows), -1)
    return rows


def _weigh(conv: Conv | None, weight: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The kernel on patches of pooled rows: `(rows, size)` to `(rows, size_out)`."""
    if conv is None:
        return torch.matmul(rows, weight.t())
    top, bottom, left, right = conv.padding
    maps = functional.pad(rows.reshape(-1, *conv.shape), (left, right, top, bottom))
    sides = (weight.shape[2], weight.shape[3])
    patches = functional.unfold(maps, sides, dilation=conv.dilation, stride=conv.stride)
    # (rows, groups, in / groups x height x width, positions)
    grouped = patches.reshape(len(rows), conv.groups, -1, patches.shape[2])
    kernels = weight.reshape(conv.groups, weight.shape[0] // conv.groups, -1)
    return torch.matmul(kernels, grouped).reshape(len(rows), -1)


def _patch_values(layer: SpeckLayer) -> int:
    """Values of the patches (or of the input map) of one step."""
    read = layer.synapses[0].size_in
    if layer.link.conv is None:
        return read
    positions = math.prod(layer.shape[1:])
    return max(read, layer.link.conv.groups * positions * math.prod(layer.weight.shape[1:]))


def run_speck_neurons(
    layer: SpeckLayer, sums: npt.NDArray[np.int64], *, keep_membrane: bool
) -> SpeckRun:
    """Neurons of one layer over time on their weighted input `(batch, time, out)`.

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
        z = (state >= layer.threshold).astype(np.int64)
        if layer.max_spikes > 1:
            z *= np.minimum(state // layer.threshold, layer.max_spikes)
        left = np.where(z > 0, 0, state) if layer.reset == "zero" else state - z * layer.threshold
        v = np.maximum(left, layer.low)
        clipped += int(np.count_nonzero((state != added) | (v != left)))
        spikes[:, t] = z
        if keep_membrane:
            membrane[:, t] = v
    return SpeckRun(spikes, membrane, clipped)
