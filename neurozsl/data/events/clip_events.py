"""The events of a clip, counted on a coarse grid: the motion features of clips.

The pixels are those of a `Camera` without noise (MDFT Eq. 4-5 in the usual reading): an event of
polarity p is due while p (L - ref) >= C, with L = log(I + eps), and moves the reference by p C.
"""

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import U8
from neurozsl.data.clip import LUMA
from neurozsl.data.events.camera import Camera

CONTRAST = 0.3  # C, in log units
LOG_EPS = 0.05  # keeps the noise of dark pixels from making events (intensity is 0..1)
GRID = 16


def pooled_events(
    frames: U8,
    fps: float,
    *,
    steps: int,
    contrast: float = CONTRAST,
    eps: float = LOG_EPS,
    grid: int = GRID,
) -> U8:
    """Returns event counts (T, 2 * grid * grid), uint8: ON cells, then OFF, clipped at 255.

    The reference starts at the first frame, which sits at t = 0; frame i is at i / fps. Events are
    counted by their exact times, before these are cut to microseconds.

    Args:
        frames: (F, H, W, 3) RGB or (F, H, W) grey, uint8.
        fps: frames per second.
        steps: T, equal steps of the F / fps seconds.
        contrast: C, change of log intensity per event, 0.01 to 10.
        eps: added to the intensity (0..1) before the logarithm.
        grid: cells in each direction.

    Raises:
        BadInput: contrast or eps outside their range, or frames of another shape.
    """
    if frames.ndim not in (3, 4):
        raise BadInput(f"clip events: frames of shape {frames.shape}; give (F, H, W[, 3])")
    grey = frames.astype(np.float32) @ LUMA if frames.ndim == 4 else frames
    height, width = grey.shape[1:]
    gap_s, seconds = 1.0 / fps, len(grey) / fps
    counts = np.zeros(steps * 2 * grid * grid, dtype=np.int64)
    gaps = Camera(contrast, contrast, log_eps=eps).crossings(grey, np.arange(len(grey)) / fps)
    for number, (y, x, polarity, share) in enumerate(gaps):
        time_s = (number + share) * gap_s
        step = np.minimum((time_s * (steps / seconds)).astype(np.int64), steps - 1)
        row, column = y * grid // height, x * grid // width
        flat = ((step * 2 + 1 - polarity) * grid + row) * grid + column
        counts += np.bincount(flat, minlength=len(counts))
    return np.minimum(counts, 255).astype(np.uint8).reshape(steps, 2 * grid * grid)
