"""Small videos with sound, written with PyAV: what they show and sound is known."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

RATE = 16_000


def write_video(
    path: Path,
    seconds: float = 4.0,
    *,
    hertz: float = 440.0,
    fps: int = 25,
    sound: bool = True,
    rate: int = RATE,
    size: tuple[int, int] = (64, 48),
    times: Callable[[int], int] = int,
) -> None:
    """Frames whose grey level rises by 1 per frame, and a tone that starts after 1 s.

    rate: samples of the sound a second. size: width and height, px. times: number of a frame -> its
    time stamp in frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=fps)
        video.width, video.height, video.pix_fmt = *size, "bgr0"
        audio = out.add_stream("pcm_s16le", rate=rate, layout="mono") if sound else None
        for i in range(round(seconds * fps)):
            picture = np.full((size[1], size[0], 3), (50 + i) % 256, dtype=np.uint8)
            picture[:, : 8 + i % 40] = (200, 30, 30)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times(i)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            time = np.arange(round(seconds * rate)) / rate
            wave = 0.3 * np.sin(2 * np.pi * hertz * time) * (time >= 1.0)
            block = av.AudioFrame.from_ndarray(
                (wave * 32767).astype(np.int16)[None], format="s16", layout="mono"
            )
            block.sample_rate, block.pts = rate, 0
            out.mux(audio.encode(block))
            out.mux(audio.encode(None))
