"""The values of placement: `LayerShape` goes in, `Mapping` comes out; `place` is the verb.

A shape says what a layer asks of memory and wiring and nothing about its numbers, so programs of
any arithmetic, dense or convolutional, are placed by the same code. A dense layer is a
convolution with a 1 x 1 kernel on a 1 x 1 map. Resources are named with their unit
(`synapse_bits`, `kernel_words`, `in_axons`); a limit of None is unpublished, never infinite.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from neurozsl.hardware.program import Program, ProgramLayer
from neurozsl.hardware.speck import SpeckLayer, SpeckProgram

Limits = abc.Mapping[str, int | None]
NEURONS: Final = "neurons"


@dataclass(frozen=True)
class Kernel:
    """Weights of a layer `(channels_out, channels_in, height, width)` and the map they make."""

    channels_in: int
    channels_out: int
    height: int = 1
    width: int = 1
    out_height: int = 1
    out_width: int = 1

    @property
    def is_dense(self) -> bool:
        """True where every input reaches every neuron through a weight of its own."""
        return (self.height, self.width, self.out_height, self.out_width) == (1, 1, 1, 1)


@dataclass(frozen=True)
class LayerShape:
    """What one layer asks of a chip.

    sources: inputs of the network or layers. weight_bits: as stored. nonzero: weights that are
    not zero, None where nobody counted. has_bias: any bias is not zero. constant_axons: inputs
    beside the sources that always spike (a bias into the synaptic current).
    """

    name: str
    sources: tuple[str, ...]
    kernel: Kernel
    weight_bits: int = 8
    nonzero: int | None = None
    has_bias: bool = True
    constant_axons: int = 0

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.kernel.channels_out * self.kernel.out_height * self.kernel.out_width

    @property
    def fan_in(self) -> int:
        """Synapses of one neuron."""
        return self.kernel.channels_in * self.kernel.height * self.kernel.width

    @property
    def weights(self) -> int:
        """Weights in all, zeros included; a convolution shares them."""
        return self.kernel.channels_out * self.fan_in


@dataclass(frozen=True)
class CorePart:
    """Neurons `first..last` of one layer on one core, and what they use of it."""

    core: int
    layer: str
    first: int
    last: int
    used: abc.Mapping[str, int]
    limit: Limits


@dataclass(frozen=True)
class Mapping:
    """A network on the cores of one chip; a core holds one layer or a part of one.

    cores: how many the chip has. capacity: each resource summed over all cores. left_out: what
    the accounting does not count. notes: what else a reader should know.
    """

    chip: str
    name: str
    cores: int
    layers: tuple[LayerShape, ...]
    parts: tuple[CorePart, ...]
    capacity: Limits
    left_out: str = ""
    notes: tuple[str, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """Each resource summed over the cores that are used."""
        return {key: sum(part.used[key] for part in self.parts) for key in self.capacity}

    def cores_of(self, layer: str) -> tuple[int, ...]:
        """The cores that hold a layer."""
        return tuple(part.core for part in self.parts if part.layer == layer)

    def as_json(self) -> dict[str, Any]:
        """Plain values: one row per core, one per layer, and the totals."""
        return {
            "chip": self.chip,
            "name": self.name,
            "cores": self.cores,
            "cores_used": len(self.parts),
            "layers": [
                {
                    "name": layer.name,
                    "cores": len(self.cores_of(layer.name)),
                    "neurons": layer.neurons,
                    "weights": layer.weights,
                    "nonzero": layer.nonzero,
                    "weight_bits": layer.weight_bits,
                }
                for layer in self.layers
            ],
            "parts": [
                {
                    "core": part.core,
                    "layer": part.layer,
                    "first": part.first,
                    "last": part.last,
                    "use": _use(part.used, part.limit),
                }
                for part in self.parts
            ],
            "totals": _use(self.totals, self.capacity),
            "left_out": self.left_out,
            "notes": list(self.notes),
        }


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


def dense(
    name: str, source: str, inputs: int, neurons: int, *, weight_bits: int = 8, bias: bool = True
) -> LayerShape:
    """A layer in which every input reaches every neuron.

    >>> dense("a", "audio", 512, 64).weights
    32768
    """
    return LayerShape(name, (source,), Kernel(inputs, neurons), weight_bits, has_bias=bias)


def shapes(program: Program | SpeckProgram) -> tuple[LayerShape, ...]:
    """The layers of a program, in its order."""
    if isinstance(program, SpeckProgram):
        return tuple(_speck_shape(layer) for layer in program.layers)
    return tuple(_shape(layer) for layer in program.layers)


def readers(layers: abc.Iterable[LayerShape]) -> dict[str, tuple[str, ...]]:
    """Per layer, the layers that its spikes go to.

    >>> readers([dense("a", "audio", 4, 3), dense("b", "a", 3, 2)])
    {'a': ('b',), 'b': ()}
    """
    rows = tuple(layers)
    return {x.name: tuple(y.name for y in rows if x.name in y.sources) for x in rows}


def _shape(layer: ProgramLayer) -> LayerShape:
    out, width = layer.weight.shape
    has_bias = bool(np.any(layer.bias_mant))
    return LayerShape(
        name=layer.name,
        sources=(layer.source,),
        kernel=Kernel(width, out),
        weight_bits=layer.weight_bits,
        nonzero=int(np.count_nonzero(layer.weight)),
        has_bias=has_bias,
        constant_axons=int(has_bias and layer.bias_to == "current"),
    )


def _speck_shape(layer: SpeckLayer) -> LayerShape:
    out, width = layer.weight.shape
    return LayerShape(
        name=layer.name,
        sources=(layer.source,),
        kernel=Kernel(width, out),
        nonzero=int(np.count_nonzero(layer.weight)),
        has_bias=bool(np.any(layer.bias)),
    )


def _use(used: abc.Mapping[str, int], limit: Limits) -> dict[str, dict[str, int | None]]:
    return {key: {"used": used[key], "limit": limit[key]} for key in used}
