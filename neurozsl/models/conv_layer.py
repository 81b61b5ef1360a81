"""One convolutional spiking block of STFT: Conv1d, BatchNorm, GLP, neuron, closed threshold.

In: spikes or codes `(batch, time, in)`; out: spikes `(batch, time, neuron)` and the threshold of
every step. Equations in `conv_motion`; the neuron is Norse's, stepped with the threshold::

    I = BN(Conv1d(x));   I^ = GLP(I) where `shaped`;   v* = v + kappa (I^ - v);   z = v* > theta_t
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from neurozsl.core.signals import Conv, LayerSpec
from neurozsl.models.blocks import RowNorm
from neurozsl.models.closed_loop import ClosedLoop, next_theta
from neurozsl.models.glp import GlobalLocalPooling
from neurozsl.models.neurons import NeuronConfig, stepper
from neurozsl.models.spiking_layer import NeuronLayer

Axis = Literal["feature", "time"]
Map = tuple[int, int]  # channels, length


class ConvSpikingLayer(NeuronLayer):
    """Conv - BatchNorm - neuron; see the module docstring.

    shape: map that is read. For the axis "time" it is `(features, 1)`.
    """

    def __init__(
        self,
        shape: Map,
        channels: int,
        config: NeuronConfig,
        *,
        axis: Axis,
        kernel: int,
        stride: int,
        norm: bool,
        shaped: bool,
        loop: ClosedLoop,
        detach: bool,
    ) -> None:
        super().__init__(config)
        self.shape, self.axis, self.kernel, self.stride = shape, axis, kernel, stride
        self.shaped, self.loop, self.detach = shaped, loop, detach
        self.conv = nn.Conv1d(shape[0], channels, kernel, stride=stride if axis == "feature" else 1)
        length = 1
        if axis == "feature":
            self.conv.padding = (kernel // 2,)
            length = (shape[1] + 2 * (kernel // 2) - kernel) // stride + 1
        self.out: Map = (channels, length)
        # As in `motion`: what reaches the membrane starts with a deviation of one threshold; GLP
        # maps it into (0, 1), so there it starts with a deviation of 1.
        self.norm = RowNorm(channels, gain=1.0 if shaped else config.unit) if norm else None
        self.pooling = GlobalLocalPooling() if shaped or loop != "fixed" else None

    @property
    def synapse(self) -> nn.Conv1d:
        """Kernel `(out, in, length)`."""
        return self.conv

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.out[0] * self.out[1]

    def freeze(self, theta: float) -> None:
        """One constant threshold, and no loop that moves it."""
        super().freeze(theta)
        self.loop = "fixed"

    def spec(self, name: str, source: str) -> LayerSpec:
        """The layer as deployed: one-dimensional maps are `(C, 1, L)`."""
        flat, pad = super().spec(name, source), self.kernel // 2
        conv = Conv(
            (self.shape[0], 1, self.shape[1]), stride=(1, self.stride), padding=(0, 0, pad, pad)
        )
        return replace(flat, weight=flat.weight[:, :, None], conv=conv)

    def current(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """BN(Conv(x)) of Eq. 6: `(batch, time, in)` -> `(batch, time, channels x length)`."""
        batch, steps = x.shape[:2]
        if self.axis == "feature":
            maps = self._maps(x.reshape(batch * steps, *self.shape))  # (batch x time, C, L)
        else:
            late = nn.functional.pad(x.transpose(1, 2), (self.kernel - 1, 0))
            maps = self._maps(late).transpose(1, 2).reshape(batch * steps, -1, 1)
        if self.norm is None:
            return self.living(maps.reshape(batch, steps, -1))
        rows = maps.transpose(1, 2).reshape(batch, -1, self.out[0])  # (batch, time x L, C)
        real = None if mask is None else mask.repeat_interleave(self.out[1], 1)
        normed: Tensor = self.norm(rows, real)
        each = normed.reshape(batch * steps, -1, self.out[0]).transpose(1, 2)
        return self.living(each.reshape(batch, steps, -1))

    def _maps(self, x: Tensor) -> Tensor:
        """The convolution, with the weights that are used."""
        if self.kept is None:
            every: Tensor = self.conv(x)
            return every
        stride, pad = self.conv.stride, self.conv.padding
        assert isinstance(pad, tuple)
        return nn.functional.conv1d(x, self.weight, self.conv.bias, stride, pad)

    def fan_out(self) -> Tensor:
        """Nonzero weights behind each value."""
        return self._behind((self.weight != 0).double())

    @property
    def connections(self) -> int:
        """Every pair of value and neuron that a weight joins."""
        return int(self._behind(torch.ones_like(self.conv.weight, dtype=torch.float64)).sum())

    def _behind(self, used: Tensor) -> Tensor:
        """Weights behind each value, `(inputs,)`: ones sent back through the kernel."""
        every = used.new_ones(1, *self.out)
        if self.axis == "time":  # once over all steps that a kernel over time reaches
            return used.sum((0, 2)).long()
        pad = self.kernel // 2
        wide = nn.functional.conv_transpose1d(every, used, stride=self.stride)
        wide = nn.functional.pad(wide, (0, max(0, self.shape[1] + 2 * pad - wide.shape[2])))
        return wide[0, :, pad : pad + self.shape[1]].reshape(-1).round().long()

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Spikes `(batch, time, neuron)` of `x` `(batch, time, in)`, and theta `(batch, time)`."""
        drive = self.current(x, mask)
        pooled = None if self.pooling is None else self.pooling.pooled(drive)  # (batch, time)
        if self.shaped:
            assert self.pooling is not None
            drive = self.pooling(drive)
        theta = drive.new_full((len(drive),), self.config.theta)
        if self.config.neuron == "mlp":
            return torch.relu(drive), theta.unsqueeze(1).expand(drive.shape[:2])
        step = stepper(self.config, drive)
        v = z = torch.zeros_like(drive[:, 0])
        spikes, thetas = [], []
        for t in range(drive.shape[1]):
            if self.loop != "fixed":
                assert pooled is not None
                theta = next_theta(
                    self.loop,
                    pooled=pooled[:, t],
                    spikes=z.reshape(len(z), *self.out),
                    theta=theta,
                    theta_0=self.config.theta,
                )
                theta = theta.detach() if self.detach else theta
            z, v = step(drive[:, t], v, theta.unsqueeze(1))
            spikes.append(z)
            thetas.append(theta)
        return torch.stack(spikes, 1), torch.stack(thetas, 1)
