"""A dense spiking layer: Linear, optional BatchNorm, and Norse's neurons over the steps."""

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import RowNorm
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.spiking_layer import DrivenLayer


class SpikingLayer(DrivenLayer):
    """Linear, optional BatchNorm, and Norse's neurons over the steps of a sample."""

    def __init__(self, inputs: int, outputs: int, config: NeuronConfig, *, norm: bool) -> None:
        super().__init__(config)
        self.linear = nn.Linear(inputs, outputs)
        # This gain starts what reaches the membrane at a standard deviation of one threshold.
        self.norm = RowNorm(outputs, gain=config.unit) if norm else None

    @property
    def synapse(self) -> nn.Linear:
        """Weight `(out, in)`."""
        return self.linear

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.linear.out_features

    def drive(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What reaches the neurons: `x` (batch, time, inputs) -> (batch, time, outputs)."""
        # The module itself where it can be, for the hooks of those who watch it.
        drive: Tensor = (
            self.linear(x)
            if self.kept is None
            else nn.functional.linear(x, self.weight, self.linear.bias)
        )
        return self.living(drive if self.norm is None else self.norm(drive, mask))

    def fan_out(self) -> Tensor:
        """Nonzero weights behind each input."""
        return torch.count_nonzero(self.weight, 0)

    @property
    def connections(self) -> int:
        """All weights."""
        return self.linear.weight.numel()
