"""Spiking networks by name, for event frames: one file and one line of `NETWORKS` each.

`build(name, shape, classes)` gives a fresh Norse stack that reads `shape` = (channels, height,
width) a step and ends with one neuron a class.
"""

from collections.abc import Callable, Mapping
from typing import Final

from torch import nn

from neurozsl.core.errors import BadInput
from neurozsl.networks import conv_if, conv_lif
from neurozsl.networks.conv_stack import Shape

NETWORKS: Final[Mapping[str, Callable[[Shape, int], nn.Module]]] = {
    conv_if.NAME: conv_if.build,
    conv_lif.NAME: conv_lif.build,
}


def build(name: str, shape: Shape, classes: int) -> nn.Module:
    """A fresh network.

    Raises:
        BadInput: no such network, or maps that it cannot read.
    """
    if name not in NETWORKS:
        raise BadInput(
            f"network '{name}' is not known; choose {', '.join(NETWORKS)}, a function that makes "
            "one (FILE.py:make), or a .nir file"
        )
    return NETWORKS[name](shape, classes)
