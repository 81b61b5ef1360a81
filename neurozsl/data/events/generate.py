"""Event generation: what an event camera would report, and the same idea on feature vectors.

Pixel form (MDFT Eq. 4-5 in the usual reading; reference level as in ESIM, Rebecq et al. 2018):
log intensity L = log(I + eps) of each pixel; an event of polarity p = sign(L - ref) is due while
p (L - ref) >= C, and moves the reference by p C. Between two frames L is taken as linear, which
gives each event its own time.

Feature form: ternary events of a feature sequence, at most one per step; the reference moves to
the current value. This is what the spiking motion branch receives from the visual stream.
"""

from collections.abc import Callable
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import U8
from neurozsl.data.clip import LUMA

CONTRAST = 0.3  # C of the pixel form, in log units
LOG_EPS = 0.05  # keeps the noise of dark pixels from making events (intensity is 0..1)
GRID = 16
FEATURE_LOG_EPS = 0.1
EVENT_DTYPE = np.dtype([("t", np.float64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])

Events = npt.NDArray[np.void]
F64 = npt.NDArray[np.float64]


def pixel_events(
    frames: U8, fps: float, *, contrast: float = CONTRAST, eps: float = LOG_EPS
) -> Events:
    """Returns the events of a clip, sorted by time.

    The reference starts at the first frame, which sits at t = 0; frame i is at i / fps. An event
    has t (seconds), x, y (pixels) and p (+1 or -1).

    Args:
        frames: (F, H, W, 3) RGB or (F, H, W) grey, uint8.
        fps: frames per second.
        contrast: C > 0, change of log intensity per event.
        eps: added to the intensity (0..1) before the logarithm.

    Raises:
        BadInput: contrast or eps not positive, or frames of another shape.
    """
    if contrast <= 0 or eps <= 0:
        raise BadInput(f"pixel events: contrast {contrast}, eps {eps}; both must be above 0")
    if frames.ndim == 4:
        grey = frames.astype(np.float32) @ LUMA
    elif frames.ndim == 3:
        grey = frames.astype(np.float32)
    else:
        raise BadInput(f"pixel events: frames of shape {frames.shape}; give (F, H, W[, 3])")
    level = np.log(grey.astype(np.float64) / 255.0 + eps)
    total = _walk(level, contrast, 1.0 / fps, np.empty(0, dtype=EVENT_DTYPE))
    events = np.empty(total, dtype=EVENT_DTYPE)
    _walk(level, contrast, 1.0 / fps, events)
    return events[np.argsort(events["t"], kind="stable")]


def pool_events(
    events: Events, *, steps: int, seconds: float, size: tuple[int, int], grid: int = GRID
) -> U8:
    """Returns event counts (T, 2 * grid * grid), uint8: ON cells, then OFF, clipped at 255.

    events: as `pixel_events` gives them. steps: T, equal steps of `seconds`, the length of the
    window; later events count in the last step. size: height and width of the frames in px.
    """
    height, width = size
    step = np.minimum((events["t"] * (steps / seconds)).astype(np.int64), steps - 1)
    row = events["y"].astype(np.int64) * grid // height
    column = events["x"].astype(np.int64) * grid // width
    off = (events["p"] < 0).astype(np.int64)
    flat = ((step * 2 + off) * grid + row) * grid + column
    counts = np.bincount(flat, minlength=steps * 2 * grid * grid)
    return np.minimum(counts, 255).astype(np.uint8).reshape(steps, 2 * grid * grid)


First = Literal["self", "zero"]


def feature_events(
    features: Tensor, threshold: float, *, log: bool = False, first: First = "self"
) -> Tensor:
    """Returns ternary events of a feature sequence, -1, 0, 1 in its type (not differentiable).

    With v = x, or v = log(relu(x) + 0.1) when `log`, and per feature:

        e_t = sign(v_t - ref) if |v_t - ref| >= C, else 0;    ref <- v_t where e_t != 0

    Args:
        features: (B, T, D).
        threshold: C > 0, in units of v.
        log: compare logarithms.
        first: "self" starts ref at v_0, so step 0 has no event; "zero" starts it at the value of
            x = 0, which is what lets repeated (constant) features give events in step 0.

    """
    return events_of(feature_changes(features, threshold, log=log, first=first), threshold)


def events_of(changes: Tensor, threshold: float) -> Tensor:
    """Returns the ternary events of `feature_changes`."""
    return torch.where(changes.abs() >= threshold, changes.sign(), torch.zeros_like(changes))


@torch.no_grad()
def feature_changes(
    features: Tensor, threshold: float, *, log: bool = False, first: First = "self"
) -> Tensor:
    """Returns v_t - ref of every step, (B, T, D), which `feature_events` compares with C."""
    if threshold <= 0:
        raise BadInput(f"feature events: threshold {threshold}; it must be above 0")
    value = torch.log(torch.relu(features) + FEATURE_LOG_EPS) if log else features
    if first == "self":
        reference = value[:, 0]
    else:
        zero = float(np.log(FEATURE_LOG_EPS)) if log else 0.0
        reference = torch.full_like(value[:, 0], zero)
    steps = []
    for current in value.unbind(dim=1):
        change = current - reference
        steps.append(change)
        reference = torch.where(change.abs() >= threshold, current, reference)
    return torch.stack(steps, dim=1)


def _walk_loop(level: F64, contrast: float, gap_s: float, events: Events) -> int:
    """Number of events; written pixel by pixel as far as there is room in `events`.

    A crossing at `reference` has its linear time.
    """
    frames, height, width = level.shape
    n = 0
    for y in range(height):
        for x in range(width):
            reference = level[0, y, x]
            for f in range(1, frames):
                before, now = level[f - 1, y, x], level[f, y, x]
                polarity = 1.0 if now > reference else -1.0
                while polarity * (now - reference) >= contrast:
                    reference += polarity * contrast
                    if n < len(events):
                        part = (reference - before) / (now - before)
                        event = events[n]
                        event["t"] = (f - 1 + min(max(part, 0.0), 1.0)) * gap_s
                        event["x"], event["y"], event["p"] = x, y, polarity
                    n += 1
    return n


# numba's decorator is untyped; naming the compiled function keeps its signature.
_walk: Callable[[F64, float, float, Events], int] = numba.njit(cache=True)(_walk_loop)
