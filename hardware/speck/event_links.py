"""Where an event of Speck goes: the connections of a `SpeckProgram` as flat tables.

In: a program. Out: `EventTables`, arrays that a compiled loop reads. A core finds the neurons of an
event from its address and the kernel, and so do the tables: they hold each kernel once, and of the
pools in front of it the sums that a value is in. A matrix is a kernel of 1 x 1 on a map of 1 x 1.

Sources are numbered inputs first, then layers, in the order of the program; a value is a place in
the flat `(C, H, W)` order of its source. The neurons of all layers lie behind each other; inside a
layer their *states* lie in the order row, column, channel, the order in which an event reaches
them.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.hardware.network.synapse import LARGEST_MATRIX, Conv, Link, Pool
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram

Ints = npt.NDArray[np.int64]

# Columns of `EventTables.links`.
TARGET, WIDE, AREA, GROUP_IN, GROUP_OUT, KERNEL_HIGH, KERNEL_WIDE = range(7)
STRIDE_DOWN, STRIDE_ACROSS, DILATION_DOWN, DILATION_ACROSS, TOP, LEFT = range(7, 13)
OUT_HIGH, OUT_WIDE, OUT_CHANNELS, WEIGHT, POOL = range(13, 18)
NO_POOL: Final = -1


class EventTables(NamedTuple):
    """What one run of a sample reads; all int64 but the weights.

    links: a row per synapse, columns as named above. WEIGHT and POOL: where its kernel begins in
        `weights`, and its row of `pool_start`, or NO_POOL.
    first_link: of source s the links first_link[s] to first_link[s + 1].
    weights: int16, of a link in the order input channel, row, column, output channel of the group.
    pool_start, pool_sums: the sums that value i is in are pool_sums[pool_start[k + i]] to
        pool_sums[pool_start[k + i + 1]] where the link's POOL is k.
    first_state: of layer l its first neuron among all. shapes: its channels, rows, columns.
    threshold, low, to_zero: of each layer; to_zero is 1 where a spike resets to zero.
    bias: int16, of every neuron by its state. ticks: 1 for a layer with any bias.
    inputs: how many sources are inputs.
    """

    links: Ints
    first_link: Ints
    weights: npt.NDArray[np.int16]
    pool_start: Ints
    pool_sums: Ints
    first_state: Ints
    shapes: Ints
    threshold: Ints
    low: Ints
    to_zero: Ints
    bias: npt.NDArray[np.int16]
    ticks: Ints
    inputs: int


def event_tables(program: SpeckProgram) -> EventTables:
    """The tables of a program.

    Raises:
        BadInput: overlapping pools whose sums would take more than half a GB.
    """
    sources = [*program.inputs, *(layer.name for layer in program.layers)]
    rows: list[list[int]] = []
    first, weights, starts, sums = [0], [np.zeros(0, np.int16)], [_none()], [_none()]
    for source in sources:
        for number, layer in enumerate(program.layers):
            if layer.source != source:
                continue
            pool = NO_POOL
            if layer.link.pools:
                pool = sum(map(len, starts))
                start, into = pooled_places(layer.link.pools, f"layer '{layer.name}'")
                starts.append(start + sum(map(len, sums)))
                sums.append(into)
            rows.append([number, *_geometry(layer), sum(map(len, weights)), pool])
            weights.append(_kernel(layer))
        first.append(len(rows))
    shapes = [_map_of(layer) for layer in program.layers]
    every = program.layers
    return EventTables(
        links=np.array(rows, np.int64).reshape(len(rows), POOL + 1),
        first_link=np.array(first, np.int64),
        weights=np.concatenate(weights),
        pool_start=np.concatenate(starts),
        pool_sums=np.concatenate(sums),
        first_state=np.cumsum([0, *(layer.size for layer in every)], dtype=np.int64),
        shapes=np.array(shapes, np.int64),
        threshold=np.array([layer.threshold for layer in every], np.int64),
        low=np.array([layer.low for layer in every], np.int64),
        to_zero=np.array([layer.reset == "zero" for layer in every], np.int64),
        bias=np.concatenate(
            [x.bias.reshape(s[0], -1).T.ravel() for x, s in zip(every, shapes, strict=True)]
        ),
        ticks=np.array([bool(np.any(layer.bias)) for layer in every], np.int64),
        inputs=len(program.inputs),
    )


def pooled_places(pools: Sequence[Pool], where: str) -> tuple[Ints, Ints]:
    """The sums behind all pools that each value is in, rising: value i has those from start[i] on.

    Returns:
        start `(size_in + 1,)` and the places of the sums.
    """
    size = math.prod(pools[0].shape)
    value = place = np.arange(size)
    for pool in pools:
        entries = math.prod(pool.kernel) * math.prod(pool.out_shape)
        _check(where, entries)
        start, into = _pool(pool)
        each = np.diff(start)[place]
        _check(where, int(each.sum()))
        within = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        value, place = np.repeat(value, each), into[np.repeat(start[place], each) + within]
    order = np.lexsort((place, value))
    start = np.searchsorted(value[order], np.arange(size + 1)).astype(np.int64)
    return start, place[order].astype(np.int64)


def _pool(pool: Pool) -> tuple[Ints, Ints]:
    """The sums of one pool that each value of its map is in."""
    channels, high, wide = pool.shape
    made = pool.out_shape
    sums = np.arange(math.prod(made)).reshape(made)
    values, places = [_none()], [_none()]
    for down in range(pool.kernel[0]):
        for across in range(pool.kernel[1]):
            row = np.arange(made[1]) * pool.stride[0] + down - pool.padding[0]
            column = np.arange(made[2]) * pool.stride[1] + across - pool.padding[1]
            inside = ((row >= 0) & (row < high))[:, None] & ((column >= 0) & (column < wide))
            value = row[:, None] * wide + column
            for channel in range(channels):
                values.append(value[inside] + channel * high * wide)
                places.append(sums[channel][inside])
    value, place = np.concatenate(values), np.concatenate(places)
    order = np.lexsort((place, value))
    start = np.searchsorted(value[order], np.arange(channels * high * wide + 1))
    return start.astype(np.int64), place[order].astype(np.int64)


def _check(where: str, entries: int) -> None:
    if entries > LARGEST_MATRIX:
        raise BadInput(
            f"{where}: its values are in {entries:,} pooled sums, at most {LARGEST_MATRIX:,}; use "
            "windows that lie side by side"
        )


def _geometry(layer: SpeckLayer) -> list[int]:
    """The columns from WIDE to OUT_CHANNELS."""
    conv = _conv(layer.link, layer.weight.shape)
    out, columns, high, wide = _weight(layer).shape
    _, made_high, made_wide = conv.out_shape(_weight(layer).shape)
    return [
        conv.shape[2],
        conv.shape[1] * conv.shape[2],
        columns,
        out // conv.groups,
        high,
        wide,
        *conv.stride,
        *conv.dilation,
        conv.padding[0],
        conv.padding[2],
        made_high,
        made_wide,
        out,
    ]


def _conv(link: Link, shape: tuple[int, ...]) -> Conv:
    return link.conv or Conv((shape[1], 1, 1))


def _weight(layer: SpeckLayer) -> npt.NDArray[np.int16]:
    weight = layer.weight
    return weight if layer.link.conv is not None else weight[:, :, None, None]


def _kernel(layer: SpeckLayer) -> npt.NDArray[np.int16]:
    """Weights in the order input channel, row, column, output channel of the group."""
    weight, groups = _weight(layer), _conv(layer.link, layer.weight.shape).groups
    grouped = weight.reshape(groups, -1, *weight.shape[1:])  # (groups, out, in, high, wide)
    return np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1)).reshape(-1)


def _map_of(layer: SpeckLayer) -> tuple[int, int, int]:
    shape = layer.shape
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def _none() -> Ints:
    return np.zeros(0, np.int64)
