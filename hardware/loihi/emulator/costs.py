"""What sums cost on this machine: seconds per operation of every kernel, measured once a process.

    dense      a multiplication of `products` (or of `conv`)
    scan       a value that is looked at, and a sum that is written, whether anything arrives or not
    event      an output that a weight is added to, of ones; `scaled` of other values
    synapse    a nonzero weight of an event, where zeros are left out
    tap        an output that an event of a map is added to

Which kernel runs depends on them, what it gives does not. They are the smallest of a few runs of a
few milliseconds, so a busy machine chooses almost as a quiet one does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch

from neurozsl.core.maps import Conv
from neurozsl.hardware.loihi.emulator import events
from neurozsl.hardware.loihi.emulator.conv import conv_maps
from neurozsl.hardware.loihi.emulator.products import exact_product

_RUNS: Final = 3
_ROWS, _SIZE = 64, 512
_CONV: Final = Conv((16, 32, 32), (1, 1), (1, 1, 1, 1))


@dataclass(frozen=True)
class SumCosts:
    """Seconds of an operation each; see the module."""

    dense: float
    scan: float
    event: float
    scaled: float
    synapse: float
    dense_conv: float
    conv_scan: float
    tap: float

    def told(self) -> dict[str, str]:
        """In words, for people: nanoseconds of an operation."""
        return {name: f"{1e9 * seconds:.3f} ns" for name, seconds in vars(self).items()}


@lru_cache(maxsize=1)
def sum_costs() -> SumCosts:
    """Measure them; about a tenth of a second, with the loops compiled."""
    rng = np.random.default_rng(0)
    half = rng.integers(-127, 128, (_SIZE, _SIZE)).astype(np.int16)
    thin = half * (rng.random(half.shape) < 0.05)
    few = torch.zeros((1, _ROWS, _SIZE), dtype=torch.uint8)
    many = torch.from_numpy((rng.random((1, _ROWS, _SIZE)) < 0.2).astype(np.uint8))
    number = events.active(many)
    macs, values = _ROWS * _SIZE**2, 2 * _ROWS * _SIZE
    unit, scaled = events.dense_events(half, 0, 1), events.dense_events(half, 0, 15)
    sparse = events.sparse_events(thin)
    nothing = _seconds(unit, few)
    synapses = number * np.count_nonzero(thin) / _SIZE
    kernel = rng.integers(-127, 128, (16, 16, 3, 3)).astype(np.int16)
    none = torch.zeros((8, 32, 32, 16), dtype=torch.uint8)
    some = torch.from_numpy((rng.random(none.shape) < 0.1).astype(np.uint8))
    there, scatter = conv_maps(kernel, _CONV, 0, 1, "cpu"), events.conv_events(kernel, _CONV)
    empty = _seconds(scatter, none)
    return SumCosts(
        dense=_seconds(exact_product(half, 0, 1, "cpu"), many) / macs,
        scan=nothing / values,
        event=max(_seconds(unit, many) - nothing, 0.0) / (number * _SIZE),
        scaled=max(_seconds(scaled, many) - nothing, 0.0) / (number * _SIZE),
        synapse=max(_seconds(sparse, many) - nothing, 0.0) / synapses,
        dense_conv=_seconds(there, some) / (some.numel() * kernel[0].size),
        conv_scan=empty / (2 * none.numel()),
        tap=max(_seconds(scatter, some) - empty, 0.0) / (events.active(some) * 9 * 16),
    )


def _seconds(function: Callable[[torch.Tensor], torch.Tensor], given: torch.Tensor) -> float:
    function(given)  # compiles, loads
    found = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        function(given)
        found.append(time.perf_counter() - began)
    return min(found)
