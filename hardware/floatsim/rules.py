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
    """Current u, membrane v, and what a late reset still takes off; all `(batch, neuron)`.

    owed: n theta of the last step, of a late reset to zero n. `advance` changes the three.
    """

    u: Floats
    v: Floats
    owed: Floats


def at_rest(samples: int, layer: LoweredLayer) -> FloatState:
    """What every sample starts from."""
    u, v, owed = (np.zeros((samples, layer.size)) for _ in range(3))
    return FloatState(u, v if layer.start is None else v + layer.start, owed)


def advance(layer: LoweredLayer, state: FloatState, current: Floats, theta: Floats) -> Any:
    """One step of all neurons of a layer; the state becomes that after the step.

    Weighted input and thresholds `(batch, neuron)` to spike counts `(batch, neuron)`, bool where a
    neuron sends at most one.
    """
    return fire(layer.rule, state, _reach(layer, state, current), theta)


def fire(rule: NeuronRule, state: FloatState, reached: Floats, theta: Floats) -> Any:
    """Spike counts of membranes v*; `state.v` is that of the step before, then what they leave."""
    count = _count(rule, reached, theta, state.v)
    _settle(rule, state, reached, count, theta)
    return count


def _reach(layer: LoweredLayer, state: FloatState, current: Floats) -> Floats:
    """The membrane v* that spikes are decided on; `state.u` becomes that of this step."""
    to_current = layer.bias if layer.bias_to == "current" else 0.0
    to_membrane: Any = layer.bias if layer.bias_to == "membrane" else 0.0
    if layer.drive is not None:
        to_membrane = to_membrane + layer.drive
    state.u = (1.0 - layer.syn_leak) * state.u + (current + to_current)
    v: Floats = (1.0 - layer.leak) * state.v + (state.u + to_membrane)
    if layer.rule.reset == "subtract-late":
        return v - state.owed
    return np.where(state.owed != 0, 0.0, v) if layer.rule.reset == "zero-late" else v


def _count(rule: NeuronRule, v: Floats, theta: Floats, before: Floats) -> Any:
    """Spikes of a membrane v* that was `before` after the last step; see `neuron` for the rules.

    A threshold of 0 divides nothing: what fires there sends `max_spikes`.
    """
    if rule.reset == "subtract-nodelay":
        # A threshold that is never reached may be infinite, and 0 x inf is no number.
        v = v - np.where(before > theta, theta, 0.0)
    fired: npt.NDArray[np.bool_] = v >= theta if rule.compare == ">=" else v > theta
    count: Any = fired
    if not rule.spiking:
        count = np.zeros_like(fired)
    elif rule.max_spikes > 1:
        most = np.full(v.shape, float(rule.max_spikes))
        np.divide(v, theta, out=most, where=theta > 0)
        count = np.where(fired, np.clip(np.trunc(most), 1, rule.max_spikes), 0.0)
    return count


def _settle(rule: NeuronRule, state: FloatState, v: Floats, count: Any, theta: Floats) -> None:
    """The state after the spikes of a step, which a membrane v* sent."""
    fired = count != 0
    if rule.reset == "zero":
        v = np.where(fired, 0.0, v)
    elif rule.reset == "zero-late":
        state.owed = fired.astype(np.float64)
    elif rule.reset != "none":
        taken = count * np.where(fired, theta, 0.0)  # theta may be infinite where nothing fires
        if rule.reset == "subtract-late":
            state.owed = taken
        else:
            v = v - taken
    state.v = v if rule.low is None else np.maximum(v - rule.low, 0.0) + rule.low


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
    instead of v after the spikes, for subtract-nodelay before what it takes off to compare.
    """
    every, found = np.broadcast_to(theta, current.shape), np.empty(current.shape)
    state = at_rest(len(current), layer)
    for t in range(current.shape[1]):
        v = _reach(layer, state, current[:, t])
        _settle(layer.rule, state, v, count[:, t], every[:, t])
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
    state = at_rest(samples, layer)
    for t in range(steps):
        z[:, t] = advance(layer, state, current[:, t], every[:, t])
        if keep_membrane:
            kept[:, t] = state.v
    return z, kept
