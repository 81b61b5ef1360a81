"""Reference simulation of a `Lowered` in float64 numpy: `simulate(lowered, chip_input) -> Trace`.

    u = (1 - syn_leak) u + W x + [bias]      bias here where bias_to is "current"
    v = (1 - leak) v + u + [bias] + [drive]  bias here where bias_to is "membrane"
    z = v > threshold (strict);  v = 0 where z      (other rules: `neuron`)

All states start at 0 for every sample (v at the layer's `start` where it has one). x of an input is
code * scale, of a layer its spikes; W x is summed over the synapses in their order, a delayed one
with the spikes of `delay` steps before. The threshold is theta[layer] of the input (policy
dynamic), the layer's table, or its constant.

Layers run over all steps at once, those of a cycle one step at a time (`turns`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from neurozsl.core.progress import Progress
from neurozsl.core.signals import Array, ChipInput, Policy, Trace
from neurozsl.hardware.floatsim.rules import advance, at_rest, run_neurons
from neurozsl.hardware.lower.lower import Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.synapse import Synapse, pooled, shifted, weigh
from neurozsl.hardware.network.turns import LayerGroup, stages

Record = Literal["spikes", "membrane"]

_SAMPLES: Final = 256
_HELD: Final = 1 << 23  # values of one layer that are held at once, 64 MB
_PATCHES: Final = 1 << 22  # values of the patches of a convolution, 32 MB


def simulate(
    lowered: Lowered,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer, in float64.

    Args:
        lowered: the network.
        chip_input: codes `(samples, time, size)`.
        record: add "membrane" for v after each step `(samples, time, neuron)` float64; that of a
            layer that does not spike is recorded always.
        batch: samples that are held at once; None for 256, fewer where layers are large.
        progress: called after each batch.

    Returns:
        Trace with uint8 spike counts, zeros for a layer that does not spike.

    Raises:
        BadInput: the input does not belong to this network (see `Program.check`).
    """
    checked = check_input(lowered.inputs, lowered.layers, lowered.steps, lowered.policy, chip_input)
    samples, steps = checked.batch, checked.steps
    widest = max(layer.size for layer in lowered.layers)
    held = batch or min(_SAMPLES, max(1, _HELD // max(1, steps * widest)))
    keep = {x.name for x in lowered.layers if "membrane" in record or not x.rule.spiking}
    shapes = {layer.name: (samples, steps, layer.size) for layer in lowered.layers}
    spikes = {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()}
    membrane = {name: np.zeros(shape) for name, shape in shapes.items() if name in keep}
    plan = stages(lowered.layers)
    for start in range(0, samples, held):
        rows = slice(start, start + held)
        part = checked.take(rows)
        values: dict[str, Any] = {
            name: part.codes[name] * code.scale for name, code in lowered.inputs.items()
        }
        into = {name: x[rows] for name, x in membrane.items()}
        for stage in plan:
            theta = {x.name: layer_thresholds(lowered.policy, x, part) for x in stage.layers}
            if stage.in_steps:
                for layer in stage.layers:
                    values[layer.name] = spikes[layer.name][rows]
                _run_in_steps(stage, values, theta, into)
            else:
                [layer] = stage.layers
                values[layer.name], v = run_neurons(
                    layer, drive(layer, values), theta[layer.name], keep_membrane=layer.name in keep
                )
                spikes[layer.name][rows] = values[layer.name]
                if layer.name in keep:
                    into[layer.name][:] = v
        if progress is not None:
            progress(min(start + held, samples), samples)
    return Trace(spikes, membrane=membrane)


def weighted(synapse: Synapse, values: Array) -> Floats:
    """Sums of a synapse in float64, a few rows at a time where patches would take much memory.

    values: `(batch, time, size_in)`, from the first step of the sample; `(batch, time, size_out)`
    comes out.
    """
    link, late = synapse.link, shifted(values, synapse.link.delay)
    if link.conv is None and not link.pools:
        plain: Floats = late.astype(np.float64) @ synapse.weight.T
        return plain
    batch, steps = values.shape[:2]
    rows = late.reshape(batch * steps, -1)
    sums = np.empty((len(rows), synapse.size_out))
    each = synapse.size_in
    if link.conv is not None:  # a patch per group and position
        patch, positions = synapse.weight[0].size, synapse.size_out // len(synapse.weight)
        each = max(each, patch * positions * link.conv.groups)
    some = max(1, _PATCHES // each)
    for start in range(0, len(rows), some):
        piece = rows[start : start + some].astype(np.float64)
        sums[start : start + some] = weigh(synapse, pooled(link, piece))
    return sums.reshape(batch, steps, -1)


def drive(layer: LoweredLayer, values: Mapping[str, Any]) -> Floats:
    """Weighted input of a layer over all steps, `(batch, time, out)`.

    values: of every source `(batch, time, size)`, spikes or codes times their scale.
    """
    first, *others = layer.synapses
    total = weighted(first, values[first.source])
    for synapse in others:
        total = total + weighted(synapse, values[synapse.source])
    return total


def _run_in_steps(
    stage: LayerGroup[LoweredLayer],
    values: Mapping[str, Any],
    theta: Mapping[str, Floats],
    membrane: Mapping[str, Floats],
) -> None:
    """Layers of a cycle; their entries of values (and of membrane) are filled step by step."""
    inside = stage.names
    outside = {
        (layer.name, i): weighted(synapse, values[synapse.source])
        for layer in stage.layers
        for i, synapse in enumerate(layer.synapses)
        if synapse.source not in inside
    }
    shape = {layer.name: values[layer.name].shape for layer in stage.layers}
    limit = {name: np.broadcast_to(theta[name], shape[name]) for name in shape}
    state = {layer.name: at_rest(shape[layer.name][0], layer) for layer in stage.layers}
    now = {
        (layer.name, i): replace(synapse, link=replace(synapse.link, delay=0))
        for layer in stage.layers
        for i, synapse in enumerate(layer.synapses)
    }
    steps = next(iter(shape.values()))[1]
    for t in range(steps):
        for layer in stage.layers:
            total: Any = None
            for i, synapse in enumerate(layer.synapses):
                key = (layer.name, i)
                if key in outside:
                    part = outside[key][:, t]
                elif t < synapse.link.delay:
                    continue  # nothing was sent before the first step
                else:
                    seen = values[synapse.source][:, t - synapse.link.delay, None]
                    part = weighted(now[key], seen)[:, 0]
                total = part if total is None else total + part
            name = layer.name
            total = np.zeros(state[name].v.shape) if total is None else total
            values[name][:, t] = advance(layer, state[name], total, limit[name][:, t])
            if name in membrane:
                membrane[name][:, t] = state[name].v


def layer_thresholds(policy: Policy, layer: LoweredLayer, part: ChipInput) -> Floats:
    """Thresholds of a layer, broadcastable to `(batch, time, out)`."""
    if policy == "dynamic" and part.theta is not None:
        return np.asarray(part.theta[layer.name], np.float64)[:, :, None]
    if policy == "table" and layer.theta_table is not None:
        return layer.theta_table[None, :, None]
    return layer.threshold
