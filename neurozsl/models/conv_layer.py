"""One convolutional spiking block of STFT: Conv1d, BatchNorm, GLP, neuron, closed threshold.

In: spikes or codes `(batch, time, in)`; out: spikes `(batch, time, neuron)` and the threshold of
every step. Equations in `conv_motion`; the neuron is Norse's, stepped with the threshold::

    I = BN(Conv1d(x));   I^ = GLP(I) where `shaped`;   v* = v + kappa (I^ - v);   z = v* > theta_t
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import FloatArray
from neurozsl.models.blocks import RowNorm
from neurozsl.models.closed_loop import ClosedLoop, next_theta
from neurozsl.models.glp import GlobalLocalPooling
from neurozsl.models.neurons import DECAY_UNIT, Neuron, Surrogate
from neurozsl.norse.cells import (
    IAFFeedForwardState,
    IAFParameters,
    LIFBoxFeedForwardState,
    LIFBoxParameters,
    iaf_feed_forward_step,
    lif_box_feed_forward_step,
)

Axis = Literal["feature", "time"]
Map = tuple[int, int]  # channels, length
# (current, membrane, threshold) of a step -> (spikes, membrane)
Advance = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class ConvSpikingLayer(nn.Module):
    """Conv - BatchNorm - neuron; see the module docstring.

    shape: map that is read. For the axis "time" it is `(features, 1)`.
    """

    def __init__(
        self,
        shape: Map,
        channels: int,
        *,
        axis: Axis,
        kernel: int,
        stride: int,
        decay_u12: int,
        theta: float,
        surrogate: Surrogate,
        slope: float,
        norm: bool,
        neuron: Neuron,
        shaped: bool,
        loop: ClosedLoop,
        detach: bool,
    ) -> None:
        super().__init__()
        self.shape, self.axis, self.kernel, self.stride = shape, axis, kernel, stride
        self.decay_u12, self.theta, self.neuron = decay_u12, theta, neuron
        self.surrogate, self.slope = surrogate, slope
        self.shaped, self.loop, self.detach = shaped, loop, detach
        self.conv = nn.Conv1d(shape[0], channels, kernel, stride=stride if axis == "feature" else 1)
        length = 1
        if axis == "feature":
            self.conv.padding = (kernel // 2,)
            length = (shape[1] + 2 * (kernel // 2) - kernel) // stride + 1
        self.out: Map = (channels, length)
        # As in `motion`: what reaches the membrane starts with a deviation of one threshold; GLP
        # maps it into (0, 1), so there it starts with a deviation of 1.
        gains = {"lif": theta * DECAY_UNIT / decay_u12, "if": theta, "mlp": 1.0}
        self.norm = RowNorm(channels, gain=1.0 if shaped else gains[neuron]) if norm else None
        self.pooling = GlobalLocalPooling() if shaped or loop != "fixed" else None

    @property
    def kappa(self) -> float:
        """Fraction of the membrane that is lost per step; 0 without a leak."""
        return 0.0 if self.neuron == "if" else self.decay_u12 / DECAY_UNIT

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.out[0] * self.out[1]

    def current(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """BN(Conv(x)) of Eq. 6: `(batch, time, in)` -> `(batch, time, channels x length)`."""
        batch, steps = x.shape[:2]
        if self.axis == "feature":
            maps = self.conv(x.reshape(batch * steps, *self.shape))  # (batch x time, C, L)
        else:
            late = nn.functional.pad(x.transpose(1, 2), (self.kernel - 1, 0))
            maps = self.conv(late).transpose(1, 2).reshape(batch * steps, -1, 1)
        if self.norm is None:
            flat: Tensor = maps.reshape(batch, steps, -1)
            return flat
        rows = maps.transpose(1, 2).reshape(batch, -1, self.out[0])  # (batch, time x L, C)
        real = None if mask is None else mask.repeat_interleave(self.out[1], 1)
        normed: Tensor = self.norm(rows, real)
        return (
            normed.reshape(batch * steps, -1, self.out[0]).transpose(1, 2).reshape(batch, steps, -1)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Spikes `(batch, time, neuron)` of `x` `(batch, time, in)`, and theta `(batch, time)`."""
        drive = self.current(x, mask)
        pooled = None if self.pooling is None else self.pooling.pooled(drive)  # (batch, time)
        if self.shaped:
            assert self.pooling is not None
            drive = self.pooling(drive)
        theta = drive.new_full((len(drive),), self.theta)
        if self.neuron == "mlp":
            return torch.relu(drive), theta.unsqueeze(1).expand(drive.shape[:2])
        advance = self._neuron(drive)
        v, z = torch.zeros_like(drive[:, 0]), torch.zeros_like(drive[:, 0])
        spikes, thetas = [], []
        for t in range(drive.shape[1]):
            if self.loop != "fixed":
                assert pooled is not None
                theta = next_theta(
                    self.loop,
                    pooled=pooled[:, t],
                    spikes=z.reshape(len(z), *self.out),
                    theta=theta,
                    theta_0=self.theta,
                )
                theta = theta.detach() if self.detach else theta
            z, v = advance(drive[:, t], v, theta.unsqueeze(1))
            spikes.append(z)
            thetas.append(theta)
        return torch.stack(spikes, 1), torch.stack(thetas, 1)

    def _neuron(self, like: Tensor) -> Advance:
        """One step of Norse's neuron."""
        shared = {
            "v_reset": like.new_tensor(0.0),
            "method": self.surrogate,
            "alpha": like.new_tensor(self.slope),
        }
        if self.neuron == "if":
            iaf = IAFParameters(**shared)

            def integrate(i: Tensor, v: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
                p = iaf._replace(v_th=theta)
                z, state = iaf_feed_forward_step(i, IAFFeedForwardState(v=v), p)
                return z, state.v

            return integrate
        lif = LIFBoxParameters(
            tau_mem_inv=like.new_tensor(self.kappa), v_leak=like.new_tensor(0.0), **shared
        )

        def leak(i: Tensor, v: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
            p = lif._replace(v_th=theta)
            z, state = lif_box_feed_forward_step(i, LIFBoxFeedForwardState(v=v), p, dt=1.0)
            return z, state.v

        return leak

    def folded(self) -> tuple[FloatArray, FloatArray]:
        """Kernel `(out, in, 1, length)` and bias `(out,)` with BatchNorm folded in, float32.

        Raises:
            BadInput: a folded value is not finite.
        """
        weight = self.conv.weight.detach().double().cpu()
        assert self.conv.bias is not None
        bias = self.conv.bias.detach().double().cpu()
        if self.norm is not None:
            norm = self.norm.norm
            assert norm.running_var is not None and norm.running_mean is not None
            scale = norm.weight.detach().double().cpu() / torch.sqrt(
                norm.running_var.double().cpu() + norm.eps
            )
            weight = weight * scale[:, None, None]
            bias = (bias - norm.running_mean.double().cpu()) * scale
            bias = bias + norm.bias.detach().double().cpu()
        w, b = weight.float().numpy()[:, :, None], bias.float().numpy()
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise BadInput(
                f"motion layer {tuple(w.shape)}: folded weights are NaN or infinite, expected "
                "finite numbers; train again with a lower learning rate"
            )
        return w, b
