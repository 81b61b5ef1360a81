"""A recording -> frames of event counts, `(T, 2, H, W)`: what a spiking network reads step by step.

All arithmetic is in whole microseconds and pixels, so that every machine puts every event into the
same cell. With t0 the time at which the window begins, w its length and b bins, in us:

    bin     = (t - t0) b // w       for 0 <= t - t0 < w; other events are left out
    column  = x W // width          row = y H // height
    channel = 0 for ON, 1 for OFF

The window begins at the first event, or `since_us` later. Without a length it reaches just beyond
the last event: all events count.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events.stream import I64, U8, US, EventStream

MAX_CELLS: Final = 2**28  # of the counts of one recording
CLIP: Final = 255


@dataclass(frozen=True, eq=False)
class Cells:
    """Where each event of a recording falls.

    Attributes:
        shape: (T, 2, H, W).
        step: (n,) bin of each event in the window, rising.
        flat: (n,) index into (2, H, W).
        window_us: w.
        kept: (n,) times of these events from t0 on, us.
    """

    shape: tuple[int, int, int, int]
    step: I64
    flat: I64
    window_us: int
    kept: I64


def to_frames(
    stream: EventStream,
    bins: int,
    *,
    size: tuple[int, int] | None = None,
    seconds: float | None = None,
    clip: int = CLIP,
) -> U8:
    """Returns event counts (T, 2, H, W), uint8: ON cells, then OFF, clipped.

    Args:
        stream: the recording.
        bins: T, equal bins of the window.
        size: (W, H), at most that of the sensor; by default that of the sensor.
        seconds: length of the window from the first event on, s; by default the whole recording.
        clip: largest count, 1 to 255.

    Raises:
        BadInput: bins, size, seconds or clip are impossible, or the frames have too many cells.

    >>> from neurozsl.data.events.stream import EVENT
    >>> events = np.array([(0, 0, 0, 1), (5, 1, 0, 1), (9, 1, 0, 0)], dtype=EVENT)
    >>> to_frames(EventStream(events, 2, 1), 2)[:, :, 0].tolist()
    [[[1, 0], [0, 0]], [[0, 1], [0, 1]]]
    """
    check_clip(clip)
    counts = count_events(stream, bins, size=size, seconds=seconds)
    return np.minimum(counts, clip).astype(np.uint8)


def count_events(
    stream: EventStream,
    bins: int,
    *,
    size: tuple[int, int] | None = None,
    seconds: float | None = None,
    since_us: int = 0,
) -> I64:
    """Returns the counts (T, 2, H, W) without a limit; arguments and errors of `cells_of`."""
    cells = cells_of(stream, bins, size=size, seconds=seconds, since_us=since_us)
    area = cells.shape[1] * cells.shape[2] * cells.shape[3]
    counts = np.bincount(cells.step * area + cells.flat, minlength=bins * area)
    return counts.reshape(cells.shape)


def cells_of(
    stream: EventStream,
    bins: int,
    *,
    size: tuple[int, int] | None,
    seconds: float | None,
    since_us: int = 0,
) -> Cells:
    """Where each event falls; arguments and errors of `to_frames`.

    since_us: time from the first event to the begin of the window, us.
    """
    where = stream.name or "event stream"
    columns, rows = size or (stream.width, stream.height)
    check_grid(bins, (columns, rows), seconds, where)
    if columns > stream.width or rows > stream.height:
        raise BadInput(
            f"{where}: frames of {columns}x{rows} px of a sensor of {stream.width}x{stream.height} "
            "px, at most its size is possible; choose a smaller size"
        )
    since: I64 = stream.events["t"] - (stream.start_us + since_us)
    window_us = int(since[-1]) + 1 if len(since) else 1
    if seconds is not None:
        window_us = round(seconds * US)
    if window_us * bins >= 2**63:
        raise BadInput(f"{where}: lasts {window_us} us, too long for {bins} bins; give seconds")
    inside = slice(*np.searchsorted(since, (0, window_us)).tolist())
    kept, events = since[inside], stream.events[inside]
    row = events["y"].astype(np.int64) * rows // stream.height
    column = events["x"].astype(np.int64) * columns // stream.width
    off = (events["p"] == 0).astype(np.int64)
    flat: npt.NDArray[np.int64] = (off * rows + row) * columns + column
    return Cells((bins, 2, rows, columns), kept * bins // window_us, flat, window_us, kept)


def check_grid(bins: int, size: tuple[int, int] | None, seconds: float | None, where: str) -> None:
    """Refuses frames that cannot be, before a recording is read.

    Raises:
        BadInput: no bin, no pixel, no time, or more than `MAX_CELLS` cells.
    """
    columns, rows = size or (1, 1)
    if bins < 1 or columns < 1 or rows < 1:
        raise BadInput(
            f"{where}: {bins} bins of {columns}x{rows} px, each must be at least 1; choose others"
        )
    if bins * 2 * rows * columns > MAX_CELLS:
        raise BadInput(
            f"{where}: {bins} bins of 2x{columns}x{rows} are {bins * 2 * rows * columns} cells, "
            f"the limit is {MAX_CELLS}; choose fewer bins or a smaller size"
        )
    if seconds is not None and not 1 <= seconds * US < 2**53:
        raise BadInput(f"{where}: window of {seconds} s, at least {1 / US} is needed; choose more")


def check_clip(clip: int) -> None:
    """Refuses a largest count that one byte does not hold.

    Raises:
        BadInput: it is not 1 to 255.
    """
    if not 1 <= clip <= CLIP:
        raise BadInput(f"event frames: clip {clip}, 1 to {CLIP} is possible; choose one of these")
