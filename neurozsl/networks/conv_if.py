"""`conv-if`: integrate-and-fire neurons, small enough for the nine cores of Speck 2f.

No leak and thresholds of 1: all that the chip has. Biases (of BatchNorm) are added at every tick of
its slow clock. The surrogate is a tanh of slope 1, wide enough for gradients to reach neurons that
are silent.
"""

from typing import Final

import torch
from torch import nn

from neurozsl.networks.conv_stack import Shape, conv_stack
from neurozsl.norse.cells import IAFCell, IAFParameters

NAME: Final = "conv-if"
CHANNELS: Final = (16, 32, 64)


def build(shape: Shape, classes: int) -> nn.Module:
    """The network; see `networks.build`."""
    return conv_stack(NAME, shape, classes, CHANNELS, _neuron)


def _neuron() -> IAFCell:
    one = torch.tensor(1.0)
    return IAFCell(p=IAFParameters(v_th=one, method="tanh", alpha=one.clone()))
