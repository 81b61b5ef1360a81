"""Random numbers by counter: the n-th draw of a pixel depends on seed, use, pixel and n alone.

So a result does not depend on blocks, threads or the order of pixels. The numbers are SplitMix64's
finaliser (Steele, Lea and Flood 2014), applied to one after the other of the counters.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.data.events.compiled import compiled

F64 = npt.NDArray[np.float64]

ON_THRESHOLD: Final = 1  # what a draw is used for
OFF_THRESHOLD: Final = 2
LEAK_PHASE: Final = 3
SHOT_NOISE: Final = 4

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_SHARE: Final = 2.0**-53


@compiled
def _mixed(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


def key(seed: int, use: int) -> np.uint64:
    """The key of one use of a seed."""
    return np.uint64(_key(seed, use))  # compiled code hands out a plain integer


@compiled
def _key(seed: int, use: int) -> np.uint64:
    return _mixed(_mixed(np.uint64(seed) + _STEP) + np.uint64(use) * _STEP)


@compiled
def bits(of_use: np.uint64, pixel: int, draw: int) -> np.uint64:
    """64 random bits."""
    return _mixed(_mixed(of_use + np.uint64(pixel) * _STEP) + np.uint64(draw) * _STEP)


@compiled
def uniform(of_use: np.uint64, pixel: int, draw: int) -> float:
    """A number above 0 and below 1."""
    return (float(bits(of_use, pixel, draw) >> _S11) + 0.5) * _SHARE


@compiled
def exponential(of_use: np.uint64, pixel: int, draw: int) -> float:
    """A number of the exponential distribution of mean 1."""
    return -math.log(uniform(of_use, pixel, draw))


@compiled
def uniforms(of_use: np.uint64, pixels: int, draw: int = 0) -> F64:
    """One draw of every pixel, (pixels,)."""
    found = np.empty(pixels)
    for i in range(pixels):
        found[i] = uniform(of_use, i, draw)
    return found


def exponentials(of_use: np.uint64, pixels: int) -> F64:
    """The first draw of every pixel, exponential of mean 1, (pixels,)."""
    found: F64 = -np.log(uniforms(of_use, pixels))
    return found


def normals(of_use: np.uint64, pixels: int) -> F64:
    """A standard normal number of every pixel, (pixels,); Box and Muller 1958."""
    radius = np.sqrt(2.0 * exponentials(of_use, pixels))
    found: F64 = radius * np.cos(2.0 * math.pi * uniforms(of_use, pixels, 1))
    return found
