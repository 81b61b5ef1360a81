"""Neurons of a float layer, one step or many: every `NeuronRule`, in float64.

    u = (1 - syn_leak) u + W x + [bias]      bias here where bias_to is "current"
    v = (1 - leak) v + u + [bias]            bias here where bias_to is "membrane"
    n = spikes of this step;  v = 0 where n, or v - n theta;  v = max(v, low)

The rules of sinabs 3.1.3 (subtract, several spikes, >=, a lower bound) are computed in its order of
operations, so that the membranes are equal to the last bit: n = trunc(v / theta), v - n theta in
one product and one difference, and the bound as relu(v - low) + low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.lower import Floats, LoweredLayer
from neurozsl.hardware.neuron import NeuronRule


@dataclass
class FloatState:
    """Current u and membrane v, `(batch, neuron)`; `advance` changes them."""

    u: Floats
    v: Floats


def at_rest(samples: int, size: int) -> FloatState:
    """What every sample starts from."""
    return FloatState(np.zeros((samples, size)), np.zeros((samples, size)))


def advance(layer: LoweredLayer, state: FloatState, current: Floats, theta: Floats) -> Any:
    """One step of all neurons of a layer.

    Args:
        layer: gives decays, bias and rule.
        state: before the step; afterwards that after the step.
        current: weighted input `(batch, neuron)`.
        theta: thresholds of this step, `(batch, neuron)`.

    Returns:
        Spike counts `(batch, neuron)`, bool where a neuron sends at most one.
    """
    to_current = layer.bias if layer.bias_to == "current" else 0.0
    to_membrane = layer.bias if layer.bias_to == "membrane" else 0.0
    state.u = (1.0 - layer.syn_leak) * state.u + (current + to_current)
    v = (1.0 - layer.leak) * state.v + (state.u + to_membrane)
    count, state.v = fire(layer.rule, v, theta)
    return count


def fire(rule: NeuronRule, v: Floats, theta: Floats) -> tuple[Any, Floats]:
    """Spikes and the membrane after them; see `neuron` for the rules.

    A threshold of 0 divides nothing: what fires there sends `max_spikes`.
    """
    fired: npt.NDArray[np.bool_] = v >= theta if rule.compare == ">=" else v > theta
    count: Any = fired
    if not rule.spiking:
        count = fired = np.zeros_like(fired)
    elif rule.max_spikes > 1:
        most = np.full(v.shape, float(rule.max_spikes))
        np.divide(v, theta, out=most, where=theta > 0)
        count = np.where(fired, np.clip(np.trunc(most), 1, rule.max_spikes), 0.0)
    v = np.where(fired, 0.0, v) if rule.reset == "zero" else v - count * theta
    if rule.low is not None:
        v = np.maximum(v - rule.low, 0.0) + rule.low
    return count, v


def run_neurons(
    layer: LoweredLayer, current: Floats, theta: Floats, *, keep_membrane: bool
) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Neurons of one layer over time.

    Args:
        layer: gives decays, bias and rule.
        current: weighted input `(batch, time, out)`.
        theta: thresholds, broadcast to `(batch, time, out)`.
        keep_membrane: False returns an empty membrane.

    Returns:
        spike counts and membrane after the step, `(batch, time, out)`.
    """
    samples, steps, size = current.shape
    z = np.zeros(current.shape, np.uint8)
    kept = np.zeros(current.shape if keep_membrane else (samples, 0, size))
    every = np.broadcast_to(theta, current.shape)
    state = at_rest(samples, size)
    for t in range(steps):
        z[:, t] = advance(layer, state, current[:, t], every[:, t])
        if keep_membrane:
            kept[:, t] = state.v
    return z, kept
