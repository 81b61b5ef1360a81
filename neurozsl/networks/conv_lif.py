"""`conv-lif`: the layers of `conv-if` with leaky neurons and more channels, for Loihi 2.

Half of the membrane is lost in a step of 1 ms, as in MDFT's branch: kappa = 2048 / 4096, which the
chip stores exactly.
"""

from typing import Final

import torch
from torch import nn

from neurozsl.networks.conv_stack import Shape, conv_stack
from neurozsl.norse.cells import LIFBoxCell, LIFBoxParameters

NAME: Final = "conv-lif"
CHANNELS: Final = (32, 64, 64)


def build(shape: Shape, classes: int) -> nn.Module:
    """The network; see `networks.build`."""
    return conv_stack(NAME, shape, classes, CHANNELS, _neuron)


def _neuron() -> LIFBoxCell:
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.tensor(500.0), method="tanh", alpha=torch.tensor(1.0)
    )
    return LIFBoxCell(p=parameters, dt=1e-3)
