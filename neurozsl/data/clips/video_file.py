"""A video file -> `Clip`: RGB frames at a constant rate and 16 kHz mono sound on one clock."""

from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.data.batch import F32, U8
from neurozsl.data.clip import Clip
from neurozsl.data.encoders.audio_features import RATE_HZ

CLIP_FPS = 20.0
CLIP_SIDE = 64
SILENT_RMS = 1e-4  # -80 dB of full scale


def read_clip(path: Path | str, *, side: int = CLIP_SIDE, fps: float = CLIP_FPS) -> Clip:
    """Decodes a file with sound.

    Frames are squeezed to a square of `side` px and held to a constant rate (each grid time takes
    the latest frame shown). Time 0 is the first frame; sound that starts later is padded.

    Raises:
        BadInput: no such file, not decodable, no picture or sound stream, or silent.
        MissingPart: PyAV is not installed.
    """
    av, path = _import_av(), Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: does not exist; check the folder and the labels file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or not container.streams.audio:
                absent = "sound" if container.streams.video else "picture"
                raise BadInput(f"{path}: has no {absent} stream; picture and sound are needed")
            frames, start = _decode_frames(container, av, side, fps)
        with av.open(str(path)) as container:
            waveform = _decode_sound(container, av, start)
    except (av.error.FFmpegError, ValueError, IndexError, EOFError, OSError) as error:
        raise BadInput(f"{path}: cannot be decoded ({error}); convert or replace it") from error
    if len(frames) == 0 or len(waveform) == 0:
        part = "sound" if len(frames) else "frames"
        raise BadInput(f"{path}: no {part} could be decoded; convert or replace it")
    rms = float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)))
    if not rms >= SILENT_RMS:
        raise BadInput(f"{path}: silent (RMS {rms:.1e}, at least {SILENT_RMS:g}); replace it")
    return Clip(frames, fps, waveform, RATE_HZ, path.name)


def _decode_frames(container: Any, av: Any, side: int, fps: float) -> tuple[U8, float]:
    """Frames on the grid k / fps, and the time of the first frame in the file."""
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    reformatter = av.video.reformatter.VideoReformatter()  # shared: 1.6 to 2.4 times faster
    start: float | None = None
    shown: Any = None
    kept: list[U8] = []
    last_s = 0.0
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        if start is None:
            start = float(frame.time)
        last_s = float(frame.time) - start
        # all grid times before this frame still show the one before
        due = int(np.ceil(last_s * fps - 1e-6)) - len(kept)
        if due > 0 and shown is not None:
            kept += [_square(reformatter, shown, side)] * due
        shown = frame
    if shown is None or start is None:
        return np.zeros((0, side, side, 3), dtype=np.uint8), 0.0
    rate = float(stream.average_rate or fps)
    due = max(0 if kept else 1, round((last_s + 1.0 / rate) * fps) - len(kept))
    kept += [_square(reformatter, shown, side)] * due
    return np.stack(kept), start


def _square(reformatter: Any, frame: Any, side: int) -> U8:
    small = reformatter.reformat(frame, side, side, "rgb24", interpolation="AREA")
    pixels: U8 = small.to_ndarray()
    return pixels


def _decode_sound(container: Any, av: Any, start: float) -> F32:
    """Mono samples at 16 kHz; sample 0 is at the first frame's time."""
    stream = container.streams.audio[0]
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    blocks: list[F32] = []
    first: float | None = None
    for frame in container.decode(stream):
        if first is None and frame.time is not None:
            first = float(frame.time)
        blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    if not blocks:
        return np.zeros(0, dtype=np.float32)
    sound = np.concatenate(blocks).astype(np.float32)
    late = round(((first or 0.0) - start) * RATE_HZ)
    return np.pad(sound, (late, 0)) if late > 0 else sound[-late:]


def _import_av() -> Any:
    try:
        import av
        import av.error
        import av.video.reformatter
    except ImportError as error:
        raise MissingPart("reading video needs PyAV; install it with: pip install av") from error
    return av
