"""The neurons of a lowered network in torch, with a gradient: every `NeuronRule` of `floatsim`.

    u = (1 - syn_leak) u + drive;   v* = (1 - leak) v + u;   z by the rule;   v by the rule

The gradient of a spike is Norse's surrogate tanh on (v* - theta) / theta: a threshold is the unit
of a membrane, and units differ between networks and between integers. Where several spikes a step
are sent, the count grows by one a threshold, so its gradient beyond the first is 1 / theta.

Spikes may be given (those of a chip's integers): then they are the values, and the gradient runs
through the neuron on the membrane that they leave behind (straight-through).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurozsl.hardware.network.lowered import LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.norse.cells import threshold

SURROGATE = "tanh"


@dataclass(frozen=True)
class Population:
    """Neurons of one layer as tensors: decays `(neuron,)`, theta `(neuron,)` or `(time, 1)`."""

    rule: NeuronRule
    keep: Tensor
    keep_current: Tensor | None
    theta: Tensor
    slope: float

    @staticmethod
    def of(layer: LoweredLayer, like: Tensor, slope: float) -> "Population":
        """The neurons of a lowered layer, in the type and on the device of `like`."""
        theta = layer.threshold if layer.theta_table is None else layer.theta_table[:, None]
        synaptic = bool(np.any(layer.syn_leak != 1))
        return Population(
            layer.rule,
            _like(1.0 - layer.leak, like),
            _like(1.0 - layer.syn_leak, like) if synaptic else None,
            _like(theta, like),
            slope,
        )

    def at(self, t: int) -> Tensor:
        """The thresholds of a step."""
        return self.theta[t] if self.theta.dim() == 2 else self.theta


@dataclass
class State:
    """Current, membrane and what a late reset takes off, `(batch, neuron)`; `advance` moves all."""

    u: Tensor
    v: Tensor
    owed: Tensor

    @staticmethod
    def at_rest(samples: int, neurons: Population) -> "State":
        """What every sample starts from."""
        zero = neurons.keep.new_zeros(samples, len(neurons.keep))
        return State(zero, zero, zero)


def run(neurons: Population, drive: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of a drive, all `(batch, time, neuron)`; given: spikes, if known."""
    state, spikes, membranes = State.at_rest(len(drive), neurons), [], []
    for t in range(drive.shape[1]):
        known = None if given is None else given[:, t]
        spikes.append(advance(neurons, state, drive[:, t], t, known))
        membranes.append(state.v)
    return torch.stack(spikes, 1), torch.stack(membranes, 1)


def advance(
    neurons: Population, state: State, drive: Tensor, t: int, given: Tensor | None = None
) -> Tensor:
    """One step: spike counts `(batch, neuron)`; the state becomes that after it."""
    rule, theta = neurons.rule, neurons.at(t)
    if neurons.keep_current is not None:
        drive = neurons.keep_current * state.u + drive
        state.u = drive
    v = neurons.keep * state.v + drive
    if rule.reset == "subtract-late":
        v = v - state.owed
    elif rule.reset == "zero-late":
        v = torch.where(state.owed != 0, torch.zeros_like(v), v)
    if not rule.spiking:
        state.v = _bounded(v, rule)
        return torch.zeros_like(v)
    compared = v
    if rule.reset == "subtract-nodelay":
        compared = v - torch.where(state.v > theta, theta, torch.zeros_like(theta))
    z = _spikes(neurons, compared, theta, given)
    if rule.reset == "zero":
        v = v * (1 - torch.clamp(z, max=1))
    elif rule.reset == "zero-late":
        state.owed = (z.detach() != 0).to(v.dtype)
    elif rule.reset == "subtract-late":
        state.owed = z * theta
    elif rule.reset != "none":
        v = v - z * theta
    state.v = _bounded(v, rule)
    return z


def _spikes(neurons: Population, v: Tensor, theta: Tensor, given: Tensor | None) -> Tensor:
    """Counts with the gradient of the surrogate."""
    rule = neurons.rule
    # 0 divides nothing, and a threshold that is never reached may be infinite
    usual = (theta != 0) & torch.isfinite(theta)
    unit = torch.where(usual, theta.abs(), torch.ones_like(theta))
    over = (v - theta) / unit
    soft = threshold(over, SURROGATE, v.new_tensor(neurons.slope))
    if rule.max_spikes > 1:
        soft = soft + torch.clamp(over, 0, rule.max_spikes - 1)
    if given is None:
        fired = v >= theta if rule.compare == ">=" else v > theta
        given = fired.to(v.dtype)
        if rule.max_spikes > 1:
            count = torch.clamp(torch.trunc(v.detach() / unit), 1, rule.max_spikes)
            given = given * count
    found: Tensor = given + (soft - soft.detach())
    return found


def _bounded(v: Tensor, rule: NeuronRule) -> Tensor:
    return v if rule.low is None else torch.clamp(v, min=rule.low)


def _like(values: object, like: Tensor) -> Tensor:
    return torch.as_tensor(values).to(device=like.device, dtype=like.dtype)
