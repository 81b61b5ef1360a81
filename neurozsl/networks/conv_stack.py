"""The layers that the networks here share: convolutions that halve the map, then a matrix.

No bias: BatchNorm behind every convolution becomes one at export. The classes are neurons too, so
that all of it runs on a chip and is read by counting spikes.
"""

from collections.abc import Callable, Sequence
from typing import Final

from torch import nn

from neurozsl.core.errors import BadInput

Shape = tuple[int, int, int]
DROPOUT: Final = 0.2  # of what the classes are read from, in training
_SMALLEST: Final = 8  # px, so that three halvings leave a map


def conv_stack(
    name: str, shape: Shape, classes: int, channels: Sequence[int], neuron: Callable[[], nn.Module]
) -> nn.Sequential:
    """The stack for maps `(channels, height, width)`; channels: of the layers; neuron: makes one.

    Raises:
        BadInput: the maps are too small.
    """
    read, high, wide = shape
    if min(high, wide) < _SMALLEST:
        raise BadInput(
            f"network '{name}': frames of {wide}x{high} px, it halves them {len(channels)} times "
            f"and needs {_SMALLEST}x{_SMALLEST} or more; build the set with a larger --size"
        )
    layers: list[nn.Module] = []
    for number, width in enumerate(channels):
        kernel = 3 if number else 5
        layers += [
            nn.Conv2d(read, width, kernel, stride=2, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            neuron(),
        ]
        read, high, wide = width, (high + 1) // 2, (wide + 1) // 2
    layers += [
        nn.Dropout(DROPOUT),
        nn.Flatten(),
        nn.Linear(read * high * wide, classes, bias=False),
        neuron(),
    ]
    return nn.Sequential(*layers)
