"""Spikes of a drive over the steps of a sample: Norse's neurons.

In: drive `(batch, time, neuron)`, what a synapse gives; out: spikes of the same shape. Neuron of
MDFT Eq. 8 and 9 in Norse's form, one step per feature step, with dt = 1 so that dt * tau_mem_inv is
kappa exactly::

    lif  v* = v + kappa (drive - v);  z = v* > theta;  v = 0 on z
    if   v* = v + drive, the rest alike (Norse's IAFCell; chips without a leak)
    mlp  z = relu(drive), no neuron at all: the ablation

The comparison is strict (the paper prints "reaches", >=): every simulator here can do that one.

On the CPU and with the default surrogate all steps run in one pass (`models.fused_neurons`), to the
same bits as Norse's cell, which runs everything else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from neurozsl.models.fused_neurons import fits, fused
from neurozsl.norse.cells import (
    IAFFeedForwardState,
    IAFParameters,
    LIFBoxFeedForwardState,
    LIFBoxParameters,
    iaf_feed_forward_step,
    lif_box_feed_forward_step,
)

DECAY_UNIT = 4096  # Loihi's decays have 12 bits
Neuron = Literal["lif", "if", "mlp"]
# Norse's names. In norse 1.1.0 "super" ignores its slope: the gradient is 1 / (|x| + 1)^2 for every
# alpha (measured), so a slope needs one of the others: tanh is 1 - tanh(slope x)^2.
Surrogate = Literal["tanh", "heavi_erfc", "super"]


@dataclass(frozen=True)
class NeuronConfig:
    """One population: its equation, leak kappa = decay_u12 / 4096, threshold and surrogate."""

    neuron: Neuron = "lif"
    decay_u12: int = 2048
    theta: float = 1.0
    surrogate: Surrogate = "tanh"
    slope: float = 1.0

    @property
    def kappa(self) -> float:
        """Fraction of the membrane that is lost per step; 0 without a leak."""
        return 0.0 if self.neuron == "if" else self.decay_u12 / DECAY_UNIT

    @property
    def unit(self) -> float:
        """The drive that lifts the membrane by one threshold: LIF multiplies it by kappa."""
        gains = {"lif": self.theta * DECAY_UNIT / self.decay_u12, "if": self.theta, "mlp": 1.0}
        return gains[self.neuron]


def fire(drive: Tensor, config: NeuronConfig, theta: Tensor | None = None) -> Tensor:
    """Spikes of `drive` `(batch, time, neuron)`; `theta` `(batch, time)` replaces the constant."""
    if config.neuron == "mlp":
        return torch.relu(drive)
    if not fits(drive, config.surrogate):
        return stepwise(drive, config, theta)
    kappa = config.kappa if config.neuron == "lif" else None
    limit = drive.new_tensor(config.theta) if theta is None else theta.to(drive.dtype)
    return fused(drive, limit, kappa=kappa, slope=config.slope)


def stepwise(drive: Tensor, config: NeuronConfig, theta: Tensor | None = None) -> Tensor:
    """The same by Norse's cell, one step after the other."""
    step, v, spikes = stepper(config, drive), torch.zeros_like(drive[:, 0]), []
    constant = drive.new_tensor(config.theta)
    for t in range(drive.shape[1]):
        # (batch, 1), one threshold per sample, where it moves
        z, v = step(drive[:, t], v, constant if theta is None else theta[:, t, None])
        spikes.append(z)
    return torch.stack(spikes, 1)


# (current, membrane, threshold) of a step -> (spikes, membrane)
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def stepper(config: NeuronConfig, like: Tensor) -> Step:
    """One step of Norse's neuron, for currents of the type and device of `like`."""
    zero = like.new_tensor(0.0)
    shared = {"v_reset": zero, "method": config.surrogate, "alpha": like.new_tensor(config.slope)}
    run: Callable[..., Any]
    if config.neuron == "if":  # the current enters the membrane with gain 1
        state, run, parameters = IAFFeedForwardState, iaf_feed_forward_step, IAFParameters(**shared)
    else:
        state, run = LIFBoxFeedForwardState, partial(lif_box_feed_forward_step, dt=1.0)
        kappa = like.new_tensor(config.kappa)
        parameters = LIFBoxParameters(tau_mem_inv=kappa, v_leak=zero, **shared)

    def step(i: Tensor, v: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        z, after = run(i, state(v=v), parameters._replace(v_th=theta))
        return z, after.v

    return step
