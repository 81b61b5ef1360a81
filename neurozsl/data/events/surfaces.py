"""A recording -> exponential time surfaces at the end of each bin (Lagorce et al. 2017, Eq. 2).

    S(c, row, column) = exp(-(T - t) / tau)

with T the end of the bin and t the last event of that cell before it and in the window; 0 where
there was none. Bins, cells and channels are those of `frames`; T counts from where the window
begins.

X. Lagorce, G. Orchard, F. Galluppi, B. Shi, R. Benosman, HOTS: a hierarchy of event-based time
surfaces for pattern recognition, IEEE TPAMI 39(7), 2017.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events.frames import cells_of
from neurozsl.data.events.stream import U8, EventStream

F32 = npt.NDArray[np.float32]

TAU_MS: Final = 50.0
CODES: Final = 255  # code of a surface of 1


def to_surfaces(
    stream: EventStream,
    bins: int,
    *,
    size: tuple[int, int] | None = None,
    seconds: float | None = None,
    tau_ms: float = TAU_MS,
    since_us: int = 0,
) -> F32:
    """Returns time surfaces (T, 2, H, W), 0 to 1: ON cells, then OFF.

    tau_ms: time constant. Further arguments as in `cells_of`.

    Raises:
        BadInput: as `to_frames`, or tau_ms is not above 0.
    """
    if not (math.isfinite(tau_ms) and tau_ms > 0):
        raise BadInput(f"time surfaces: tau of {tau_ms} ms, above 0 is needed; choose another")
    cells = cells_of(stream, bins, size=size, seconds=seconds, since_us=since_us)
    last_us = np.full(math.prod(cells.shape[1:]), -np.inf)
    surfaces = np.empty((bins, len(last_us)), dtype=np.float32)
    ends = np.searchsorted(cells.step, np.arange(bins), side="right")
    start = 0
    for step, stop in enumerate(ends.tolist()):
        # Of several events in a cell the last is assigned last.
        last_us[cells.flat[start:stop]] = cells.kept[start:stop]
        end_us = cells.window_us * (step + 1) / bins
        surfaces[step] = np.exp((last_us - end_us) / (tau_ms * 1e3))
        start = stop
    return surfaces.reshape(cells.shape)


def to_codes(surfaces: F32) -> U8:
    """Surfaces as 8-bit codes, code / 255 nearest to the value; a cell that fired has at least 1.

    >>> to_codes(np.array([0.0, 1e-9, 0.5, 1.0], dtype=np.float32)).tolist()
    [0, 1, 128, 255]
    """
    codes = np.rint(surfaces.astype(np.float64) * CODES)
    return np.maximum(codes, surfaces > 0).astype(np.uint8)
