"""The values of placement: `LayerShape` goes in, `Mapping` comes out; `place` is the verb.

A shape says what a layer asks of memory and wiring, and of its numbers only which are zero, so
programs of any arithmetic, dense or convolutional, are placed by the same code. A dense layer is a
convolution with a 1 x 1 kernel on a 1 x 1 map; one that reads a map (flattened) is a kernel as
large as that map. Resources are named with their unit (`synapse_bits`, `kernel_words`,
`in_axons`); a limit of None is unpublished, never infinite.
"""

import math
from collections import abc
from dataclasses import dataclass, field
from typing import Final

from neurozsl.hardware.network.synapse import PLAIN, Link
from neurozsl.hardware.place.pattern import Pattern

Limits = abc.Mapping[str, int | None]
NEURONS: Final = "neurons"


@dataclass(frozen=True)
class Kernel:
    """Weights `(channels_out, channels_in / groups, height, width)` and the map they make.

    link: stride, padding, dilation, groups, the pools in front and the delay; PLAIN is stride 1 on
    a map without padding. Its channels are not read: `channels_in` counts.
    """

    channels_in: int
    channels_out: int
    height: int = 1
    width: int = 1
    out_height: int = 1
    out_width: int = 1
    link: Link = PLAIN

    @property
    def is_dense(self) -> bool:
        """True where every input reaches every neuron through a weight of its own."""
        sizes = (self.height, self.width, self.out_height, self.out_width)
        return sizes == (1, 1, 1, 1) and self.groups == 1 and not self.link.pools

    @property
    def groups(self) -> int:
        """Groups of channels that do not see each other."""
        return 1 if self.link.conv is None else self.link.conv.groups

    @property
    def fan_in(self) -> int:
        """Weights of one neuron."""
        return self.channels_in // self.groups * self.height * self.width

    @property
    def out_map(self) -> tuple[int, int, int]:
        """Neurons that it reaches: channels, height, width."""
        return self.channels_out, self.out_height, self.out_width

    @property
    def on_map(self) -> bool:
        """True where neurons lie on a map of more than one position."""
        return (self.out_height, self.out_width) != (1, 1)


@dataclass(frozen=True)
class LayerShape:
    """What one layer asks of a chip.

    sources: inputs of the network or layers, one per kernel (`kernel`, then `also`). weight_bits:
    as stored. nonzero: weights that are not zero, None where nobody counted. has_bias: any bias is
    not zero. constant_axons: inputs beside the sources that always spike (a bias into the synaptic
    current). patterns: per kernel, which weights are not zero; None where all may be, () for none
    known. Kernels on maps and matrices behind pools have none: every weight of them counts.
    """

    name: str
    sources: tuple[str, ...]
    kernel: Kernel
    weight_bits: int = 8
    nonzero: int | None = None
    has_bias: bool = True
    constant_axons: int = 0
    also: tuple[Kernel, ...] = ()
    patterns: tuple[Pattern | None, ...] = field(default=(), compare=False)

    @property
    def pairs(self) -> tuple[tuple[Kernel, Pattern | None], ...]:
        """Each kernel with the pattern of its weights."""
        patterns = self.patterns or (None,) * len(self.kernels)
        return tuple(zip(self.kernels, patterns, strict=True))

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """One per source."""
        return (self.kernel, *self.also)

    @property
    def out_map(self) -> tuple[int, int, int]:
        """Where the neurons lie: channels, height, width."""
        return next((k for k in self.kernels if k.on_map), self.kernel).out_map

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return math.prod(self.kernel.out_map)

    @property
    def fan_in(self) -> int:
        """Weights of one neuron."""
        return sum(kernel.fan_in for kernel in self.kernels)

    @property
    def weights(self) -> int:
        """Weights in all, zeros included; a convolution shares them."""
        return sum(kernel.channels_out * kernel.fan_in for kernel in self.kernels)


@dataclass(frozen=True)
class CorePart:
    """Neurons `first..last` of one layer on one core, and what they use of it.

    tile: the part of a map, `(first, last)` for channels, rows and columns; neurons between
    `first` and `last` that lie outside belong to other parts. None: all of them are here.
    """

    core: int
    layer: str
    first: int
    last: int
    used: abc.Mapping[str, int]
    limit: Limits
    tile: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Mapping:
    """A network on the cores of one chip; a core holds one layer or a part of one.

    cores: how many the chip has. capacity: each resource summed over all cores. left_out: what
    the accounting does not count. notes: what else a reader should know. sparse: layers that a core
    stores as lists of the weights that are not zero; cores_if_dense: cores of the network if every
    weight were stored, None where no layer is sparse, or where it would not fit.
    """

    chip: str
    name: str
    cores: int
    layers: tuple[LayerShape, ...]
    parts: tuple[CorePart, ...]
    capacity: Limits
    left_out: str = ""
    notes: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    cores_if_dense: int | None = None

    @property
    def totals(self) -> dict[str, int]:
        """Each resource summed over the cores that are used."""
        return {key: sum(part.used[key] for part in self.parts) for key in self.capacity}

    def cores_of(self, layer: str) -> tuple[int, ...]:
        """The cores that hold a layer."""
        return tuple(part.core for part in self.parts if part.layer == layer)


@dataclass(frozen=True)
class Shortfall:
    """One limit that a layer (or several, competing) breaks; `where` is what has the limit."""

    layers: tuple[str, ...]
    resource: str
    used: int
    limit: int
    where: str

    def __str__(self) -> str:
        """The sentence of an error."""
        named = ", ".join(f"'{name}'" for name in self.layers)
        return (
            f"layer{'s' if len(self.layers) > 1 else ''} {named}: {self.used:,} "
            f"{title(self.resource)}, {self.where} {self.limit:,} "
            f"({self.used - self.limit:,} too many)"
        )


def title(resource: str) -> str:
    """A resource as people read it.

    >>> title("kernel_words"), title("in_axons")
    ('kernel words', 'in-axons')
    """
    return resource.replace("_axons", "-axons").replace("_", " ")


def if_dense(sparse: abc.Collection[str], cores: int | None) -> str:
    """What follows "3 of 128 cores" where layers are sparse.

    cores: of the network if every weight were stored; None: it would not fit.

    >>> if_dense(("a",), 6), if_dense(("a",), None), if_dense((), None)
    ('; 6 if every weight were stored', '; too few if every weight were stored', '')
    """
    if not sparse:
        return ""
    return f"; {'too few' if cores is None else cores} if every weight were stored"


def dense(
    name: str, source: str, inputs: int, neurons: int, *, weight_bits: int = 8, bias: bool = True
) -> LayerShape:
    """A layer in which every input reaches every neuron.

    >>> dense("a", "audio", 512, 64).weights
    32768
    """
    return LayerShape(name, (source,), Kernel(inputs, neurons), weight_bits, has_bias=bias)


def readers(layers: abc.Iterable[LayerShape]) -> dict[str, tuple[str, ...]]:
    """Per layer, the layers that its spikes go to.

    >>> readers([dense("a", "audio", 4, 3), dense("b", "a", 3, 2)])
    {'a': ('b',), 'b': ()}
    """
    rows = tuple(layers)
    return {x.name: tuple(y.name for y in rows if x.name in y.sources) for x in rows}
