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
targets is then a number of each in-axon (nengo-loihi 1.1.0, `conv2d_loihi_weights`). Where windows
of a pool overlap, sums of unlike windows may happen to be alike; they count as unlike.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from neurozsl.hardware.place.mapping import Kernel

Interval = tuple[int, int]  # first, one past the last
Lists = tuple[tuple[int, int], ...]  # (length, how many)


@dataclass(frozen=True)
class Axis:
    """Rows, or columns, of a kernel: `outputs` of `size` weights on `length` positions.

    pools: length, window, stride and padding of each, the first reads the source.
    """

    outputs: int
    size: int
    length: int
    stride: int = 1
    before: int = 0
    dilation: int = 1
    pools: tuple[tuple[int, int, int, int], ...] = ()


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


@lru_cache(maxsize=1 << 10)
def axes(kernel: Kernel) -> tuple[Axis, Axis]:
    """Rows and columns of a kernel."""
    return _axis(kernel, 0), _axis(kernel, 1)


@lru_cache(maxsize=1 << 16)
def axis_use(axis: Axis, interval: Interval) -> AxisUse:
    """What the outputs of an interval read along one axis."""
    pairs: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for output in range(*interval):
        for source, place in _reads(axis)[output]:
            pairs[source].append((output, place))
    patterns = Counter(
        tuple((output - found[0][0], place) for output, place in found) for found in pairs.values()
    )
    lengths = {pattern: len({output for output, _ in pattern}) for pattern in patterns}
    every: Counter[int] = Counter()
    for pattern, number in patterns.items():
        every[lengths[pattern]] += number
    return AxisUse(
        read=len(pairs),
        joined=sum(length * number for length, number in every.items()),
        lists=tuple(sorted(every.items())),
        distinct=tuple(sorted(Counter(lengths.values()).items())),
        span=max((pattern[-1][0] + 1 for pattern in patterns), default=0),
    )


@lru_cache(maxsize=1 << 14)
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
    rows, columns = (axis_use(axis, (0, axis.outputs)).joined for axis in axes(kernel))
    return kernel.channels_in // kernel.groups * kernel.channels_out * rows * columns


def most_parts(axis: Axis, intervals: Sequence[Interval]) -> int:
    """Into how many of the intervals one source position sends, at most."""
    if len(intervals) == 1:
        return 1
    found: Counter[int] = Counter()
    for interval in intervals:
        found.update({source for output in range(*interval) for source, _ in _reads(axis)[output]})
    return max(found.values(), default=0)


def _axis(kernel: Kernel, number: int) -> Axis:
    conv = kernel.link.conv
    outputs = (kernel.out_height, kernel.out_width)[number]
    size = (kernel.height, kernel.width)[number]
    pools = tuple(
        (x.shape[1 + number], x.kernel[number], x.stride[number], x.padding[number])
        for x in kernel.link.pools
    )
    if conv is None:
        return Axis(outputs, size, outputs - 1 + size, pools=pools)
    length, stride, before = (conv.shape[1 + number], conv.stride[number], conv.padding[2 * number])
    return Axis(outputs, size, length, stride, before, conv.dilation[number], pools)


@cache
def _reads(axis: Axis) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Per output, the source positions that it reads and the weight of the kernel for each."""
    # Per position of the map that the kernel reads, the positions of the source behind it.
    behind = [[i] for i in range(axis.length)]
    for length, window, stride, padding in reversed(axis.pools):
        starts = range(-padding, length, stride)
        windows = [range(max(s, 0), min(s + window, length)) for s in starts]
        behind = [[i for position in row for i in windows[position]] for row in behind]
    return tuple(
        tuple(
            (source, place)
            for place in range(axis.size)
            if 0 <= (at := output * axis.stride + place * axis.dilation - axis.before) < axis.length
            for source in behind[at]
        )
        for output in range(axis.outputs)
    )
