"""A video file -> what pretrained encoders read: single frames in their size, sound at their rate.

Frames are decoded once and handed on a few at a time, so memory does not grow with the clip; the
sound is held as a whole. Time 0 is the first frame, as in `video_file.read_clip`, which has read
the clip before and found it in order. The centre of a frame is cut out after its shorter side was
resized (bicubic), so that nothing is squeezed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, U8
from neurozsl.data.clips.limits import MAX_PIXELS, ClipLimits, check_picture, check_rate
from neurozsl.data.clips.video_file import BROKEN, decode_sound, import_av, open_container
from neurozsl.data.encoders.base import F64, VideoEncoder

AT_ONCE: Final = 16  # frames handed on together


def frames_at(path: Path, times_s: F64, encoder: VideoEncoder, limits: ClipLimits) -> Iterator[U8]:
    """Yields (k, side, side, 3) RGB: for each of the rising times the frame that is shown then.

    Raises:
        BadInput: not decodable, or beyond the limits.
    """
    av = import_av()
    try:
        with open_container(av, path) as container:
            kept: list[U8] = []
            for frame in _shown(av, container, path, times_s, encoder, limits):
                kept.append(frame)
                if len(kept) == AT_ONCE:
                    yield np.stack(kept)
                    kept = []
            if kept:
                yield np.stack(kept)
    except (av.error.FFmpegError, *BROKEN) as error:
        raise _undecodable(path, error) from error


def _shown(
    av: Any, container: Any, path: Path, times_s: F64, encoder: VideoEncoder, limits: ClipLimits
) -> Iterator[U8]:
    stream, where = container.streams.video[0], str(path)
    check_picture(where, stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    stream.thread_type = "NONE"
    reformatter = av.video.reformatter.VideoReformatter()
    start: float | None = None
    shown: Any = None
    made: U8 | None = None  # of `shown`, which several times may ask for
    at, last_s = 0, 0.0
    for number, frame in enumerate(container.decode(stream), start=1):
        limits.check_frames(where, number, max(last_s, 0.0))
        if frame.time is None:
            continue
        start = float(frame.time) if start is None else start
        last_s = float(frame.time) - start
        limits.check_length(where, last_s)
        while shown is not None and at < len(times_s) and times_s[at] < last_s - 1e-6:
            made = _cut(reformatter, shown, encoder) if made is None else made
            yield made
            at += 1
        if at == len(times_s):
            return
        shown, made = frame, None
    if shown is None:
        raise BadInput(f"{path}: no frames could be decoded; convert or replace it")
    last = _cut(reformatter, shown, encoder)
    for _ in range(at, len(times_s)):
        yield last


def _cut(reformatter: Any, frame: Any, encoder: VideoEncoder) -> U8:
    """The centre of a frame, its shorter side resized."""
    ratio = encoder.shorter / min(frame.width, frame.height)
    width, height = (max(encoder.shorter, round(x * ratio)) for x in (frame.width, frame.height))
    check_picture("the resized frame", width, height)
    pixels = reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC")
    left, top = (width - encoder.side) // 2, (height - encoder.side) // 2
    cut: U8 = pixels.to_ndarray()[top : top + encoder.side, left : left + encoder.side]
    return np.ascontiguousarray(cut)


def sound_of(path: Path, rate_hz: int, limits: ClipLimits) -> F32:
    """(N,) mono samples at a rate; sample 0 is at the first frame's time.

    Raises:
        BadInput: not decodable, or beyond the limits.
    """
    av = import_av()
    try:
        with open_container(av, path) as container:
            stream = container.streams.video[0]
            frames = (x.time for x in container.decode(stream) if x.time is not None)
            start = float(next(frames, 0.0))
        with open_container(av, path) as container:
            check_rate(str(path), container.streams.audio[0].codec_context.sample_rate)
            return decode_sound(container, av, path, start, limits, rate_hz)
    except MemoryError as error:
        raise BadInput(f"{path}: needs more memory than there is; use a shorter clip") from error
    except (av.error.FFmpegError, *BROKEN) as error:
        raise _undecodable(path, error) from error


def unique_times(start_s: Sequence[float], window_s: float, steps: int) -> tuple[F64, Any]:
    """Middles of all steps of all windows, each once and rising, and their places (n, T).

    >>> unique_times([0.0, 0.5], 1.0, 2)[1].tolist()
    [[0, 1], [1, 2]]
    """
    step_s = window_s / steps
    middle = np.asarray(start_s)[:, None] + (np.arange(steps) + 0.5) * step_s
    times, places = np.unique(np.round(middle, 6), return_inverse=True)
    return times, places.reshape(middle.shape)


def _undecodable(path: Path, error: Exception) -> BadInput:
    why = getattr(error, "strerror", None) or error
    return BadInput(f"{path}: cannot be decoded ({why}); convert or replace it")
