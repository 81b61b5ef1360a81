"""Frames -> one local descriptor per frame: oriented gradients and colour on an 8 x 8 grid.

In: frames (n, H, W, 3) uint8 of any size, area-averaged to 32 x 32. Out: (n, 8, 8, 11) float32:
eight unsigned gradient directions (HOG, Dalal and Triggs 2005, linear votes between neighbouring
directions, cells of 4 x 4 px) and the mean red, green and blue of the cell.

Differences from classic HOG: no overlapping blocks; a cell is divided by the gradient energy of
its 3 x 3 neighbourhood plus a constant, which keeps pixel noise in flat areas small.
"""

import functools
import itertools

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, U8
from neurozsl.data.clip import LUMA

SIDE = 32
CELL = 4
GRID = SIDE // CELL
DIRECTIONS = 8
CHANNELS = DIRECTIONS + 3
FLAT_ENERGY = 0.5  # gradient per pixel that counts as texture; 3 % noise has about 0.05


def visual_descriptors(frames: U8) -> F32:
    """Returns gradient and colour cells of (n, H, W, 3) uint8 RGB.

    (n, 8, 8, 11) float32: 8 directions (bin k is centred on k * pi / 8), then R, G, B.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or min(frames.shape[1:3]) < GRID:
        raise BadInput(
            f"frames: shape {frames.shape}, (n, height, width, 3) of at least {GRID} px a side is "
            "needed; decode the video as RGB"
        )
    small = shrink(frames, SIDE)  # (n, 32, 32, 3) in 0..1
    hog = _oriented_gradients(small @ LUMA)
    colour = small.reshape(-1, GRID, CELL, GRID, CELL, 3).mean(axis=(2, 4))
    return np.concatenate((hog, colour), axis=-1)


def shrink(frames: U8, side: int) -> F32:
    """Returns (n, side, side, C) float32 in 0..1: exact area averages, any input size."""
    height, width = frames.shape[1:3]
    image = frames.astype(np.float32)
    if height != side:
        image = np.einsum("yh,nhwc->nywc", _area_weights(height, side), image, optimize=True)
    if width != side:
        image = np.einsum("xw,nywc->nyxc", _area_weights(width, side), image, optimize=True)
    image *= np.float32(1.0 / 255.0)
    return image


def _oriented_gradients(grey: F32) -> F32:
    """(n, 32, 32) -> (n, 8, 8, 8) normalised votes."""
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    gx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    gy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    size = np.hypot(gx, gy)
    place = np.mod(np.arctan2(gy, gx) * np.float32(DIRECTIONS / np.pi), DIRECTIONS)
    cells = np.empty((len(grey), GRID, GRID, DIRECTIONS), dtype=np.float32)
    for k in range(DIRECTIONS):
        gap = np.abs(place - k)
        vote = size * np.maximum(1.0 - np.minimum(gap, DIRECTIONS - gap), 0.0)
        cells[..., k] = vote.reshape(-1, GRID, CELL, GRID, CELL).sum(axis=(2, 4))
    energy = cells.sum(axis=-1)
    around = np.pad(energy, ((0, 0), (1, 1), (1, 1)), mode="edge")
    local = np.zeros_like(energy)
    for dy, dx in itertools.product(range(3), range(3)):
        local += around[:, dy : dy + GRID, dx : dx + GRID] / np.float32(9.0)
    cells /= (local + np.float32(CELL * CELL * FLAT_ENERGY))[..., None]
    return cells


@functools.lru_cache(maxsize=16)
def _area_weights(size: int, side: int) -> F32:
    """(side, size) rows that sum to 1: overlap of each output cell with each input pixel."""
    edges = np.linspace(0.0, size, side + 1)
    pixel = np.arange(size)
    low = np.maximum(edges[:-1, None], pixel)
    high = np.minimum(edges[1:, None], pixel + 1)
    overlap = np.maximum(high - low, 0.0)
    weights: F32 = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights
