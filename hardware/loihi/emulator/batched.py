"""Batched emulator of the chip's integer neuron: `emulate(program, chip_input) -> Trace`.

Bit for bit the fixed-point models of lava-nc 0.10.0 without their one step of delay per synapse:
wrap of the current, saturation of the membrane, truncating decays (see `program`), and beyond them
what a chip's own microcode could do: other neuron rules, delays. The weighted sums of all steps of
a layer are exact products and convolutions (`products`, `conv`), the neurons one
fused loop (`kernels`; on other devices `kernels_torch`). Layers of a cycle run one step at a time,
all samples of a batch together. `steps` runs every layer one step at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.emulator.layers import (
    Fetch,
    Kernel,
    LayerRun,
    added,
    layer_runs,
    layer_thresholds,
)
from neurozsl.hardware.loihi.emulator.maps import Sent
from neurozsl.hardware.loihi.emulator.neurons import NeuronRun
from neurozsl.hardware.loihi.emulator.products import Codes, code_tensor
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.network.turns import LayerGroup, stages

_CACHED_SUMS: Final = 5 << 16  # 1.3 MB: with weights and spikes inside a 2 MB cache of a core
# A convolution is called once per batch and layer at a cost of tens of microseconds: 6 MB a call.
_CONV_SUMS: Final = 3 << 19
_LARGEST_SUMS: Final = 1 << 22  # 16 MB: of a layer at once, whatever the batch and the steps
_DEVICE_SUMS: Final = 1 << 25


@dataclass(frozen=True)
class _Found:
    """What a run has found so far: per layer the arrays of a Trace, and counts."""

    spikes: Mapping[str, Codes]
    membrane: Mapping[str, Codes]
    overflow: dict[str, int]
    saturation: dict[str, int]

    def rows(self, rows: slice) -> "_Found":
        """The part of some samples; counts are shared."""
        spikes = {name: x[rows] for name, x in self.spikes.items()}
        membrane = {name: x[rows] for name, x in self.membrane.items()}
        return _Found(spikes, membrane, self.overflow, self.saturation)

    def keep(self, name: str, steps: slice, run: NeuronRun) -> None:
        """Add the counts of a run, and its membrane where it is wanted."""
        self.overflow[name] += run.overflow
        self.saturation[name] += run.saturation
        if name in self.membrane:
            self.membrane[name][:, steps] = torch.as_tensor(run.membrane).cpu().numpy()


def emulate(
    program: Program,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int | None = None,
    device: str = "cpu",
    kernel: Kernel = "auto",
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer as the chip would give them.

    Arguments as in `arithmetic.emulate`: the membrane is int32, and that of a layer that does not
    spike is recorded always; a batch of None lets the sums fit the cache of a core; the kernel is
    "numba" (CPU) or "torch" (any device), "auto" takes numba where it can. Same bits.

    Returns:
        Trace with uint8 spike counts, zeros for a layer that does not spike; overflow counts
        sample x step x neuron where the current wrapped, saturation where the membrane was clipped.

    Raises:
        BadInput: see `Program.check`; a dynamic threshold that is no 17-bit integer; a device that
            this machine or the kernel does not have.
    """
    checked = program.check(chip_input)
    samples, steps = checked.batch, checked.steps
    runs = layer_runs(program, device, kernel)
    plan = _plan(program)
    held = _samples_at_once(program, plan, steps, device) if batch is None else batch
    sizes = {layer.name: (samples, steps, layer.size) for layer in program.layers}
    keep = [x.name for x in program.layers if "membrane" in record or not x.rule.spiking]
    found = _Found(
        {name: np.empty(shape, np.uint8) for name, shape in sizes.items()},
        {name: np.empty(sizes[name], np.int32) for name in keep},
        dict.fromkeys(sizes, 0),
        dict.fromkeys(sizes, 0),
    )
    threshold = {x.name: layer_thresholds(program, x, checked) for x in program.layers}
    codes = {name: code_tensor(x, program.inputs[name]) for name, x in checked.codes.items()}
    for start in range(0, samples, held):
        rows = slice(start, start + held)
        sent = {name: Sent(x[rows].to(device), {}) for name, x in codes.items()}
        part, limits = found.rows(rows), {name: x[rows] for name, x in threshold.items()}
        for stage in plan:
            run_stage = _run_in_steps if stage.in_steps else _run_at_once
            run_stage(stage, runs, sent, limits, part)
        if progress is not None:
            progress(min(start + held, samples), samples)
    return Trace(found.spikes, found.overflow, found.saturation, found.membrane)


@lru_cache(maxsize=64)
def _plan(program: Program) -> tuple[LayerGroup[ProgramLayer], ...]:
    return stages(program.layers)


def _samples_at_once(
    program: Program, plan: tuple[LayerGroup[ProgramLayer], ...], steps: int, device: str
) -> int:
    """As many as keep the sums of the widest layer in a core's cache; more for a device.

    More for convolutions too, whose calls cost more than sums beyond the cache do. Where
    layers run one step at a time the sums of one step count: a step of few samples costs
    little more than the calls that it takes.
    """
    convolves = any(s.link.conv for layer in program.layers for s in layer.synapses)
    sums = _CONV_SUMS if convolves else _CACHED_SUMS
    sums = sums if device == "cpu" else _DEVICE_SUMS
    widest = max(layer.size for layer in program.layers)
    together = 1 if any(stage.in_steps for stage in plan) else steps
    return max(1, sums // max(1, together * widest))


def _steps_at_once(run: LayerRun, samples: int) -> int:
    """Steps whose sums of a layer fit the memory that is set aside for them."""
    sums = _LARGEST_SUMS if run.device == "cpu" else _DEVICE_SUMS
    return max(1, sums // max(1, samples * run.size))


def _seen(sent: Mapping[str, Sent], start: int, stop: int) -> Fetch:
    """What synapses see in steps start..stop."""
    return lambda synapse: sent[synapse.source].cut(start, stop, synapse.link.delay)


def _run_at_once(
    stage: LayerGroup[ProgramLayer],
    runs: Mapping[str, LayerRun],
    sent: dict[str, Sent],
    threshold: Mapping[str, Codes],
    found: _Found,
) -> None:
    """A layer over all steps, or over as many at a time as memory allows."""
    [layer] = stage.layers
    name, run = layer.name, runs[layer.name]
    spikes, limits = found.spikes[name], threshold[name]
    samples, steps = limits.shape
    several = _steps_at_once(run, samples)
    state = None if several >= steps else run.rest(samples)
    for start in range(0, steps, several):
        window = slice(start, min(start + several, steps))
        sums = run.sums(_seen(sent, window.start, window.stop))
        now, ran = run.neurons(
            sums,
            limits[:, window],
            keep_membrane=name in found.membrane,
            state=state,
            steps_in_all=steps,
            out=spikes[:, window],
        )
        found.keep(name, window, ran)
    if several < steps:
        now = Sent(torch.from_numpy(spikes).to(run.device), {})
    sent[name] = now


def _run_in_steps(
    stage: LayerGroup[ProgramLayer],
    runs: Mapping[str, LayerRun],
    sent: dict[str, Sent],
    threshold: Mapping[str, Codes],
    found: _Found,
) -> None:
    """Layers of a cycle, one step at a time; what comes from elsewhere is summed beforehand."""
    inside = stage.names
    names = [layer.name for layer in stage.layers]
    samples, steps = threshold[names[0]].shape
    for name in names:
        # On the CPU what is sent is written into the array of the Trace.
        sent[name] = Sent(torch.from_numpy(found.spikes[name]).to(runs[name].device), {})
    state = {name: runs[name].rest(samples) for name in names}
    several = min(_steps_at_once(runs[name], samples) for name in names)
    within, without = {}, {}
    for layer in stage.layers:
        numbers = range(len(layer.synapses))
        within[layer.name] = [i for i in numbers if layer.synapses[i].source in inside]
        without[layer.name] = [i for i in numbers if layer.synapses[i].source not in inside]
    for start in range(0, steps, several):
        stop = min(start + several, steps)
        outside = {
            name: runs[name].some_sums(_seen(sent, start, stop), numbers)
            for name, numbers in without.items()
        }
        for t in range(start, stop):
            for name in names:
                run = runs[name]
                parts = [run.some_sums(_seen(sent, t, t + 1), within[name])]
                given = outside[name]
                parts.append(None if given is None else given[:, t - start : t - start + 1])
                now, ran = run.neurons(
                    added([part for part in parts if part is not None]),
                    threshold[name][:, t : t + 1],
                    keep_membrane=name in found.membrane,
                    state=state[name],
                    steps_in_all=steps,
                )
                sent[name].flat[:, t : t + 1] = now.flat
                found.keep(name, slice(t, t + 1), ran)
    for name in names:
        if runs[name].device != "cpu":
            found.spikes[name][:] = sent[name].flat.cpu().numpy()
