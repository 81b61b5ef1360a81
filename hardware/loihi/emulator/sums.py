"""What a synapse computes in the emulator: pools, then a matrix or a convolution, in its order."""

from collections.abc import Callable

import torch

from neurozsl.hardware.loihi.emulator.choice import best_maps, best_product
from neurozsl.hardware.loihi.emulator.conv import Maps
from neurozsl.hardware.loihi.emulator.maps import (
    Sent,
    channels_last,
    pool_maps,
    pool_ranges,
    turned_flat,
    turned_last,
)
from neurozsl.hardware.loihi.emulator.products import Product
from neurozsl.hardware.network.synapse import MapShape, Synapse

Sums = Callable[[Sent], torch.Tensor]  # what was sent -> (batch, time, out)


def synapse_sums(
    synapse: Synapse, low: int, high: int, device: str, order: MapShape | None
) -> Sums:
    """Sums of q x value of one synapse, its delay left out, for values in low..high.

    order: the map of the layer where its neurons run channels last.
    """
    link, half = synapse.link, synapse.weight >> 1  # exact: mixed-sign weights are even
    reach = pool_ranges(link.pools, low, high)[-1]
    if link.conv is None:
        rows = half if order is None else half[channels_last(order)]
        if not link.pools:
            product = best_product(rows, low, high, device)
            return lambda sent: product(sent.flat)
        columns = channels_last(link.pools[-1].out_shape)
        return _on_maps(synapse, low, high, best_product(rows[:, columns], *reach, device))
    made = link.conv.out_shape(half.shape)
    convolve = best_maps(half, link.conv, *reach, device)
    there = _on_maps(synapse, low, high, convolve)
    if order in (None, made):
        return there
    return lambda sent: turned_last(turned_flat(there(sent), made), order)


def _on_maps(synapse: Synapse, low: int, high: int, then: Product | Maps) -> Sums:
    """Pools, then a product with the values of all positions or a convolution of the maps."""
    link, conv = synapse.link, synapse.link.conv
    shapes = [pool.shape for pool in link.pools] + ([conv.shape] if conv else [])

    def sums(sent: Sent) -> torch.Tensor:
        batch, steps, _ = sent.flat.shape
        maps = pool_maps(link.pools, sent.maps(shapes[0]).flatten(0, 1), low, high)
        if conv is None:
            maps = maps.reshape(batch, steps, -1)
        return then(maps).reshape(batch, steps, -1)

    return sums
