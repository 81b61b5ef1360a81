"""What a tile of neurons reads of its sources: geometry alone, one axis at a time.

In: a `Kernel` and an interval of its output rows (or columns). Out: `AxisUse`, how many rows of the
source reach the interval and how many of its rows each of them reaches. A kernel joins a source
neuron and a neuron where it joins their rows and their columns, so products of the two axes are
the figures of a tile::

    axons        channels x rows x columns of the source that reach the tile
    connections  per channel and group: (sum over rows) x (sum over columns) x channels of the tile

Pools in front are folded in: a source neuron reaches what the sums that it is in reach.

Weight sharing: two source neurons of a channel can use one list of weights where they reach
neurons at the same distances through the same weights (`distinct`): the start of the list's
targets is then a number of each in-axon (nengo-loihi 1.1.0, `conv2d_loihi_weights`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from neurozsl.hardware.mapping import Kernel

Axis = Literal[0, 1]  # rows, columns
Interval = tuple[int, int]  # first, one past the last
Lists = tuple[tuple[int, int], ...]  # (length, how many)


@dataclass(frozen=True)
class AxisUse:
    """An interval of outputs along one axis.

    read: source positions that reach it. joined: pairs of a source position and an output.
    lists: outputs per source position, and how many reach as many. distinct: the same for
    patterns that differ. span: outputs from the first to the last that one position reaches.
    """

    read: int
    joined: int
    lists: Lists
    distinct: Lists
    span: int


@cache
def reads(kernel: Kernel, axis: Axis) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Per source position, the (output, place in the kernel) pairs that it takes part in."""
    conv = kernel.link.conv
    outputs = (kernel.out_height, kernel.out_width)[axis]
    size = (kernel.height, kernel.width)[axis]
    stride, before, dilation = (
        (1, 0, 1)
        if conv is None
        else (conv.stride[axis], conv.padding[2 * axis], conv.dilation[axis])
    )
    length = outputs - 1 + size if conv is None else conv.shape[1 + axis]
    # Per position of the map that the kernel reads, the positions of the source behind it.
    behind = [[i] for i in range(length)]
    for pool in reversed(kernel.link.pools):
        width = pool.shape[1 + axis]
        starts = range(-pool.padding[axis], width, pool.stride[axis])
        windows = [range(max(s, 0), min(s + pool.kernel[axis], width)) for s in starts]
        behind = [[i for sums in row for i in windows[sums]] for row in behind]
        length = width
    found: list[list[tuple[int, int]]] = [[] for _ in range(length)]
    for output in range(outputs):
        for place in range(size):
            position = output * stride + place * dilation - before
            if 0 <= position < len(behind):
                for source in behind[position]:
                    found[source].append((output, place))
    return tuple(map(tuple, found))


@lru_cache(maxsize=1 << 16)
def axis_use(kernel: Kernel, axis: Axis, interval: Interval) -> AxisUse:
    """What the outputs of an interval read along one axis."""
    first, end = interval
    patterns: Counter[tuple[tuple[int, int], ...]] = Counter()
    for pairs in reads(kernel, axis):
        inside = [(output, place) for output, place in pairs if first <= output < end]
        if inside:
            base = inside[0][0]  # pairs are in the order of outputs
            patterns[tuple((output - base, place) for output, place in inside)] += 1
    lengths = {pattern: len({output for output, _ in pattern}) for pattern in patterns}
    every: Counter[int] = Counter()
    for pattern, number in patterns.items():
        every[lengths[pattern]] += number
    return AxisUse(
        read=sum(patterns.values()),
        joined=sum(length * number for length, number in every.items()),
        lists=tuple(sorted(every.items())),
        distinct=tuple(sorted(Counter(lengths.values()).items())),
        span=max((pattern[-1][0] + 1 for pattern in patterns), default=0),
    )


def group_parts(kernel: Kernel, channels: Interval) -> Lists:
    """Output channels of an interval per group: (channels, how many groups have as many)."""
    each = kernel.channels_out // kernel.groups
    first, end = channels
    found = Counter(
        min(end, (group + 1) * each) - max(first, group * each)
        for group in range(first // each, -(-end // each))
    )
    return tuple(sorted(found.items()))


def connections(kernel: Kernel) -> int:
    """Pairs of a source neuron and a neuron that a weight joins, zeros included."""
    rows = axis_use(kernel, 0, (0, kernel.out_height)).joined
    columns = axis_use(kernel, 1, (0, kernel.out_width)).joined
    return kernel.channels_in // kernel.groups * kernel.channels_out * rows * columns


def most_parts(kernel: Kernel, axis: Axis, intervals: Sequence[Interval]) -> int:
    """Into how many of the intervals one source position sends, at most."""
    if len(intervals) == 1:
        return 1
    return max(
        sum(any(first <= output < end for output, _ in pairs) for first, end in intervals)
        for pairs in reads(kernel, axis)
    )
