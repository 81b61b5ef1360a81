"""`Camera`: grey frames with times -> the events that an event camera would have sent.

A pixel sends an event when its log intensity has moved by a contrast threshold since its last one
(Lichtsteiner, Posch and Delbruck 2008). Between two frames log intensity is taken as a straight
line (ESIM; Rebecq, Gehrig and Scaramuzza, CoRL 2018), so every event has its own time. Sources of
noise and the numbers of the presets are those of v2e (Hu, Liu and Delbruck, CVPRW 2021):

    mismatch      thresholds of a pixel are normal around the nominal ones, at least 0.01
    photoreceptor a low-pass of first order of rate 2 pi f (I + 20) / 275: dark pixels are slow
    leakage       the reference of a pixel falls, which sends ON events at `leak_hz`; pixels start
                  at a random phase, so that the rate is the nominal one from the beginning
    shot noise    events at random times, ON and OFF alike, at `shot_hz` in the dark and a quarter
                  of it at full scale; they leave the reference where it is
    refractory    an event that follows a sent one of its pixel by less is not sent; as in ESIM, the
                  reference moves all the same

Crossings are solved for pixel by pixel (`camera_kernels`), so a step between frames is never cut
into smaller ones. All arithmetic is float64; a time stamp is the whole microsecond that has begun.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events import camera_kernels as kernels
from neurozsl.data.events import pixel_random as rnd
from neurozsl.data.events.camera_frames import Frame, timed_frames
from neurozsl.data.events.camera_kernels import F64, I64, Gap, PixelState
from neurozsl.data.events.packed_events import in_order, unpacked
from neurozsl.data.events.repairs import NONE
from neurozsl.data.events.stream import EventStream

FULL_SCALE: Final = 255.0
SMALLEST_THRESHOLD: Final = 0.01
LINEAR_BELOW: Final = 20.0  # DN; below it v2e's log mapping is a straight line through 0
DARKEST, SCALE = 20.0, 275.0  # of the photoreceptor: rate in the dark, and at full scale 1
BRIGHT_SHOTS: Final = 0.25  # shot noise at full scale, of that in the dark
_FIRST_ROOM: Final = 1 << 14

_BOUNDS: Final = {
    "threshold_on": (SMALLEST_THRESHOLD, 10.0),
    "threshold_off": (SMALLEST_THRESHOLD, 10.0),
    "mismatch": (0.0, 1.0),
    "refractory_s": (0.0, 10.0),
    "leak_hz": (0.0, 1e4),
    "shot_hz": (0.0, 1e4),
    "seed": (0, 2**62),
}


class _Room(NamedTuple):
    """Where the events of a gap are written."""

    packed: I64
    shares: F64 | None


class _Walked(NamedTuple):
    """The events of a gap in order of pixels; shares are empty where they were not asked for."""

    packed: I64
    shares: F64
    begin_us: float
    end_us: float
    shape: tuple[int, int]


@dataclass(frozen=True)
class Camera:
    """An event camera; one seed makes one sensor and one sequence of noise.

    Attributes:
        threshold_on, threshold_off: change of log intensity per event, 0.01 to 10.
        mismatch: standard deviation of the thresholds between pixels, in the same unit.
        refractory_s: time after an event in which its pixel sends none.
        leak_hz: ON events of a still pixel.
        shot_hz: noise events of a dark pixel, ON and OFF together.
        cutoff_hz: of the photoreceptor at full scale; 0 for none.
        log_eps: None for v2e's mapping, linear below a grey value of 20 and ln(I) above; else
            ln(I / 255 + log_eps).
        seed: of mismatch and noise.

    Raises:
        BadInput: a value outside its range.
    """

    threshold_on: float = 0.2
    threshold_off: float = 0.2
    mismatch: float = 0.0
    refractory_s: float = 0.0
    leak_hz: float = 0.0
    shot_hz: float = 0.0
    cutoff_hz: float = 0.0
    log_eps: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _BOUNDS.items():
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise BadInput(f"camera: {name} {value:g}; choose {lowest:g} to {highest:g}")
        if self.cutoff_hz != 0.0 and not 0.01 <= self.cutoff_hz <= 1e6:
            raise BadInput(
                f"camera: cutoff_hz {self.cutoff_hz:g}; choose 0.01 to 1e+06, or 0 for no filter"
            )
        if self.log_eps is not None and not 1e-6 <= self.log_eps <= 10.0:
            raise BadInput(f"camera: log_eps {self.log_eps:g}; choose 1e-06 to 10")

    def log_intensity(self, grey: F64) -> F64:
        """The logarithm that the pixels see of grey values, full scale 255."""
        if self.log_eps is not None:
            return np.log(grey / FULL_SCALE + self.log_eps)
        line = grey * (math.log(LINEAR_BELOW) / LINEAR_BELOW)
        return np.where(grey <= LINEAR_BELOW, line, np.log(np.maximum(grey, LINEAR_BELOW)))

    def rate_hz(self, grey: F64) -> F64:
        """2 pi times the cutoff of the photoreceptor, 1/s."""
        return (2.0 * math.pi * self.cutoff_hz) * ((grey + DARKEST) / SCALE)

    def shot_rate_hz(self, grey: F64) -> F64:
        """Shot noise events a second."""
        share = np.minimum(grey / FULL_SCALE, 1.0)
        return self.shot_hz * (1.0 - (1.0 - BRIGHT_SHOTS) * share)

    def events(
        self, frames: Iterable[Frame], times_s: Iterable[float], *, name: str = ""
    ) -> Iterator[EventStream]:
        """Yields the events between each frame and the one before, in order of time.

        The first frame sets the references and sends nothing. Memory is that of a frame, of six
        numbers a pixel and of the events of one gap. However the frames arrive, the events of a
        seed are the same.

        Args:
            frames: (H, W) each, uint8 or any real type; 0 is dark, 255 full scale.
            times_s: of each frame, rising.
            name: of the streams.

        Raises:
            BadInput: a frame of another shape or with values that are none, times that do not rise,
                or another number of times than of frames.
        """
        for found in self._walks(frames, times_s):
            height, width = found.shape
            events = in_order(found.packed, math.floor(found.begin_us), math.floor(found.end_us))
            yield _stream(events, width, height, name)

    def crossings(
        self, frames: Iterable[Frame], times_s: Iterable[float]
    ) -> Iterator[tuple[I64, I64, I64, F64]]:
        """Yields y, x, polarity and exact time, as a share of the gap, of each gap's events.

        They are those of `events`, in order of pixels.
        """
        for found in self._walks(frames, times_s, np.empty(_FIRST_ROOM)):
            y, x, polarity = unpacked(found.packed)
            yield y, x, polarity, found.shares

    def _walks(
        self, frames: Iterable[Frame], times_s: Iterable[float], shares: F64 | None = None
    ) -> Iterator[_Walked]:
        state: PixelState | None = None
        before_us = 0.0
        room = _Room(np.empty(_FIRST_ROOM, dtype=np.int64), shares)
        for lookup, grey, now_us, shape in timed_frames(frames, times_s):
            if state is None:
                state = self._first_state(self.log_intensity(grey)[lookup])
            else:
                gap = self._gap(before_us, now_us, grey)
                count, room = _walk(lookup, state, gap, shape[1], room)
                exact = np.empty(0) if room.shares is None else room.shares[:count]
                yield _Walked(room.packed[:count], exact, before_us, now_us, shape)
            before_us = now_us

    def _first_state(self, level: F64) -> PixelState:
        n = len(level)
        on = self._thresholds(self.threshold_on, rnd.ON_THRESHOLD, n)
        reference = level.copy()
        if self.leak_hz > 0.0:
            reference -= on * rnd.uniforms(rnd.key(self.seed, rnd.LEAK_PHASE), n)
        waiting = np.zeros(n)
        if self.shot_hz > 0.0:
            waiting = rnd.exponentials(rnd.key(self.seed, rnd.SHOT_NOISE), n)
        return PixelState(
            level=level,
            followed=level.copy(),
            reference=reference,
            on=on,
            off=self._thresholds(self.threshold_off, rnd.OFF_THRESHOLD, n),
            last_us=np.full(n, -np.inf),
            shot_left=waiting,
            shot_drawn=np.zeros(n, dtype=np.int64),
        )

    def _thresholds(self, mean: float, use: int, pixels: int) -> F64:
        if self.mismatch == 0.0:
            return np.full(pixels, mean)
        spread = self.mismatch * rnd.normals(rnd.key(self.seed, use), pixels)
        return np.maximum(mean + spread, SMALLEST_THRESHOLD)

    def _gap(self, start_us: float, end_us: float, grey: F64) -> Gap:
        """What is the same for all pixels; grey: the values that the tables are made for."""
        seconds = (end_us - start_us) * 1e-6
        none = np.empty(0)
        speeds = self.rate_hz(grey) * seconds if self.cutoff_hz else none
        return Gap(
            start_us=start_us,
            length_us=end_us - start_us,
            leaked=self.leak_hz * seconds,
            refractory_us=self.refractory_s * 1e6,
            filtered=self.cutoff_hz > 0.0,
            shot=self.shot_hz > 0.0,
            shot_key=rnd.key(self.seed, rnd.SHOT_NOISE),
            levels=self.log_intensity(grey),
            speeds=speeds,
            decays=np.exp(-speeds),
            hazards=self.shot_rate_hz(grey) * seconds if self.shot_hz else none,
        )


CLEAN: Final = Camera(mismatch=0.02)
DEFAULT: Final = Camera(
    mismatch=0.03, refractory_s=0.0005, leak_hz=0.01, shot_hz=0.001, cutoff_hz=300.0
)
NOISY: Final = Camera(mismatch=0.05, leak_hz=0.1, shot_hz=5.0, cutoff_hz=30.0)
PRESETS: Final = {"clean": CLEAN, "default": DEFAULT, "noisy": NOISY}


def _walk(
    lookup: npt.NDArray[Any], state: PixelState, gap: Gap, width: int, room: _Room
) -> tuple[int, _Room]:
    """The number of events of a gap, and the room that they lie in, which may have grown."""
    pixel, count = kernels.walk(lookup, state, gap, width, 0, 0, *room)
    while pixel < lookup.size:
        packed, shares = room
        room = _Room(
            np.concatenate((packed, np.empty_like(packed))),
            None if shares is None else np.concatenate((shares, np.empty_like(shares))),
        )
        pixel, count = kernels.walk(lookup, state, gap, width, pixel, count, *room)
    return count, room


def _stream(events: npt.NDArray[Any], width: int, height: int, name: str) -> EventStream:
    """A stream without the check of its events, which are right as they were made; a test holds it.

    The check would read each event nine times, about as long as it takes to make them.
    """
    events.flags.writeable = False
    stream = object.__new__(EventStream)
    values = {"events": events, "width": width, "height": height, "name": name, "repairs": NONE}
    for key, value in values.items():
        object.__setattr__(stream, key, value)
    return stream
