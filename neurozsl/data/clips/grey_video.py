"""A video file -> grey frames with the times that the file gives them, one after the other.

Sound is not needed, no frame is held or repeated, and memory is that of one frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import U8
from neurozsl.data.clips.limits import MAX_PIXELS, ClipLimits, check_picture
from neurozsl.data.clips.video_file import BROKEN, import_av, open_container


@dataclass(frozen=True)
class GreyVideo:
    """A video that can be read as grey frames.

    Attributes:
        path: of the file.
        width, height: of the frames that `frames` yields, px.
        seconds: that the file states; 0 where it does not.
        limits: of the clip.
    """

    path: Path
    width: int
    height: int
    seconds: float
    limits: ClipLimits

    def frames(self) -> Iterator[tuple[U8, float]]:
        """Yields (height, width) uint8, 255 for white, and s since the first frame, rising.

        A frame without a time, or with one that is not later than that of the frame before, is
        left out.

        Raises:
            BadInput: not decodable, no frame, or beyond the limits.
        """
        av, shown = import_av(), 0
        try:
            with open_container(av, self.path) as container:
                for frame in self._decode(av, container):
                    shown += 1
                    yield frame
        except MemoryError as error:
            raise BadInput(
                f"{self.path}: needs more memory than there is; make it smaller"
            ) from error
        except (av.error.FFmpegError, *BROKEN) as error:
            raise _undecodable(self.path, error) from error
        if not shown:
            raise BadInput(f"{self.path}: no frames could be decoded; convert or replace it")

    def _decode(self, av: Any, container: Any) -> Iterator[tuple[U8, float]]:
        stream, where = container.streams.video[0], str(self.path)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # it may grow on the way
        stream.thread_type = "NONE"
        reformatter = av.video.reformatter.VideoReformatter()  # shared: 1.6 to 2.4 times faster
        start, last_s = None, -1.0
        for number, frame in enumerate(container.decode(stream), start=1):
            self.limits.check_frames(where, number, max(last_s, 0.0))
            if frame.time is None:
                continue
            start = float(frame.time) if start is None else start
            time_s = float(frame.time) - start
            if time_s <= last_s:
                continue
            last_s = time_s
            self.limits.check_length(where, time_s)
            grey = reformatter.reformat(
                frame, self.width, self.height, "gray", interpolation="AREA"
            )
            yield grey.to_ndarray(), time_s


def open_grey(
    path: Path, *, size: tuple[int, int] | None = None, limits: ClipLimits | None = None
) -> GreyVideo:
    """Looks at a video file.

    size: width and height of the frames to make, px; by default those of the file.

    Raises:
        BadInput: no such file, not decodable, no picture stream, or beyond the limits.
        MissingPart: PyAV is not installed.
    """
    av, limits = import_av(), limits or ClipLimits()
    if not path.is_file():
        raise BadInput(f"{path}: does not exist; check the path")
    try:
        with open_container(av, path) as container:
            if not container.streams.video:
                raise BadInput(f"{path}: has no picture stream; give a video")
            context = container.streams.video[0].codec_context
            check_picture(str(path), context.width, context.height)
            seconds = max(float(container.duration or 0) / av.time_base, 0.0)
            width, height = size or (context.width, context.height)
    except (av.error.FFmpegError, *BROKEN) as error:
        raise _undecodable(path, error) from error
    limits.check_length(str(path), seconds)
    check_picture(str(path), width, height)
    return GreyVideo(path, width, height, seconds, limits)


def _undecodable(path: Path, error: Exception) -> BadInput:
    why = getattr(error, "strerror", None) or error
    return BadInput(f"{path}: cannot be decoded ({why}); convert or replace it")
