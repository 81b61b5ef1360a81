"""Program -> the shapes of its layers, as the placer takes them."""

from collections import abc

import numpy as np

from neurozsl.hardware.network.program import ChipLayer, ChipProgram
from neurozsl.hardware.network.synapse import Synapse
from neurozsl.hardware.place.mapping import Kernel, LayerShape
from neurozsl.hardware.place.pattern import Pattern


def shapes(program: ChipProgram) -> tuple[LayerShape, ...]:
    """The layers of a program, in its order."""
    maps = {layer.name: layer.shape for layer in program.layers}
    return tuple(_shape(layer, maps) for layer in program.layers)


def _shape(layer: ChipLayer, maps: abc.Mapping[str, tuple[int, ...]]) -> LayerShape:
    kernel, *also = (kernel_of(synapse, maps.get(synapse.source, ())) for synapse in layer.synapses)
    return LayerShape(
        name=layer.name,
        sources=tuple(synapse.source for synapse in layer.synapses),
        kernel=kernel,
        weight_bits=layer.weight_bits,
        nonzero=sum(int(np.count_nonzero(synapse.weight)) for synapse in layer.synapses),
        has_bias=bool(np.any(layer.bias)),
        constant_axons=layer.constant_axons,
        also=tuple(also),
        patterns=tuple(
            None if s.link.conv is not None or s.link.pools else Pattern.of(s.weight)
            for s in layer.synapses
        ),
    )


def kernel_of(synapse: Synapse, source: tuple[int, ...]) -> Kernel:
    """One synapse; a matrix on a map (of its pools, or of its source) is a kernel of that size."""
    link, weight = synapse.link, synapse.weight
    if link.conv is not None:
        out, _, height, width = weight.shape
        _, high, wide = link.conv.out_shape(weight.shape)
        return Kernel(link.conv.shape[0], out, height, width, high, wide, link)
    read = link.pools[-1].out_shape if link.pools else source
    channels, height, width = read if len(read) == 3 else (weight.shape[1], 1, 1)
    return Kernel(channels, weight.shape[0], height, width, link=link)
