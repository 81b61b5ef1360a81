"""What a layer asks of a core of Speck, and the limits of a core that it breaks.

In: a `Lowered` network or a `SpeckProgram`. sinabs checks the memory of a core and leaves the rest
to samna's closed `validate_configuration`; its own check accepts kernels of 17, stride 3, dilation
2 (which it never writes to the chip), groups and maps of 256. The limits here are those of the
chip's file (sinabs docs/speck/overview).

A core computes convolution -> spikes -> sum pooling, one pool size per destination. So the pools
of a layer are done by the core before it, and a dense layer that reads a map is a convolution whose
kernel is the whole map (as sinabs writes it); on a list of neurons it has a 1 x 1 kernel on a map
of 1 x 1. Which core each layer gets is `place`'s question; here are the rules of one layer.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.synapse import Conv, MapShape, Pool
from neurozsl.hardware.place.assign import words
from neurozsl.hardware.place.mapping import Kernel, LayerShape
from neurozsl.hardware.place.shapes import kernel_of
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram

Pair = tuple[int, int]  # height, width


@dataclass(frozen=True)
class CoreShape:
    """What one layer asks of its core: c `inputs`, f `outputs`, and the layers that it feeds.

    inputs, outputs: channels. kernel, stride, dilation: (height, width). padding: top, bottom,
    left, right. pools: sums that the core before has to make. input_map, output_map: (height,
    width) of what is read, after the pools, and of the neurons.
    """

    name: str
    source: str
    inputs: int
    outputs: int
    destinations: int
    biased: bool = False
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    pools: tuple[Pool, ...] = ()
    input_map: Pair = (1, 1)
    output_map: Pair = (1, 1)

    @property
    def words(self) -> dict[str, int]:
        """Kernel, neuron and bias words, as placement counts them."""
        kernel = Kernel(self.inputs, self.outputs, *self.kernel, *self.output_map)
        return words(LayerShape(self.name, (self.source,), kernel, has_bias=self.biased))

    @property
    def kernel_words(self) -> int:
        """Words that addressing takes: c 2^(ceil(log2 kernel area) + ceil(log2 f))."""
        return self.words["kernel_words"]

    @property
    def pool(self) -> Pair:
        """Side of the windows of all pools together."""
        sides = [math.prod(pool.kernel[axis] for pool in self.pools) for axis in (0, 1)]
        return sides[0], sides[1]


def core_shapes(network: Lowered | SpeckProgram) -> tuple[CoreShape, ...]:
    """One `CoreShape` per layer, in the order of the network; of the first synapse of a layer."""
    fed = [synapse.source for layer in network.layers for synapse in layer.synapses]
    maps = {layer.name: layer.shape for layer in network.layers}
    return tuple(_core_shape(x, maps, fed.count(x.name)) for x in network.layers)


def _core_shape(
    layer: LoweredLayer | SpeckLayer, maps: Mapping[str, tuple[int, ...]], destinations: int
) -> CoreShape:
    link, kernel = layer.link, kernel_of(layer.synapses[0], maps.get(layer.source, ()))
    conv = link.conv or Conv((kernel.channels_in, kernel.height, kernel.width))
    return CoreShape(
        name=layer.name,
        source=layer.source,
        inputs=kernel.channels_in,
        outputs=kernel.channels_out,
        destinations=destinations,
        biased=bool(np.any(layer.bias)),
        kernel=(kernel.height, kernel.width),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        pools=link.pools,
        input_map=conv.shape[1:],
        output_map=(kernel.out_height, kernel.out_width),
    )


def as_map(shape: tuple[int, ...]) -> MapShape:
    """Neurons as the chip addresses them: a list of n is n channels on a map of 1 x 1."""
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def size_faults(shapes: tuple[CoreShape, ...], chip: Chip) -> list[str]:
    """Every limit of a single layer, and of their number, that is broken."""
    faults = [fault for shape in shapes for fault in _layer_faults(shape, chip)]
    cores = int(chip.limit["cores"].value)
    if len(shapes) > cores:
        faults.append(f"{len(shapes)} layers, the chip has {cores} cores, one layer each")
    return faults


def _layer_faults(shape: CoreShape, chip: Chip) -> Iterator[str]:
    where = f"layer '{shape.name}'"
    limit, allowed = chip.limit, chip.allowed
    most = {
        "input channels": (shape.inputs, limit["channels"]),
        "output channels": (shape.outputs, limit["channels"]),
        "kernel side": (max(shape.kernel), limit["kernel_side"]),
        "padding": (max(shape.padding), limit["padding"]),
        "input side": (max(shape.input_map), limit["input_side"]),
        "map side": (max(shape.output_map), limit["map_side"]),
        "destinations": (shape.destinations, limit["destinations_per_core"]),
    }
    for what, (value, figure) in most.items():
        if value > figure.value:
            yield f"{where}: {value} {what}, at most {figure.value:g}"
    sides = {
        "stride": shape.stride,
        "dilation": shape.dilation,
        "groups": (shape.groups, shape.groups),
        "pool": shape.pool,
    }
    for what, pair in sides.items():
        if not set(pair) <= set(allowed[what]):
            choices = ", ".join(map(str, allowed[what]))
            yield f"{where}: {what} {_sides(pair)}, the chip knows {choices}"
    for what, pair in {"kernel": shape.kernel, "pool": shape.pool}.items():
        if allowed["square_kernel"] and pair[0] != pair[1]:
            yield f"{where}: {what} {_sides(pair)}, the chip has square ones"
    top, bottom, left, right = shape.padding
    if (top, left) != (bottom, right):
        yield (
            f"{where}: padding {top}, {bottom} rows and {left}, {right} columns, the chip pads "
            "both ends alike"
        )
    for pool in shape.pools:
        if pool.stride != pool.kernel or any(pool.padding):
            yield (
                f"{where}: pool {_sides(pool.kernel)} with stride {_sides(pool.stride)} and "
                f"padding {_sides(pool.padding)}, the chip sums windows side by side"
            )
    yield from _memory_faults(shape, chip)


def _sides(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} x {pair[1]}"


def _memory_faults(shape: CoreShape, chip: Chip) -> Iterator[str]:
    """Words that no core has; whether each layer finds one of its own is for `place`."""
    kernel = "" if shape.kernel == (1, 1) else f" through {shape.kernel[0]} x {shape.kernel[1]}"
    for what, needed in shape.words.items():
        largest = max(core[what] for core in chip.cores)
        if needed > largest:
            yield (
                f"layer '{shape.name}': {shape.inputs} x {shape.outputs}{kernel} takes {needed} "
                f"{what.replace('_', ' ')}, the largest core has {largest}"
                + (_most_outputs(shape, largest) if what == "kernel_words" else "")
            )


def _most_outputs(shape: CoreShape, words: int) -> str:
    """The widest layer on as many inputs that `words` hold."""
    per_output = shape.kernel_words >> (shape.outputs - 1).bit_length()
    room = words // per_output
    widest = 1 << (room.bit_length() - 1) if room else 0
    return f" ({shape.inputs} inputs take at most {widest} outputs)"
