"""Which kernel computes a call's sums: that of all values, or one that follows the events.

Both give the same integers (`products`, `conv` against `events`), so the choice is one of time
alone: by the number of events in the call, the weights that are not zero and what an operation
costs on this machine (`costs`). Small calls and small layers, and whatever does not run on the CPU
with numba, take the dense kernel without asking.
"""

from typing import Final

import numpy as np
import torch

from neurozsl.core.maps import Conv
from neurozsl.hardware.loihi.emulator import events
from neurozsl.hardware.loihi.emulator.conv import Maps, conv_maps
from neurozsl.hardware.loihi.emulator.costs import sum_costs
from neurozsl.hardware.loihi.emulator.kernels import HAS_NUMBA
from neurozsl.hardware.loihi.emulator.products import Codes, Product, exact_product

_SMALL: Final = 1 << 22  # multiplications of a dense call that no choice could make much cheaper
_SPARSE: Final = 0.5  # share of nonzero weights up to which a list of them is kept


def best_product(half: Codes, low: int, high: int, device: str) -> Product:
    """`exact_product`, or the events where they are fewer than it takes."""
    dense = exact_product(half, low, high, device)
    if device != "cpu" or not HAS_NUMBA or not half.size:
        return dense
    outputs, inputs = half.shape
    fan = np.count_nonzero(half) / inputs  # weights of an event
    ones = low >= -1 and high <= 1
    made: dict[str, Product] = {}

    def product(codes: torch.Tensor) -> torch.Tensor:
        rows = codes.shape[0] * codes.shape[1]
        if rows * half.size < _SMALL:
            return dense(codes)
        cost, number = sum_costs(), events.active(codes)
        scan = rows * (inputs + outputs) * cost.scan
        choices = {
            "dense": rows * half.size * cost.dense,
            "events": scan + number * outputs * (cost.event if ones else cost.scaled),
        }
        if fan <= _SPARSE * outputs:
            choices["sparse"] = scan + number * fan * cost.synapse
        best = min(choices, key=lambda name: choices[name])
        if best == "dense":
            return dense(codes)
        if best not in made:
            sparse = best == "sparse"
            made[best] = (
                events.sparse_events(half) if sparse else events.dense_events(half, low, high)
            )
        return made[best](codes)

    return product


def best_maps(half: Codes, conv: Conv, low: int, high: int, device: str) -> Maps:
    """`conv_maps`, or the events where they are fewer than it takes."""
    dense = conv_maps(half, conv, low, high, device)
    if device != "cpu" or not HAS_NUMBA or not events.scatters(conv):
        return dense
    values = int(np.prod(conv.shape))
    made_values = int(np.prod(conv.out_shape(half.shape)))
    made: dict[str, Maps] = {}

    def convolve(maps: torch.Tensor) -> torch.Tensor:
        work = len(maps) * made_values * half[0].size
        if work < _SMALL:
            return dense(maps)
        cost, number = sum_costs(), events.active(maps)
        share = number * half[0, 0].size * len(half) / (conv.stride[0] * conv.stride[1])
        scattered = len(maps) * (values + made_values) * cost.conv_scan + share * cost.tap
        if work * cost.dense_conv <= scattered:
            return dense(maps)
        if "events" not in made:
            made["events"] = events.conv_events(half, conv)
        return made["events"](maps)

    return convolve
