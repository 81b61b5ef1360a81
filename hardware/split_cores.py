"""Layers over equal cores: each is cut by neurons; two layers never share a core.

For n neurons of a layer with `a` in-axons and w-bit weights, on one core::

    neurons       n
    in_axons      a                    every part of a dense layer reads every input
    out_axons     n * (cores of all layers that read it)
    synapse_bits  a * list_bits(n)     Loihi 1: one list of n weights per in-axon
                  a * n * w            a chip whose list format is unpublished

    list_bits(n): after every `list_weights` weights a new block; a block has `list_header_bits`
    and is rounded up to `list_word_bits` (nengo-loihi 1.1.0, `SynapseConfig.bits_per_axon`)

All grow with n, and a layer on fewer cores asks fewer out-axons of its sources, so from the last
layer to the first the fewest cores per layer, ceil(N / largest n), are the fewest for the network.
The parts of a layer differ by at most one neuron. A core of its own keeps the decays and the
synapse format of a layer (one each per core here) apart from those of others.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Final

from neurozsl.errors import BadInput
from neurozsl.hardware.chip import Chip
from neurozsl.hardware.mapping import (
    NEURONS,
    CorePart,
    LayerShape,
    Limits,
    Mapping,
    Shortfall,
    readers,
)

SYNAPSES: Final = "synapse_bits"
NEARLY_FULL: Final = 0.9  # of a memory that also holds what no source counts


def split_over_cores(layers: tuple[LayerShape, ...], chip: Chip) -> Mapping | tuple[Shortfall, ...]:
    """The mapping with the fewest cores, or every limit that is broken.

    Raises:
        BadInput: a convolution, or a layer that reads itself or a later one.
    """
    _check(layers)
    limits, after = _limits(chip), readers(layers)
    counts: dict[str, int] = {}  # cores of each layer
    broken: list[Shortfall] = []
    for layer in reversed(layers):
        targets = sum(counts[name] for name in after[layer.name])
        one = _used(layer, 1, targets, chip)
        over = [k for k, limit in limits.items() if limit is not None and one[k] > limit]
        broken += [
            Shortfall(
                (layer.name,), key, one[key], limits[key] or 0, "even for one neuron; a core has"
            )
            for key in over
        ]
        most = layer.neurons if over else _most_neurons(layer, targets, chip, limits)
        counts[layer.name] = -(-layer.neurons // most)
    if broken:
        return tuple(reversed(broken))
    broken = _chip_shortfalls(layers, counts, chip)
    return tuple(broken) or _mapping(layers, counts, chip, limits, after)


def list_bits(weights: int, weight_bits: int, memory: MappingOf[str, int]) -> int:
    """Synapse memory of one in-axon with so many weights; equation in the module docstring."""
    word, header, per_block = (
        memory[key] for key in ("list_word_bits", "list_header_bits", "list_weights")
    )
    full, rest = divmod(weights, per_block)

    def block(count: int) -> int:
        return -(-(count * weight_bits + header) // word) * word

    return full * block(per_block) + (block(rest) if rest else 0)


def _used(layer: LayerShape, neurons: int, targets: int, chip: Chip) -> dict[str, int]:
    """What `neurons` of the layer use of a core; targets: cores that read the layer."""
    axons, memory, bits = layer.fan_in + layer.constant_axons, chip.memory, layer.weight_bits
    if "list_word_bits" in memory:
        sizes = [size for size in memory["weight_sizes"] if size >= bits]
        if not sizes:
            raise BadInput(
                f"layer '{layer.name}': {bits}-bit weights, synapse lists of chip '{chip.key}' "
                f"hold up to {max(memory['weight_sizes'])}; quantise to fewer bits"
            )
        per_axon = list_bits(neurons, min(sizes), memory)
    else:
        per_axon = neurons * bits
    return {
        NEURONS: neurons,
        SYNAPSES: axons * per_axon,
        "in_axons": axons,
        "out_axons": neurons * targets,
    }


def _limits(chip: Chip) -> Limits:
    figure = {key: int(value.value) for key, value in chip.limit.items()}
    bits = figure.get("synapse_bits_per_core")
    if bits is None and "memory_bytes_per_core" in figure:
        bits = 8 * figure["memory_bytes_per_core"]
    return {
        NEURONS: figure.get("neurons_per_core"),
        SYNAPSES: bits,
        "in_axons": figure.get("in_axons_per_core"),
        "out_axons": figure.get("out_axons_per_core"),
    }


def _most_neurons(layer: LayerShape, targets: int, chip: Chip, limits: Limits) -> int:
    """The largest part of a layer that one core holds; one neuron is known to fit."""
    low, high = 1, layer.neurons
    while low < high:
        middle = (low + high + 1) // 2
        used = _used(layer, middle, targets, chip)
        if all(limit is None or used[key] <= limit for key, limit in limits.items()):
            low = middle
        else:
            high = middle - 1
    return low


def _chip_shortfalls(
    layers: tuple[LayerShape, ...], counts: MappingOf[str, int], chip: Chip
) -> list[Shortfall]:
    names = tuple(layer.name for layer in layers)
    totals = {
        "cores": sum(counts.values()),
        "synapses_per_chip": sum(layer.weights for layer in layers),
    }
    broken = []
    for key, used in totals.items():
        figure = chip.limit.get(key)
        if figure is not None and used > figure.value:
            resource = key.removesuffix("_per_chip")
            broken.append(Shortfall(names, resource, used, int(figure.value), "the chip has"))
    return broken


def _mapping(
    layers: tuple[LayerShape, ...],
    counts: MappingOf[str, int],
    chip: Chip,
    limits: Limits,
    after: MappingOf[str, tuple[str, ...]],
) -> Mapping:
    parts: list[CorePart] = []
    for layer in layers:
        targets = sum(counts[name] for name in after[layer.name])
        first = 0
        for index in range(counts[layer.name]):
            last = layer.neurons * (index + 1) // counts[layer.name] - 1
            used = _used(layer, last - first + 1, targets, chip)
            parts.append(CorePart(len(parts), layer.name, first, last, used, limits))
            first = last + 1
    figure = chip.limit["cores"]  # place() has looked
    cores, fewest = int(figure.value), figure.low
    notes = []
    if fewest is not None and len(parts) > fewest:
        notes.append(
            f"{len(parts)} cores are used; published counts of {chip.name} vary from {fewest:g} "
            f"to {cores}"
        )
    room = limits[SYNAPSES]
    full = [p.core for p in parts if room and p.used[SYNAPSES] > NEARLY_FULL * room]
    if full and "list_word_bits" not in chip.memory:
        notes.append(
            f"{len(full)} of {len(parts)} cores are filled above {100 * NEARLY_FULL:g} % by raw "
            "weight bits alone; what is not counted shares that memory, so more cores may be needed"
        )
    return Mapping(
        chip=chip.key,
        name=chip.name,
        cores=cores,
        layers=layers,
        parts=tuple(parts),
        capacity={k: None if limit is None else limit * cores for k, limit in limits.items()},
        left_out=chip.memory.get("left_out", ""),
        notes=tuple(notes),
    )


def _check(layers: tuple[LayerShape, ...]) -> None:
    seen: set[str] = set()
    names = {layer.name for layer in layers}
    for layer in layers:
        if not layer.kernel.is_dense:
            raise BadInput(
                f"layer '{layer.name}': a {layer.kernel.height} x {layer.kernel.width} kernel; "
                "only dense layers are cut over cores (write it as a dense matrix)"
            )
        late = sorted((names - seen) & set(layer.sources))
        if late:
            raise BadInput(
                f"layer '{layer.name}': reads '{late[0]}', which is not an earlier layer; order "
                "the layers so that sources come first (recurrent layers are not cut over cores)"
            )
        seen.add(layer.name)
