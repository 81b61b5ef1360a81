"""What a tile of a layer uses of one core: neurons, synapse memory, in- and out-axons.

Equations and sources are those of `split` and `pattern`; the constants are the chip's `[limit]` and
`[memory]` tables.
"""

import math
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.place.grids import Tile
from neurozsl.hardware.place.mapping import NEURONS, Kernel, LayerShape, Limits
from neurozsl.hardware.place.pattern import Pattern
from neurozsl.hardware.place.tiles import axes, axis_use, group_parts

SYNAPSES: Final = "synapse_bits"
SPARSE: Final = "sparse_rows"  # key of `[memory]`: a core may store lists of nonzeros


@dataclass(frozen=True)
class Core:
    """One of equal cores. shares: connections of a kernel may use one stored weight."""

    chip: Chip
    limits: Limits
    shares: bool

    def over(self, used: MappingOf[str, int]) -> list[str]:
        """The limits that are broken."""
        return [k for k, most in self.limits.items() if most is not None and used[k] > most]

    def used(self, layer: LayerShape, tile: Tile, targets: int) -> dict[str, int]:
        """What a tile uses; targets: cores that one of its neurons sends to."""
        neurons = math.prod(end - first for first, end in tile)
        axons, bits = layer.constant_axons, layer.constant_axons * self._list(layer, neurons, 0)
        for kernel, pattern in layer.pairs:
            on_map = kernel.on_map or kernel.groups > 1
            # A matrix reaches a tile as it does a run of as many neurons.
            taken, size = self._kernel(
                layer, kernel, tile if on_map else ((0, neurons), (0, 1), (0, 1))
            )
            if pattern is not None and self.lists(layer):
                size = min(size, self._sparse(layer, pattern, tile[0]))
            axons, bits = axons + taken, bits + size
        return {NEURONS: neurons, SYNAPSES: bits, "in_axons": axons, "out_axons": neurons * targets}

    def lists(self, layer: LayerShape) -> bool:
        """True where the zeros of the layer count: its parts differ, and are runs of neurons."""
        known = any(pattern is not None for pattern in layer.patterns)
        return known and layer.out_map[1:] == (1, 1) and SPARSE in self.chip.memory

    def stores_lists(self, layer: LayerShape, tile: Tile) -> bool:
        """True where lists of the weights that are not zero are the smaller form of a part."""
        whole = replace(layer, patterns=())
        return self.used(layer, tile, 0)[SYNAPSES] < self.used(whole, tile, 0)[SYNAPSES]

    def _sparse(self, layer: LayerShape, pattern: Pattern, run: tuple[int, int]) -> int:
        """Synapse bits of the weights of a matrix that are not zero, in a run of neurons."""
        index = run[1] - run[0] - 1
        if "list_word_bits" in self.chip.memory:
            return sum(axons * self._list(layer, n, index) for n, axons in pattern.lists(*run))
        bits = layer.weight_bits + index.bit_length()
        return sum(axons * n * bits for n, axons in pattern.lists(*run))

    def _kernel(self, layer: LayerShape, kernel: Kernel, tile: Tile) -> tuple[int, int]:
        """In-axons and synapse bits of one kernel."""
        rows, columns = axes(kernel)
        down, across = axis_use(rows, tile[1]), axis_use(columns, tile[2])
        parts, inputs = group_parts(kernel, tile[0]), kernel.channels_in // kernel.groups
        axons = sum(groups for _, groups in parts) * inputs * down.read * across.read
        if "list_word_bits" not in self.chip.memory:
            outputs = sum(length * groups for length, groups in parts)
            weights = kernel.fan_in if self.shares else inputs * down.joined * across.joined
            return axons, outputs * weights * layer.weight_bits
        index = 0
        if kernel.on_map:  # largest number of a target, counted from the first of its in-axon
            high, wide = (end - first for first, end in tile[1:])
            index = (parts[-1][0] - 1) * high * wide + (down.span - 1) * wide + across.span - 1
        lists = (
            (length * one * other, groups * inputs * many * more)
            for length, groups in parts
            for one, many in (down.distinct if self.shares else down.lists)
            for other, more in (across.distinct if self.shares else across.lists)
        )
        return axons, sum(many * self._list(layer, length, index) for length, many in lists)

    def _list(self, layer: LayerShape, weights: int, index: int) -> int:
        """Bits of one list; index: the largest number of a target, 0 where none is stored."""
        memory, bits = self.chip.memory, layer.weight_bits
        if "list_word_bits" not in memory:
            return weights * bits
        sizes = [size for size in memory["weight_sizes"] if size >= bits]
        if not sizes:
            raise BadInput(
                f"layer '{layer.name}': {bits}-bit weights, synapse lists of chip "
                f"'{self.chip.key}' hold up to {max(memory['weight_sizes'])}; quantise to fewer "
                "bits"
            )
        needed = index.bit_length()
        number = min((x for x in memory.get("list_index_bits", ()) if x >= needed), default=needed)
        return list_bits(weights, min(sizes) + (number if index else 0), memory)


def list_bits(weights: int, weight_bits: int, memory: MappingOf[str, int]) -> int:
    """Synapse memory of one in-axon with so many weights; equation in `split`."""
    word, header, per_block = (
        memory[key] for key in ("list_word_bits", "list_header_bits", "list_weights")
    )
    full, rest = divmod(weights, per_block)

    def block(count: int) -> int:
        return -(-(count * weight_bits + header) // word) * word

    return full * block(per_block) + (block(rest) if rest else 0)


def core_limits(chip: Chip) -> Limits:
    """The limits of one core, None where unpublished."""
    bits, room = chip.most("synapse_bits_per_core"), chip.most("memory_bytes_per_core")
    return {
        NEURONS: chip.most("neurons_per_core"),
        SYNAPSES: bits if bits is not None or room is None else 8 * room,
        "in_axons": chip.most("in_axons_per_core"),
        "out_axons": chip.most("out_axons_per_core"),
    }
