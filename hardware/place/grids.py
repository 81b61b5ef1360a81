"""How a layer is cut: a `Grid` of channels x rows x columns, its parts as even as they can be.

A dense layer has one row and one column, so its tiles are runs of neurons. The parts along an axis
differ by at most one, and the last is as large as any.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

from neurozsl.hardware.place.mapping import Kernel, LayerShape
from neurozsl.hardware.place.tiles import Interval, axes, axis_use, group_parts, most_parts

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

    def intervals(self, axis: int) -> tuple[Interval, ...]:
        """All parts along an axis."""
        return _intervals(self.out_map[axis], self.parts[axis])

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
    maps = tuple(kernel for kernel in layer.kernels if kernel.on_map or kernel.groups > 1)
    channels, rows, columns = (
        _kinds(maps, axis, grid.out_map[axis], grid.parts[axis]) for axis in range(3)
    )
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


@lru_cache(maxsize=1 << 14)
def _kinds(maps: tuple[Kernel, ...], axis: int, length: int, count: int) -> tuple[Interval, ...]:
    """One interval of each kind along an axis, large ones and those in the middle first."""
    intervals = _intervals(length, count)
    if axis == 0:
        maps = tuple(kernel for kernel in maps if kernel.groups > 1)
    if not maps:
        return intervals[-1:]  # only the size matters
    found: dict[object, Interval] = {}
    for interval in (*intervals[count // 2 :], *intervals[: count // 2]):
        kind = (interval[1] - interval[0], *(_kind(kernel, axis, interval) for kernel in maps))
        found.setdefault(kind, interval)
    return tuple(sorted(found.values(), key=lambda x: x[0] - x[1]))


def _kind(kernel: Kernel, axis: int, interval: Interval) -> object:
    if axis == 0:
        return group_parts(kernel, interval)
    return axis_use(axes(kernel)[axis - 1], interval) if kernel.on_map else None


@lru_cache(maxsize=1 << 10)
def _intervals(length: int, count: int) -> tuple[Interval, ...]:
    """Even parts of an axis, the last as large as any."""
    return tuple((length * i // count, length * (i + 1) // count) for i in range(count))
