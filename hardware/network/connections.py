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
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse, pooled, weigh

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
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

    Args:
        synapse: gives the geometry.
        every: which of its weights exist (`present`).
        late: values of its source, delayed already, `(sample, time, size_in)`.
    """
    return late if every.all() else np.where(fan_out(synapse, every) > 0, late, 0)


def unpooled(synapse: Synapse) -> Synapse:
    """The same weights from the sums that they read, at once: without pools and delay."""
    return Synapse(synapse.source, synapse.weight, Link(synapse.link.conv))


def fan_out(synapse: Synapse, connected: npt.NDArray[Any]) -> Ints:
    """Connections behind each source value.

    Args:
        synapse: gives the geometry.
        connected: in the shape of its weights, 1 or True where a weight counts.

    Returns:
        int64 `(size_in,)`; of the sums that a kernel reads where `synapse` has no pools.
    """
    counted = np.asarray(connected, np.int64)
    conv = synapse.link.conv
    reach = counted.sum(axis=0) if conv is None else _conv_back(conv, counted)
    for pool in reversed(synapse.link.pools):
        reach = _pool_back(pool, reach)
    return reach.reshape(-1)


def reached(synapse: Synapse, connected: npt.NDArray[Any], event: Bools) -> Bools:
    """True where at least one event arrives through a weight that counts.

    Args:
        synapse: gives the geometry.
        connected: as in `fan_out`.
        event: `(rows, size_in)`, the steps of all samples one after the other.

    Returns:
        `(rows, size_out)`.
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
    """True for the source values that reach at least one of some neurons.

    Args:
        synapse: gives the geometry.
        connected: as in `fan_out`.
        neurons: `(size_out,)`, which neurons.

    Returns:
        `(size_in,)`.
    """
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
    _, rows_out, columns_out = conv.out_shape(connected.shape)
    grouped = connected.reshape(conv.groups, channels // conv.groups, columns, high, wide)
    weights = grouped.sum(axis=1).reshape(conv.shape[0], high, wide)
    top, bottom, left, right = conv.padding
    full = np.zeros(
        (conv.shape[0], conv.shape[1] + top + bottom, conv.shape[2] + left + right), np.int64
    )
    for row in range(high):
        for column in range(wide):
            down = _steps(row * conv.dilation[0], conv.stride[0], rows_out)
            across = _steps(column * conv.dilation[1], conv.stride[1], columns_out)
            full[:, down, across] += weights[:, row, column, None, None]
    return full[:, top : top + conv.shape[1], left : left + conv.shape[2]]


def _conv_back_from(conv: Conv, connected: Bools, neurons: Bools) -> Ints:
    """Per value of the map that a kernel reads, 1 where it is joined to one of these neurons."""
    made, columns, high, wide = connected.shape
    top, bottom, left, right = conv.padding
    full = np.zeros(
        (conv.shape[0], conv.shape[1] + top + bottom, conv.shape[2] + left + right), np.int64
    )
    lines, places = (np.flatnonzero(neurons.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(lines):
        return full[:, top : top + conv.shape[1], left : left + conv.shape[2]]
    # Only the rectangle that the neurons lie in; sums of ones in float32 are above 0 exactly.
    box = neurons[:, lines[0] : lines[-1] + 1, places[0] : places[-1] + 1].astype(np.float32)
    _, rows_out, columns_out = box.shape
    flat = box.reshape(conv.groups, made // conv.groups, -1)
    taps = connected.astype(np.float32).reshape(conv.groups, -1, columns, high, wide)
    for row in range(high):
        for column in range(wide):
            sums = np.matmul(np.swapaxes(taps[..., row, column], 1, 2), flat)
            start = row * conv.dilation[0] + int(lines[0]) * conv.stride[0]
            along = column * conv.dilation[1] + int(places[0]) * conv.stride[1]
            down = _steps(start, conv.stride[0], rows_out)
            across = _steps(along, conv.stride[1], columns_out)
            full[:, down, across] |= sums.reshape(conv.shape[0], rows_out, columns_out) > 0
    return full[:, top : top + conv.shape[1], left : left + conv.shape[2]]


def _pool_back(pool: Pool, reach: Ints) -> Ints:
    """Per value of the map that a pool reads, the reach of all sums that it is in."""
    _, rows_out, columns_out = pool.out_shape
    (top, left), (high, wide) = pool.padding, pool.kernel
    full = np.zeros((pool.shape[0], pool.shape[1] + 2 * top, pool.shape[2] + 2 * left), np.int64)
    sums = reach.reshape(pool.out_shape)
    for row in range(high):
        for column in range(wide):
            down = _steps(row, pool.stride[0], rows_out)
            full[:, down, _steps(column, pool.stride[1], columns_out)] += sums
    return full[:, top : top + pool.shape[1], left : left + pool.shape[2]]


def _steps(start: int, stride: int, count: int) -> slice:
    return slice(start, start + stride * (count - 1) + 1, stride)
