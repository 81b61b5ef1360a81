"""Which neurons an event reaches: counted from the geometry of a synapse, no matrix is built.

In: a `Synapse` and which of its weights count (`connected`, as a rule `weight != 0`). Out: per
source value the number of connections that it goes through (`fan_out`), per neuron whether an
event of a step arrives at all (`reached`), and which source values reach some of the neurons
(`sources_of`).

    fan_out = pool^T (conv^T 1)              ones sent backwards through kernel and windows, int64
    reached = conv(pool(event) > 0) > 0      events sent forwards, a few rows at a time
    sources_of = pool^T (conv^T neurons) > 0

Padding is no source, so what it would carry counts nowhere. Where windows of a pool overlap, a
value counts once in each.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.network.synapse import Conv, Link, MapShape, Pool, Synapse, pooled, weigh

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Pair = tuple[int, int]  # along rows, along columns
# What one piece of `reached` may copy, in bytes; a single row may take more.
PIECE: Final = 1 << 25


def present(synapses: Sequence[Synapse]) -> list[Bools]:
    """Which weights of each synapse of a layer exist, in the shape of its weights.

    All do, zeros included, but where the values of one source arrive with different delays (a NIR
    Delay): there each delay has a synapse of its own, and the columns of values that come at
    another time are no connections. A column that is zero in all of them belongs to the first.
    """
    found = [np.ones(synapse.weight.shape, np.bool_) for synapse in synapses]
    groups: dict[Any, list[int]] = {}
    for i, synapse in enumerate(synapses):
        groups.setdefault((synapse.source, synapse.weight.shape), []).append(i)
    for group in groups.values():
        if len({synapses[i].link.delay for i in group}) < len(group) or len(group) == 1:
            continue
        axes = (0,) if synapses[group[0]].link.conv is None else (2, 3)
        used = [np.any(synapses[i].weight != 0, axis=axes, keepdims=True) for i in group]
        used[0] = used[0] | ~np.any(used, axis=0)
        for i, columns in zip(group, used, strict=True):
            found[i] = found[i] & columns
    return found


def own_values(synapse: Synapse, every: Bools, late: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What arrives through this synapse: 0 where a value comes through one of another delay.

    every: which of its weights exist (`present`). late: values of its source, delayed already,
    `(sample, time, size_in)`.
    """
    return late if every.all() else np.where(fan_out(synapse, every) > 0, late, 0)


def unpooled(synapse: Synapse) -> Synapse:
    """The same weights from the sums that they read, at once: without pools and delay."""
    return Synapse(synapse.source, synapse.weight, Link(synapse.link.conv))


def fan_out(synapse: Synapse, connected: npt.NDArray[Any]) -> Ints:
    """Connections behind each source value `(size_in,)`, a sum that a kernel reads without pools.

    connected: in the shape of the weights, 1 or True where one counts; here and below.
    """
    counted = np.asarray(connected, np.int64)
    conv = synapse.link.conv
    reach = counted.sum(axis=0) if conv is None else _conv_back(conv, counted)
    for pool in reversed(synapse.link.pools):
        reach = _pool_back(pool, reach)
    return reach.reshape(-1)


def reached(synapse: Synapse, connected: npt.NDArray[Any], event: Bools) -> Bools:
    """True where at least one event arrives through a weight that counts, `(rows, size_out)`.

    event: `(rows, size_in)`, the steps of all samples one after the other.
    """
    # Sums of zeros and ones in float32 are above 0 exactly where one of them is.
    mask = Synapse(synapse.source, np.asarray(connected, np.float32), synapse.link)
    found = np.empty((len(event), synapse.size_out), np.bool_)
    rows = max(1, PIECE // (4 * _row_entries(synapse)))
    for start in range(0, len(event), rows):
        piece = slice(start, start + rows)
        sums = pooled(synapse.link, event[piece].astype(np.float32))
        found[piece] = weigh(mask, (sums > 0).astype(np.float32)) > 0
    return found


def sources_of(synapse: Synapse, connected: npt.NDArray[Any], neurons: Bools) -> Bools:
    """True `(size_in,)` for the source values that reach one of some neurons, `(size_out,)`."""
    conv, counted = synapse.link.conv, np.asarray(connected, np.bool_)
    if conv is None:
        reach: Ints = np.asarray(counted[neurons].any(axis=0), np.int64)
    else:
        reach = _conv_back_from(conv, counted, neurons.reshape(synapse.out_shape))
    for pool in reversed(synapse.link.pools):
        reach = _pool_back(pool, reach)
    return reach.reshape(-1) > 0


def _row_entries(synapse: Synapse) -> int:
    """Values that one step takes while it is weighed."""
    conv, entries = synapse.link.conv, synapse.size_in + synapse.size_out
    if conv is None:
        return entries
    channels, *kernel = synapse.weight.shape[1:]
    positions = math.prod(conv.out_shape(synapse.weight.shape)[1:])
    return int(entries + positions * conv.groups * channels * math.prod(kernel))


def _conv_back(conv: Conv, connected: Ints) -> Ints:
    """Per value of the map that a kernel reads, the neurons that it is joined to."""
    channels, columns, high, wide = connected.shape
    grouped = connected.reshape(conv.groups, channels // conv.groups, columns, high, wide)
    weights = grouped.sum(axis=1).reshape(conv.shape[0], high, wide)
    full, inside = _zeros(conv.shape, conv.padding)
    out = conv.out_shape(connected.shape)
    for (row, column), (down, across) in _taps((high, wide), out, conv.stride, conv.dilation):
        full[:, down, across] += weights[:, row, column, None, None]
    return inside


def _conv_back_from(conv: Conv, connected: Bools, neurons: Bools) -> Ints:
    """Per value of the map that a kernel reads, 1 where it is joined to one of these neurons."""
    made, columns, high, wide = connected.shape
    full, inside = _zeros(conv.shape, conv.padding)
    lines, places = (np.flatnonzero(neurons.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(lines):
        return inside
    # Only the rectangle that the neurons lie in; sums of ones in float32 are above 0 exactly.
    box = neurons[:, lines[0] : lines[-1] + 1, places[0] : places[-1] + 1].astype(np.float32)
    flat = box.reshape(conv.groups, made // conv.groups, -1)
    taps = connected.astype(np.float32).reshape(conv.groups, -1, columns, high, wide)
    first = int(lines[0]), int(places[0])
    for (row, column), (down, across) in _taps(
        (high, wide), box.shape, conv.stride, conv.dilation, first
    ):
        sums = np.matmul(np.swapaxes(taps[..., row, column], 1, 2), flat)
        full[:, down, across] |= sums.reshape(conv.shape[0], *box.shape[1:]) > 0
    return inside


def _pool_back(pool: Pool, reach: Ints) -> Ints:
    """Per value of the map that a pool reads, the reach of all sums that it is in."""
    top, left = pool.padding
    full, inside = _zeros(pool.shape, (top, top, left, left))
    for _, (down, across) in _taps(pool.kernel, pool.out_shape, pool.stride):
        full[:, down, across] += reach.reshape(pool.out_shape)
    return inside


def _zeros(shape: MapShape, padding: tuple[int, int, int, int]) -> tuple[Ints, Ints]:
    """A map of zeros with its padding, and a view of it without."""
    (channels, high, wide), (top, bottom, left, right) = shape, padding
    full = np.zeros((channels, high + top + bottom, wide + left + right), np.int64)
    return full, full[:, top : top + high, left : left + wide]


def _taps(
    kernel: Pair, made: Sequence[int], stride: Pair, dilation: Pair = (1, 1), first: Pair = (0, 0)
) -> Iterator[tuple[Pair, tuple[slice, slice]]]:
    """Row and column of every weight, and the rows and columns of the padded map read through it.

    made: map `(C, H, W)` of the neurons that read; first: row and column of the first of them.
    """
    for row, column in product(range(kernel[0]), range(kernel[1])):
        down = _steps(row * dilation[0] + first[0] * stride[0], stride[0], made[1])
        across = _steps(column * dilation[1] + first[1] * stride[1], stride[1], made[2])
        yield (row, column), (down, across)


def _steps(start: int, stride: int, count: int) -> slice:
    return slice(start, start + stride * (count - 1) + 1, stride)
