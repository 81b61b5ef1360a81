"""A synapse of a lowered network in torch: pools, then a `Linear` or `Conv2d` that learns.

The modules are torch's own, so that whatever prunes or counts Linear and Conv layers finds them.
Values are flat, `(rows, size)`, one row a sample and step, in the order of `(C, H, W)`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.hardware.network.lowered import Floats
from neurozsl.hardware.network.synapse import Synapse


class Weights(nn.Module):
    """One synapse; bias: per output channel, None where it has none."""

    def __init__(self, synapse: Synapse, bias: Floats | None) -> None:
        super().__init__()
        self.link, self.shape = synapse.link, synapse.out_shape
        conv, shape = synapse.link.conv, synapse.weight.shape
        learns = bias is not None
        if conv is None:
            self.map: nn.Linear | nn.Conv2d = nn.Linear(shape[1], shape[0], bias=learns)
        else:
            self.map = nn.Conv2d(
                conv.shape[0],
                shape[0],
                (shape[2], shape[3]),
                stride=conv.stride,
                dilation=conv.dilation,
                groups=conv.groups,
                bias=learns,
            )
        with torch.no_grad():
            self.map.weight.copy_(torch.as_tensor(synapse.weight))
            if bias is not None and self.map.bias is not None:
                self.map.bias.copy_(torch.as_tensor(bias))

    @property
    def bias(self) -> Tensor | None:
        """Per neuron, `(neuron,)`."""
        bias = self.map.bias
        return None if bias is None else bias.repeat_interleave(math.prod(self.shape[1:]))

    def forward(self, values: Tensor, weight: Tensor | None = None) -> Tensor:
        """Weighted sums `(batch, time, neuron)` of `(batch, time, size)`, without the bias.

        weight: in place of the own ones, in their shape.
        """
        batch, steps = values.shape[:2]
        if self.link.delay:
            late = torch.zeros_like(values)
            late[:, self.link.delay :] = values[:, : max(steps - self.link.delay, 0)]
            values = late
        return self.now(values.flatten(0, 1), weight).reshape(batch, steps, -1)

    def now(self, rows: Tensor, weight: Tensor | None = None) -> Tensor:
        """The same of `(rows, size)`, without the delay."""
        weight = self.map.weight if weight is None else weight
        for pool in self.link.pools:
            (high, wide), maps = pool.padding, rows.reshape(-1, *pool.shape)
            maps = functional.pad(maps, (wide, wide, high, high))
            sums = functional.avg_pool2d(maps, pool.kernel, pool.stride, divisor_override=1)
            rows = sums.flatten(1)
        conv = self.link.conv
        if conv is None:
            return functional.linear(rows, weight)
        top, bottom, left, right = conv.padding
        maps = functional.pad(rows.reshape(-1, *conv.shape), (left, right, top, bottom))
        found = functional.conv2d(maps, weight, None, conv.stride, 0, conv.dilation, conv.groups)
        return found.flatten(1)
