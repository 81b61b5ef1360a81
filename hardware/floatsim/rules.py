"""Neurons of a float layer, one step or many: every `NeuronRule`, in float64.

The equations are those of `floatsim` and `neuron`. The rules of sinabs 3.1.3 (subtract, several
spikes, >=, a lower bound) are computed in its order of operations, so that the membranes are equal
to the last bit: n = trunc(v / theta), v - n theta in one product and one difference, and the bound
as relu(v - low) + low.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.lower.lower import Floats, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule


@dataclass
class FloatState:
    """Current u and membrane v, `(batch, neuron)`; `advance` changes them."""

    u: Floats
    v: Floats


def at_rest(samples: int, size: int) -> FloatState:
    """What every sample starts from."""
    return FloatState(np.zeros((samples, size)), np.zeros((samples, size)))


def advance(layer: LoweredLayer, state: FloatState, current: Floats, theta: Floats) -> Any:
    """One step of all neurons of a layer; the state becomes that after the step.

    Weighted input and thresholds `(batch, neuron)` to spike counts `(batch, neuron)`, bool where a
    neuron sends at most one.
    """
    count, state.v = fire(layer.rule, _reach(layer, state, current), theta)
    return count


def _reach(layer: LoweredLayer, state: FloatState, current: Floats) -> Floats:
    """The membrane v* that is compared with the threshold; `state.u` becomes that of this step."""
    to_current = layer.bias if layer.bias_to == "current" else 0.0
    to_membrane = layer.bias if layer.bias_to == "membrane" else 0.0
    state.u = (1.0 - layer.syn_leak) * state.u + (current + to_current)
    v: Floats = (1.0 - layer.leak) * state.v + (state.u + to_membrane)
    return v


def fire(rule: NeuronRule, v: Floats, theta: Floats) -> tuple[Any, Floats]:
    """Spikes and the membrane after them; see `neuron` for the rules.

    A threshold of 0 divides nothing: what fires there sends `max_spikes`.
    """
    fired: npt.NDArray[np.bool_] = v >= theta if rule.compare == ">=" else v > theta
    count: Any = fired
    if not rule.spiking:
        count = np.zeros_like(fired)
    elif rule.max_spikes > 1:
        most = np.full(v.shape, float(rule.max_spikes))
        np.divide(v, theta, out=most, where=theta > 0)
        count = np.where(fired, np.clip(np.trunc(most), 1, rule.max_spikes), 0.0)
    return count, _settle(rule, v, count, theta)


def _settle(rule: NeuronRule, v: Floats, count: Any, theta: Floats) -> Floats:
    """The membrane after the spikes of a step."""
    fired = count != 0
    # The threshold of a layer that never fires may be infinite, and 0 x inf is no number.
    zero = rule.reset == "zero"
    v = np.where(fired, 0.0, v) if zero else v - count * np.where(fired, theta, 0.0)
    return v if rule.low is None else np.maximum(v - rule.low, 0.0) + rule.low


def replay(
    layer: LoweredLayer,
    current: Floats,
    count: npt.NDArray[Any],
    theta: Floats,
    *,
    reached: bool = False,
) -> Floats:
    """Membranes of a layer whose spikes are given: the same bits where they are its own.

    Weighted input and spike counts `(batch, time, out)` to membranes of the same shape; theta is
    what a reset takes away, broadcast to it. reached: v* that the threshold is compared with,
    instead of v after the spikes.
    """
    every, found = np.broadcast_to(theta, current.shape), np.empty(current.shape)
    state = at_rest(len(current), layer.size)
    for t in range(current.shape[1]):
        v = _reach(layer, state, current[:, t])
        state.v = _settle(layer.rule, v, count[:, t], every[:, t])
        found[:, t] = v if reached else state.v
    return found


def run_neurons(
    layer: LoweredLayer, current: Floats, theta: Floats, *, keep_membrane: bool
) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Neurons of one layer over time: spike counts, and the membrane after each step if kept.

    Weighted input `(batch, time, out)`, thresholds broadcast to it; both results have its shape.
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
