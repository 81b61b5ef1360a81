"""`Clip`: a few seconds of pictures and sound on one clock, before any encoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, U8

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
SLACK_S = 0.1


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames at a constant rate and a mono waveform that start together.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        fps: frames per second; frame i covers [i / fps, (i + 1) / fps).
        waveform: (N,) float32, mono, about -1..1.
        rate: samples per second.
        name: file or generator name, for messages and sample ids.
    """

    frames: U8
    fps: float
    waveform: F32
    rate: int
    name: str

    @property
    def seconds(self) -> float:
        """Length that both streams cover."""
        return min(len(self.frames) / self.fps, len(self.waveform) / self.rate)

    def window(self, start_s: float, seconds: float) -> Clip:
        """Returns the part from `start_s`; a missing tail repeats the last frame and is silent."""
        if start_s < 0 or start_s >= self.seconds or seconds <= 0:
            raise BadInput(
                f"clip {self.name}: window at {start_s:g} s of {seconds:g} s lies outside its "
                f"{self.seconds:.2f} s; choose a start inside the clip"
            )
        first = round(start_s * self.fps)
        index = np.arange(first, first + round(seconds * self.fps))
        frames = self.frames[np.clip(index, 0, len(self.frames) - 1)]
        begin, length = round(start_s * self.rate), round(seconds * self.rate)
        part = self.waveform[begin : begin + length]
        waveform = np.zeros(length, dtype=np.float32)
        waveform[: len(part)] = part
        return Clip(frames, self.fps, waveform, self.rate, f"{self.name}#{start_s:g}s")

    def window_starts(self, seconds: float, hop_s: float) -> tuple[float, ...]:
        """Returns the starts of all windows; the last may lack up to `SLACK_S` at its end."""
        room = self.seconds + SLACK_S - seconds
        if room < 0:
            return ()
        return tuple(float(k * hop_s) for k in range(int(room / hop_s + 1e-9) + 1))
