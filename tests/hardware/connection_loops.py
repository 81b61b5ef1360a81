"""Slow references that tests share: every connection of a synapse, found by plain loops."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.network.synapse import Conv, Pool, Synapse

Floats = npt.NDArray[np.float64]
Taps = list[tuple[int, tuple[int, ...]]]  # neuron, and the place in the array of weights


def paths_of_a_kernel(synapse: Synapse) -> list[Taps]:
    """Per value that the weights read, the neurons behind it: one loop per axis, nothing clever."""
    conv, weight = synapse.link.conv, synapse.weight
    if conv is None:
        out, fan_in = weight.shape
        return [[(o, (o, i)) for o in range(out)] for i in range(fan_in)]
    (channels, height, width), (made, rows, columns) = conv.shape, conv.out_shape(weight.shape)
    found: list[Taps] = [[] for _ in range(channels * height * width)]
    per_group, outs = weight.shape[1], made // conv.groups
    for o in range(made):
        for y in range(rows):
            for x in range(columns):
                for i in range(per_group):
                    for a in range(weight.shape[2]):
                        for b in range(weight.shape[3]):
                            c = o // outs * per_group + i
                            row = y * conv.stride[0] + a * conv.dilation[0] - conv.padding[0]
                            column = x * conv.stride[1] + b * conv.dilation[1] - conv.padding[2]
                            if 0 <= row < height and 0 <= column < width:
                                place = (c * height + row) * width + column
                                found[place].append(((o * rows + y) * columns + x, (o, i, a, b)))
    return found


def windows_of_a_pool(pool: Pool) -> list[list[int]]:
    """Per value that a pool reads, the sums that it is in."""
    channels, height, width = pool.shape
    _, rows, columns = pool.out_shape
    found: list[list[int]] = [[] for _ in range(channels * height * width)]
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                for a in range(pool.kernel[0]):
                    for b in range(pool.kernel[1]):
                        row = y * pool.stride[0] + a - pool.padding[0]
                        column = x * pool.stride[1] + b - pool.padding[1]
                        if 0 <= row < height and 0 <= column < width:
                            place = (c * height + row) * width + column
                            found[place].append((c * rows + y) * columns + x)
    return found


def paths_of(synapse: Synapse) -> list[Taps]:
    """Per value of the source, the neurons behind its pools and weights."""
    paths = paths_of_a_kernel(synapse)
    for pool in reversed(synapse.link.pools):
        paths = [[tap for w in ws for tap in paths[w]] for ws in windows_of_a_pool(pool)]
    return paths


MAP = (4, 6, 5)
CONVS = {
    "stride": ((2, 4, 3, 2), Conv(MAP, stride=(2, 1))),
    "padding": ((2, 4, 3, 3), Conv(MAP, padding=(1, 2, 0, 1))),
    "dilation": ((2, 4, 2, 2), Conv(MAP, stride=(1, 2), dilation=(2, 3))),
    "groups": ((6, 2, 3, 3), Conv(MAP, padding=(1, 1, 1, 1), groups=2)),
    "one-dimensional": ((3, 4, 1, 3), Conv((4, 1, 30), stride=(1, 2), padding=(0, 0, 2, 1))),
    "a rest that no window covers": ((2, 4, 2, 2), Conv(MAP, stride=(3, 3))),
}


def sparse(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(0, 1, shape) * (rng.random(shape) < 0.6)
