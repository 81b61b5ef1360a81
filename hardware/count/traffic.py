"""Spike messages and hops between the cores of a chip, counted from a run and its placement.

One message goes out per spike and core that holds at least one neuron which a nonzero weight joins
to the spiking neuron; the neuron's own core is such a core where its layer reads itself. A core
that reads a spike through several synapses receives it once: delays are kept where it arrives, so
a spike of the last step is sent too. Several spikes of a neuron in one step are as many messages; a
graded code of an input is one.

    messages = sum over neurons i of   spikes_i x cores_i
    hops     = sum over i and these cores of   spikes_i x (|dx| + |dy|)   of the two tiles

Between tiles a message goes along the row first and then along the column, so |dx| of its hops are
east-west and |dy| north-south, whichever comes first. Reading: cores are numbered tile by tile, and
tiles row by row from the north-west; which core sits in which tile is published for no chip here.
A message to a core of the same tile takes no hop (`in_tile`).

Messages of the inputs come from the host; they are counted apart and without hops, since the place
where the host enters the mesh is unpublished.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.count.tally import Network, values_of
from neurozsl.hardware.network.connections import Bools, Ints, sources_of
from neurozsl.hardware.place.mapping import CorePart, Mapping


@dataclass(frozen=True)
class Mesh:
    """Tiles `width` x `height`, with `cores_per_tile` cores at each.

    >>> Mesh(8, 4, 4).place(37)  # the second core of tile 9
    (1, 1)
    """

    width: int
    height: int
    cores_per_tile: int

    @staticmethod
    def of(chip: Chip) -> "Mesh | None":
        """The mesh of a chip, None where none is published."""
        if not chip.mesh:
            return None
        return Mesh(*(int(chip.mesh[key]) for key in ("width", "height", "cores_per_tile")))

    @property
    def cores(self) -> int:
        """How many it has room for."""
        return self.width * self.height * self.cores_per_tile

    def place(self, core: int) -> tuple[int, int]:
        """Column and row of the tile of a core."""
        row, column = divmod(core // self.cores_per_tile, self.width)
        return column, row


@dataclass(frozen=True)
class LayerTraffic:
    """What the spikes of one layer cause, per inference.

    in_tile: messages that leave no tile. hops_ew, hops_ns: steps from tile to tile along rows and
    along columns. All three None without a mesh.
    """

    layer: str
    messages: float
    in_tile: float | None = None
    hops_ew: float | None = None
    hops_ns: float | None = None

    @property
    def hops(self) -> float | None:
        """Both directions."""
        if self.hops_ew is None or self.hops_ns is None:
            return None
        return self.hops_ew + self.hops_ns


@dataclass(frozen=True)
class Traffic:
    """All layers in order, and `input_messages`: of the codes that are not 0, per inference."""

    layers: tuple[LayerTraffic, ...]
    input_messages: float

    @property
    def messages(self) -> float:
        """Of all layers, without those of the inputs."""
        return sum(layer.messages for layer in self.layers)

    @property
    def hops_ew(self) -> float | None:
        """Steps along rows, of all layers; None without a mesh."""
        return _sum(layer.hops_ew for layer in self.layers)

    @property
    def hops_ns(self) -> float | None:
        """Steps along columns, of all layers; None without a mesh."""
        return _sum(layer.hops_ns for layer in self.layers)


def _sum(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def traffic_on(
    chip: Chip, network: Network, chip_input: ChipInput, trace: Trace, mapping: Mapping | None
) -> Traffic | None:
    """Messages and hops on a chip; None where it has no time steps or does not hold the network.

    mapping: the cores of the layers on it.

    Raises:
        BadInput: as `traffic`.
    """
    if chip.time_model == "asynchronous":
        return None
    return traffic(network, chip_input, trace, mapping, Mesh.of(chip))


def traffic(
    network: Network,
    chip_input: ChipInput,
    trace: Trace,
    mapping: Mapping | None,
    mesh: Mesh | None = None,
) -> Traffic | None:
    """Messages, and with a mesh their hops.

    mapping: the cores of the layers of this network (`place`); None returns None. mesh: where the
    cores lie; None leaves hops out.

    Raises:
        BadInput: trace and input do not belong together, the mapping is that of another network,
            or uses cores that the mesh does not have.
    """
    values = values_of(network, chip_input, trace)
    if mapping is None:
        return None
    parts = {layer.name: _parts(layer, mapping) for layer in network.layers}
    if mesh is not None:
        _check_cores(parts, mesh)
    samples = max(chip_input.batch, 1)
    # Spikes per neuron; where they come from and where they go does not change with time.
    sent = {x.name: values[x.name].sum(axis=(0, 1), dtype=np.int64) for x in network.layers}
    codes = {name: np.count_nonzero(values[name], axis=(0, 1)) for name in network.inputs}
    from_host = sum(
        int(codes[source][reach].sum())
        for source in codes
        for _, reach in _destinations(network, source, parts)
    )
    layers = []
    for layer in network.layers:
        found = list(_destinations(network, layer.name, parts))
        messages = sum(int(sent[layer.name][reach].sum()) for _, reach in found)
        ways = _hops(sent[layer.name], parts[layer.name], found, mesh) if mesh else ()
        layers.append(LayerTraffic(layer.name, messages / samples, *(x / samples for x in ways)))
    return Traffic(tuple(layers), from_host / samples)


_Part = tuple[int, Bools]  # a core, and which neurons of the layer (or source values) are meant


def _parts(layer: Any, mapping: Mapping) -> list[_Part]:
    """The cores of a layer and the neurons on each."""
    shape = next((x for x in mapping.layers if x.name == layer.name), None)
    found = [
        (part.core, _neurons(part, shape.out_map))
        for part in mapping.parts
        if shape is not None and part.layer == layer.name and shape.neurons == layer.size
    ]
    held = np.sum([neurons for _, neurons in found], axis=0) if found else np.zeros(1)
    if not np.all(held == 1):
        raise BadInput(
            f"traffic: the mapping on {mapping.chip} does not hold the {layer.size} neurons of "
            f"layer '{layer.name}' once each; place this network itself"
        )
    return found


def _neurons(part: CorePart, out_map: Sequence[int]) -> Bools:
    """True for the neurons of a part, flat."""
    found = np.zeros(int(np.prod(out_map)), np.bool_)
    if part.tile is None:
        found[part.first : part.last + 1] = True
        return found
    found.reshape(out_map)[tuple(slice(first, last + 1) for first, last in part.tile)] = True
    return found


def _destinations(network: Network, source: str, parts: dict[str, list[_Part]]) -> Iterator[_Part]:
    """Every core that reads a source, with the values of the source that it reads."""
    for layer in network.layers:
        synapses = [synapse for synapse in layer.synapses if synapse.source == source]
        for core, neurons in parts[layer.name] if synapses else ():
            reach: npt.NDArray[np.bool_] = np.any(
                [sources_of(synapse, synapse.weight != 0, neurons) for synapse in synapses], axis=0
            )
            yield core, reach


def _hops(
    sent: Ints, own: Sequence[_Part], found: Sequence[_Part], mesh: Mesh
) -> tuple[int, int, int]:
    """Messages that leave no tile, steps along rows, steps along columns."""
    in_tile = along = down = 0
    for home, neurons in own:
        column, row = mesh.place(home)
        for core, reach in found:
            to_column, to_row = mesh.place(core)
            messages = int(sent[neurons & reach].sum())
            in_tile += messages if (to_column, to_row) == (column, row) else 0
            along += messages * abs(to_column - column)
            down += messages * abs(to_row - row)
    return in_tile, along, down


def _check_cores(parts: dict[str, list[_Part]], mesh: Mesh) -> None:
    last = max(core for found in parts.values() for core, _ in found)
    if last >= mesh.cores:
        raise BadInput(
            f"traffic: core {last} is used, the mesh of {mesh.width} x {mesh.height} tiles with "
            f"{mesh.cores_per_tile} cores ends at {mesh.cores - 1}; give the mesh of the chip that "
            "the network was placed on"
        )
