"""Values of a source in the two orders that the emulator works in, and the sums of pools.

    flat    (batch, time, C H W)      as a Trace holds them: channels, rows, columns
    maps    (batch, time, H, W, C)    channels last, what integer convolutions read and make

A convolution reads a few neighbouring columns of all channels at once; channels last they lie in
one piece. So the neurons of a convolutional layer run in that order (`order_of`), and their spikes
are turned once, when they are written down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neurozsl.hardware.loihi.emulator.products import smallest_type
from neurozsl.hardware.loihi.fixedpoint import Ints
from neurozsl.hardware.network.synapse import MapShape, Pool, Synapse


@dataclass(frozen=True, eq=False)
class Sent:
    """What a source sends: flat values, and the maps that were made of them so far."""

    flat: torch.Tensor
    made: dict[MapShape, torch.Tensor]

    def maps(self, shape: MapShape) -> torch.Tensor:
        """`(batch, time, H, W, C)` of a map `(C, H, W)`."""
        if shape not in self.made:
            batch, steps, _ = self.flat.shape
            channels, high, wide = shape
            turned = self.flat.reshape(batch, steps, channels, high * wide).transpose(2, 3)
            self.made[shape] = turned.reshape(batch, steps, high, wide, channels)
        return self.made[shape]

    def cut(self, start: int, stop: int, delay: int) -> "Sent":
        """What is seen in steps start..stop of a synapse with this delay."""
        if not delay and start == 0 and stop == self.flat.shape[1]:
            return self
        made = {shape: _cut(x, start, stop, delay) for shape, x in self.made.items()}
        return Sent(_cut(self.flat, start, stop, delay), made)


def _cut(x: torch.Tensor, start: int, stop: int, delay: int) -> torch.Tensor:
    piece = x[:, max(start - delay, 0) : max(stop - delay, 0)]
    missing = stop - start - piece.shape[1]
    if not missing:
        return piece
    silent = x.new_zeros((len(x), missing, *x.shape[2:]))
    return torch.cat([silent, piece], dim=1)


def order_of(synapses: Sequence[Synapse]) -> MapShape | None:
    """The map whose neurons run channels last; None where both orders are the same."""
    for synapse in synapses:
        if synapse.link.conv is not None:
            channels, high, wide = synapse.link.conv.out_shape(synapse.weight.shape)
            return (channels, high, wide) if channels > 1 and high * wide > 1 else None
    return None


def channels_last(shape: MapShape) -> Ints:
    """Flat index of every neuron of a map, channels last."""
    return np.arange(math.prod(shape)).reshape(shape).transpose(1, 2, 0).ravel()


def turned_flat(x: torch.Tensor, shape: MapShape) -> torch.Tensor:
    """`(..., H W C)` as `(..., C H W)`."""
    split = x.reshape(*x.shape[:-1], shape[1] * shape[2], shape[0])
    return split.transpose(-1, -2).reshape(x.shape)


def turned_last(x: torch.Tensor, shape: MapShape) -> torch.Tensor:
    """`(..., C H W)` as `(..., H W C)`."""
    split = x.reshape(*x.shape[:-1], shape[0], shape[1] * shape[2])
    return split.transpose(-1, -2).reshape(x.shape)


def pool_ranges(pools: Sequence[Pool], low: int, high: int) -> list[tuple[int, int]]:
    """Smallest and largest value before the first pool and after each, for values in low..high."""
    found = [(low, high)]
    for pool in pools:
        area = pool.kernel[0] * pool.kernel[1]
        found.append((found[-1][0] * area, found[-1][1] * area))
    return found


def pool_maps(pools: Sequence[Pool], maps: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Window sums of maps `(rows, H, W, C)` with integers in low..high."""
    for pool, reach in zip(pools, pool_ranges(pools, low, high)[1:], strict=True):
        kind = smallest_type(*reach)
        (top, left), (down, across) = pool.padding, pool.stride
        padded = torch.nn.functional.pad(maps, (0, 0, left, left, top, top))
        _, high, wide = pool.out_shape
        sums = padded.new_zeros((len(padded), high, wide, padded.shape[3]), dtype=kind)
        for y in range(pool.kernel[0]):
            for x in range(pool.kernel[1]):
                rows = slice(y, y + (high - 1) * down + 1, down)
                sums += padded[:, rows, x : x + (wide - 1) * across + 1 : across]
        maps = sums
    return maps
