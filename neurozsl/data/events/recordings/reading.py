"""One file of a folder -> its events, and where its windows begin.

A recording is decoded. A video is filmed: what the pixels of one event camera would have sent, the
same camera for every video of a set (its mismatch stays, as that of a sensor does).
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.data.clips.names import is_video
from neurozsl.data.events.camera import Camera
from neurozsl.data.events.files.open import read_events
from neurozsl.data.events.frames import check_grid
from neurozsl.data.events.stream import US, EventStream

MAX_WINDOWS: Final = 1_000_000  # of one recording


def read_recording(
    file: Path, *, sensor: tuple[int, int] | None, repair: bool, camera: Camera | None
) -> EventStream:
    """The events of a recording, or of a video that `camera` films.

    sensor: (width, height) for files that do not say it; a video is filmed in this size, by default
    in its own.

    Raises:
        BadInput: the file cannot be decoded, or is a video and there is no camera.
    """
    if not is_video(file):
        return read_events(file, fallback=sensor, repair=repair)
    if camera is None:
        raise BadInput(
            f"{file}: is a video, and the set holds none; give the folder that the set was made of"
        )
    from neurozsl.data.clips.grey_video import open_grey  # brings torch: for videos alone

    shown, timed = itertools.tee(open_grey(file, size=sensor).frames())
    return EventStream.join(
        camera.events((frame for frame, _ in shown), (time for _, time in timed), name=file.name)
    )


def camera_of(meta: Mapping[str, Any]) -> Camera | None:
    """The camera that a set says it was filmed with, as `asdict` noted it.

    Raises:
        BadInput: what it says is no camera.
    """
    said = meta.get("camera")
    if said is None:
        return None
    try:
        return Camera(**said)
    except TypeError as error:
        raise BadInput(f"event set: camera {said!r} is none ({error}); build it again") from error


def window_starts(stream: EventStream, seconds: float | None, hop: float | None) -> list[int]:
    """Where the windows of a recording begin, us from its first event.

    One window without `hop`. Else those of `seconds` that lie in the recording as a whole, one
    every `hop` s; a recording that is shorter has one.

    Raises:
        BadInput: more than `MAX_WINDOWS`.

    >>> from neurozsl.data.events.arrays import to_events
    >>> import numpy as np
    >>> t = np.array([5, 1_000_004])
    >>> events = to_events({"t": t, "x": t * 0, "y": t * 0, "p": t * 0}, (1, 1))
    >>> made = EventStream(events, 1, 1)
    >>> window_starts(made, 0.4, 0.3), window_starts(made, 2.0, 0.3)
    ([0, 300000, 600000], [0])
    """
    if hop is None or seconds is None or not len(stream):
        return [0]
    hop_us, window_us = round(hop * US), round(seconds * US)
    lasts_us = int(stream.events["t"][-1]) - stream.start_us + 1
    count = max(0, lasts_us - window_us) // hop_us + 1
    if count > MAX_WINDOWS:
        raise BadInput(
            f"{stream.name or 'event stream'}: {count:,} windows, the limit is {MAX_WINDOWS:,}; "
            "choose a longer hop"
        )
    return [number * hop_us for number in range(count)]


def check_windows(
    bins: int, size: tuple[int, int] | None, seconds: float | None, hop: float | None, where: str
) -> None:
    """Refuses windows that cannot be, before a recording is read.

    Raises:
        BadInput: see `check_grid`; or a hop without a length, or below 1 us.
    """
    check_grid(bins, size, seconds, where)
    if hop is None:
        return
    if seconds is None:
        raise BadInput(
            f"{where}: windows every {hop} s of no length; give seconds (--seconds) beside hop"
        )
    if not 1 <= hop * US < 2**53:
        raise BadInput(f"{where}: hop of {hop} s (--hop), at least {1 / US} is needed; choose more")
