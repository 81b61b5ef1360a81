"""Reference simulation of a `Lowered` in float64 numpy: `simulate(lowered, chip_input) -> Trace`.

    u = (1 - syn_leak) u + W x + [bias]      bias here where bias_to is "current"
    v = (1 - leak) v + u + [bias]            bias here where bias_to is "membrane"
    z = v > threshold (strict);  v = 0 where z

All states start at 0 for every sample. x of an input is code * scale, of a layer its spikes. The
threshold is theta[layer] of the input (policy dynamic), the layer's table, or its constant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.lower import Floats, Lowered, LoweredLayer
from neurozsl.hardware.program import check_input
from neurozsl.signals import ChipInput, Policy, Trace

Record = Literal["spikes", "membrane"]
Progress = Callable[[int, int], None]  # samples done, samples in all


def simulate(
    lowered: Lowered,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int = 256,
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer, in float64.

    Args:
        lowered: the network.
        chip_input: codes `(samples, time, size)`.
        record: add "membrane" for v after each step `(samples, time, neuron)` float64.
        batch: samples that are held at once.
        progress: called after each batch.

    Raises:
        BadInput: the input does not belong to this network (see `Program.check`).
    """
    checked = check_input(lowered.inputs, lowered.layers, lowered.steps, lowered.policy, chip_input)
    samples = checked.batch
    spikes: dict[str, list[Any]] = {layer.name: [] for layer in lowered.layers}
    membrane: dict[str, list[Any]] = {layer.name: [] for layer in lowered.layers}
    for start in range(0, max(samples, 1), batch):
        part = checked.take(slice(start, start + batch))
        values: dict[str, Any] = {
            name: part.codes[name] * code.scale for name, code in lowered.inputs.items()
        }
        for layer in lowered.layers:
            current = values[layer.source].astype(np.float64) @ layer.weight.T  # (batch, time, out)
            theta = layer_thresholds(lowered.policy, layer, part)
            z, v = run_neurons(layer, current, theta, keep_membrane="membrane" in record)
            values[layer.name] = z
            spikes[layer.name].append(z)
            membrane[layer.name].append(v)
        if progress is not None:
            progress(min(start + batch, samples), samples)
    joined = {name: np.concatenate(parts) for name, parts in spikes.items()}
    if "membrane" not in record:
        return Trace(joined)
    return Trace(joined, membrane={name: np.concatenate(p) for name, p in membrane.items()})


def run_neurons(
    layer: LoweredLayer, current: Floats, theta: Floats, *, keep_membrane: bool
) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Neurons of one layer over time.

    Args:
        layer: gives decays and bias.
        current: weighted input `(batch, time, out)`.
        theta: thresholds, broadcast to `(batch, time, out)`.
        keep_membrane: False returns an empty membrane.

    Returns:
        spikes and membrane after the step, `(batch, time, out)`.
    """
    samples, steps, size = current.shape
    z = np.zeros(current.shape, np.uint8)
    kept = np.zeros(current.shape if keep_membrane else (samples, 0, size))
    to_current = layer.bias if layer.bias_to == "current" else 0.0
    to_membrane = layer.bias if layer.bias_to == "membrane" else 0.0
    u, v = np.zeros((samples, size)), np.zeros((samples, size))
    every = np.broadcast_to(theta, current.shape)
    for t in range(steps):
        u = (1.0 - layer.syn_leak) * u + (current[:, t] + to_current)
        v = (1.0 - layer.leak) * v + (u + to_membrane)
        fired = v > every[:, t]
        v = np.where(fired, 0.0, v)
        z[:, t] = fired
        if keep_membrane:
            kept[:, t] = v
    return z, kept


def layer_thresholds(policy: Policy, layer: LoweredLayer, part: ChipInput) -> Floats:
    """Thresholds of a layer, broadcastable to `(batch, time, out)`."""
    if policy == "dynamic" and part.theta is not None:
        return np.asarray(part.theta[layer.name], np.float64)[:, :, None]
    if policy == "table" and layer.theta_table is not None:
        return layer.theta_table[None, :, None]
    return layer.threshold
