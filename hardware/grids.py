"""How a layer is cut: a `Grid` of channels x rows x columns, its parts as even as they can be.

A dense layer has one row and one column, so its tiles are runs of neurons. The parts along an axis
differ by at most one, and the last is as large as any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from neurozsl.hardware.mapping import Kernel, LayerShape
from neurozsl.hardware.tiles import Interval, axes, axis_use, group_parts, most_parts

Tile = tuple[Interval, Interval, Interval]  # channels, rows, columns


@dataclass(frozen=True)
class Grid:
    """Channels, rows and columns of a layer, and into how many parts each is cut."""

    out_map: tuple[int, int, int]
    parts: tuple[int, int, int] = (1, 1, 1)

    @property
    def cores(self) -> int:
        """Number of tiles."""
        return math.prod(self.parts)

    def interval(self, axis: int, index: int) -> Interval:
        """One part along an axis."""
        length, count = self.out_map[axis], self.parts[axis]
        return length * index // count, length * (index + 1) // count

    def intervals(self, axis: int) -> tuple[Interval, ...]:
        """All parts along an axis."""
        return tuple(self.interval(axis, i) for i in range(self.parts[axis]))

    def tiles(self) -> Iterator[Tile]:
        """Every tile, in the order of its first neuron."""
        return product(self.intervals(0), self.intervals(1), self.intervals(2))


def grids(layer: LayerShape, fewest: int) -> Iterator[Grid]:
    """Grids of at least `fewest` tiles; fewest tiles first, then fewest cuts of channels."""
    channels, rows, columns = (part_counts(length) for length in layer.out_map)
    cuts = [
        (a * b * c, a, c, b) for a in channels for b in rows for c in columns if a * b * c >= fewest
    ]
    for _, a, c, b in sorted(cuts):
        yield Grid(layer.out_map, (a, b, c))


@cache
def part_counts(length: int) -> tuple[int, ...]:
    """Numbers of parts of which one fewer would make the largest part larger.

    >>> part_counts(10)
    (1, 2, 3, 4, 5, 10)
    """
    return tuple(sorted({-(-length // size) for size in range(1, length + 1)}))


def unlike(layer: LayerShape, grid: Grid) -> Iterator[Tile]:
    """A tile of each kind that may use most: the others are smaller, or read the same."""
    channels, rows, columns = (_kinds(layer, grid, axis) for axis in range(3))
    return product(channels, rows, columns)


def spread(kernel: Kernel, grid: Grid) -> int:
    """Tiles of a grid that one source neuron reaches through a kernel, at most."""
    if not kernel.on_map and kernel.groups == 1:
        return grid.cores
    each, blocks = kernel.channels_out // kernel.groups, grid.parts[0]
    if kernel.groups > 1:
        blocks = max(
            sum(first < start + each and end > start for first, end in grid.intervals(0))
            for start in range(0, kernel.channels_out, each)
        )
    rows, columns = axes(kernel)
    return blocks * most_parts(rows, grid.intervals(1)) * most_parts(columns, grid.intervals(2))


def _kinds(layer: LayerShape, grid: Grid, axis: int) -> list[Interval]:
    """One interval of each kind, large ones and those in the middle of the map first."""
    last = grid.interval(axis, grid.parts[axis] - 1)
    maps = [kernel for kernel in layer.kernels if kernel.on_map or kernel.groups > 1]
    if all(kernel.groups == 1 for kernel in maps) if axis == 0 else not maps:
        return [last]  # only the size matters
    found: dict[object, Interval] = {}
    intervals = grid.intervals(axis)
    middle = len(intervals) // 2
    for interval in (*intervals[middle:], *intervals[:middle]):
        size = interval[1] - interval[0]
        kind: tuple[object, ...] = (
            tuple(group_parts(kernel, interval) for kernel in maps)
            if axis == 0
            else tuple(
                axis_use(axes(kernel)[axis - 1], interval) for kernel in maps if kernel.on_map
            )
        )
        found.setdefault((size, kind), interval)
    return sorted(found.values(), key=lambda x: x[0] - x[1])
