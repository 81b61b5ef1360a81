"""A video file -> `Clip`: RGB frames at a constant rate and 16 kHz mono sound on one clock.

The one module that imports PyAV, whose wheels hold x264 and x265 (GPL); another decoder would take
the place of this file alone. libav opens plain containers of one file: playlists, lists of files,
picture series and everything from a network are refused by what it detects, before any of it is
read; what a file claims is compared with `limits` before memory is asked for.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.data.batch import F32, U8
from neurozsl.data.clip import Clip
from neurozsl.data.clips.limits import MAX_PIXELS, ClipLimits, check_picture, check_rate
from neurozsl.data.encoders.audio_features import RATE_HZ

CLIP_FPS = 20.0
CLIP_SIDE = 64
SILENT_RMS = 1e-4  # -80 dB of full scale
CONTAINERS = "matroska,webm,mov,mp4,avi,mpegts,mpeg,ogg,asf,flv,mxf,nut,dv"  # libav's names
_OPTIONS = {
    "format_whitelist": CONTAINERS,
    "protocol_whitelist": "file",
    "max_pixels": str(MAX_PIXELS),  # of the frames that libav decodes to find what is inside
}
# What PyAV's decoders were seen to raise, and what damaged numbers may.
BROKEN: Final = (
    ValueError,
    LookupError,
    EOFError,
    OSError,
    ArithmeticError,
    RuntimeError,
    TypeError,
)


def read_clip(
    path: Path | str,
    *,
    side: int = CLIP_SIDE,
    fps: float = CLIP_FPS,
    limits: ClipLimits | None = None,
) -> Clip:
    """Decodes a file with sound.

    Frames are squeezed to a square of `side` px and held to a constant rate (each grid time takes
    the latest frame shown). Time 0 is the first frame; sound that starts later is padded.

    Raises:
        BadInput: no such file, not decodable, no picture or sound stream, silent, or beyond the
            limits.
        MissingPart: PyAV is not installed.
    """
    av, path, limits = import_av(), Path(path), limits or ClipLimits()
    if not path.is_file():
        raise BadInput(f"{path}: does not exist; check the folder and the labels file")
    try:
        with open_container(av, path) as container:
            if not container.streams.video or not container.streams.audio:
                absent = "sound" if container.streams.video else "picture"
                raise BadInput(f"{path}: has no {absent} stream; picture and sound are needed")
            frames, start = _decode_frames(container, av, path, side, fps, limits)
        with open_container(av, path) as container:
            waveform = decode_sound(container, av, path, start, limits)
    except MemoryError as error:
        raise BadInput(f"{path}: needs more memory than there is; use a shorter clip") from error
    except (av.error.FFmpegError, *BROKEN) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"{path}: cannot be decoded ({why}); convert or replace it") from error
    if len(frames) == 0 or len(waveform) == 0:
        part = "sound" if len(frames) else "frames"
        raise BadInput(f"{path}: no {part} could be decoded; convert or replace it")
    rms = float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)))
    if not rms >= SILENT_RMS:
        raise BadInput(f"{path}: silent (RMS {rms:.1e}, at least {SILENT_RMS:g}); replace it")
    return Clip(frames, fps, waveform, RATE_HZ, path.name)


def open_container(av: Any, path: Path) -> Any:
    """The container; an absolute path has no protocol in front.

    Raises:
        BadInput: it is none that is opened.
    """
    try:
        return av.open(str(path.resolve()), options=_OPTIONS)
    except av.error.ArgumentError as error:  # what libav says of a format that is not listed
        raise BadInput(
            f"{path}: cannot be decoded: a playlist, a list of files, or a container that is none "
            f"of {CONTAINERS}; convert it"
        ) from error


def _decode_frames(
    container: Any, av: Any, path: Path, side: int, fps: float, limits: ClipLimits
) -> tuple[U8, float]:
    """Frames on the grid k / fps, and the time of the first frame in the file."""
    stream, where = container.streams.video[0], str(path)
    size = stream.codec_context.width, stream.codec_context.height
    check_picture(where, *size)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # it may grow on the way
    stream.thread_type = "NONE"
    reformatter = av.video.reformatter.VideoReformatter()  # shared: 1.6 to 2.4 times faster
    start: float | None = None
    shown: Any = None
    kept: list[U8] = []
    last_s = 0.0
    for number, frame in enumerate(container.decode(stream), start=1):
        limits.check_frames(where, number, max(last_s, 0.0))
        if frame.time is None:
            continue
        if start is None:
            start = float(frame.time)
        last_s = float(frame.time) - start
        limits.check_length(where, last_s)
        # all grid times before this frame still show the one before
        due = int(np.ceil(last_s * fps - 1e-6)) - len(kept)
        if due > 0 and shown is not None:
            kept += [_square(reformatter, shown, side)] * due
        shown = frame
    if shown is None or start is None:
        return np.zeros((0, side, side, 3), dtype=np.uint8), 0.0
    end_s = last_s + 1.0 / float(stream.average_rate or fps)
    limits.check_length(where, end_s)
    due = max(0 if kept else 1, round(end_s * fps) - len(kept))
    kept += [_square(reformatter, shown, side)] * due
    return np.stack(kept), start


def _square(reformatter: Any, frame: Any, side: int) -> U8:
    small = reformatter.reformat(frame, side, side, "rgb24", interpolation="AREA")
    pixels: U8 = small.to_ndarray()
    return pixels


def decode_sound(
    container: Any, av: Any, path: Path, start: float, limits: ClipLimits, rate_hz: int = RATE_HZ
) -> F32:
    """Mono samples at `rate_hz`; sample 0 is at the first frame's time."""
    stream, where = container.streams.audio[0], str(path)
    check_rate(where, stream.codec_context.sample_rate)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    blocks: list[F32] = []
    first: float | None = None
    length_s = 0.0
    for frame in container.decode(stream):
        check_rate(where, frame.sample_rate)
        length_s += frame.samples / frame.sample_rate
        limits.check_length(where, length_s)
        if first is None and frame.time is not None:
            first = float(frame.time)
        blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    if not blocks:
        return np.zeros(0, dtype=np.float32)
    sound = np.concatenate(blocks).astype(np.float32)
    late_s = (first or 0.0) - start
    limits.check_length(where, late_s + length_s)
    late = round(late_s * rate_hz)
    return np.pad(sound, (late, 0)) if late > 0 else sound[-late:]


def import_av() -> Any:
    """PyAV with the modules that are used.

    Raises:
        MissingPart: it is not installed.
    """
    try:
        import av
        import av.error
        import av.video.reformatter
    except ImportError as error:
        raise MissingPart("reading video needs PyAV; install it with: pip install av") from error
    return av
