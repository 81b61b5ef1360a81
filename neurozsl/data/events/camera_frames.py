"""Grey frames with times, checked, as the pixels of a camera take them: an index and a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events.camera_kernels import F64
from neurozsl.data.events.packed_events import LONGEST_US, TICKS

Frame = npt.NDArray[Any]

MOST_PIXELS: Final = 65_535  # of a side; x and y are 16 bits wide
_GREY: Final = np.arange(256, dtype=np.float64)


class TimedFrame(NamedTuple):
    """For each pixel an index, the grey value of each index, the time and (height, width)."""

    lookup: npt.NDArray[Any]
    grey: F64
    time_us: float
    shape: tuple[int, int]


def timed_frames(frames: Iterable[Frame], times_s: Iterable[float]) -> Iterator[TimedFrame]:
    """Yields checked frames; errors as `Camera.events` names them."""
    shape, before_us, brightest = (0, 0), -math.inf, 0.0
    for number, (frame, time_s) in enumerate(_pairs(frames, times_s)):
        _check_frame(frame, shape, number)
        now_us = _microseconds(time_s, number)
        if number:
            _check_gap(before_us, now_us, number)
        shape, before_us = (frame.shape[0], frame.shape[1]), now_us
        whole_numbers = frame.dtype.kind != "f"
        brightest = math.inf if whole_numbers else max(brightest, float(frame.max()))
        yield TimedFrame(*_tables(frame), now_us, shape)
    # Only the end tells: a film may begin in the dark.
    if 0.0 < brightest <= 1.0:
        raise BadInput(
            f"camera: no frame has a grey value above {brightest:g}, full scale is 255; multiply "
            "frames of 0 to 1 by 255"
        )


def _pairs(frames: Iterable[Frame], times_s: Iterable[float]) -> Iterator[tuple[Frame, float]]:
    ended: Any = object()
    for number, (frame, time_s) in enumerate(
        itertools.zip_longest(frames, times_s, fillvalue=ended)
    ):
        if frame is ended or time_s is ended:
            short, other = ("frames", "times") if frame is ended else ("times", "frames")
            raise BadInput(f"camera: {number} {short}, but more {other}; give one time for each")
        yield frame, time_s


def _check_frame(frame: Frame, shape: tuple[int, ...], number: int) -> None:
    if frame.ndim != 2 or frame.size == 0 or max(frame.shape) > MOST_PIXELS:
        raise BadInput(
            f"camera: frame {number} has shape {frame.shape}; give grey frames (H, W), sides of 1 "
            f"to {MOST_PIXELS} px"
        )
    if number and frame.shape != shape:
        raise BadInput(
            f"camera: frame {number} has shape {frame.shape}, the first one {shape}; give frames "
            "of one size"
        )
    if frame.dtype.kind not in "uif":
        raise BadInput(f"camera: frame {number} is of {frame.dtype}; give uint8 or real numbers")
    if frame.dtype != np.uint8:
        lowest, highest = float(frame.min()), float(frame.max())
        if not (lowest >= 0.0 and highest <= 1e12):
            raise BadInput(
                f"camera: frame {number} has grey values {lowest:g} to {highest:g}; give finite "
                "ones, 0 for dark and 255 for full scale"
            )


def _microseconds(time_s: float, number: int) -> float:
    """The time in steps of 2^-10 microseconds: sums and differences of such times are exact."""
    ticks = float(time_s) * 1e6 * TICKS
    if not 0.0 <= ticks < 2.0**52:
        raise BadInput(
            f"camera: frame {number} at {time_s} s; give times from 0 s on, below 100 years"
        )
    return round(ticks) / TICKS


def _check_gap(before_us: float, now_us: float, number: int) -> None:
    if not 0.0 < now_us - before_us <= LONGEST_US - 2:
        raise BadInput(
            f"camera: frame {number} at {now_us * 1e-6:.6f} s, the one before at "
            f"{before_us * 1e-6:.6f} s; give times that rise, by at most 1000 s"
        )


def _tables(frame: Frame) -> tuple[npt.NDArray[Any], F64]:
    """For each pixel an index, and the grey value that each index stands for.

    256 values where the frame is uint8, else a value of its own for each pixel.
    """
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame).reshape(-1), _GREY
    return np.arange(frame.size), frame.astype(np.float64).reshape(-1)
