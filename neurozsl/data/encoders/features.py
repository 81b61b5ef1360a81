"""The one way from a `Clip` to model inputs, used for generated and for real clips alike.

    clip -> local descriptors -> fixed sparse projection to 256
         -> standardise on train -> relu(x + 0.5)

`describe` is free of statistics; `FeatureEncoder` holds the statistics of the training split and
lives in the data set's meta, so that a clip that arrives later is encoded the same way. The
projections are sparse and local (each output reads six entries around one place of the image, or
around one band of the spectrum): a change of one output says where something moved.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import Kind, checked_object
from neurozsl.data.batch import F32, I64, U8, Split
from neurozsl.data.clip import Clip
from neurozsl.data.encoders import audio_features as audio
from neurozsl.data.encoders import visual_features as visual
from neurozsl.data.events.clip_events import pooled_events

FEATURE_DIM = 256
TAPS = 6  # entries that one output reads
SHIFT = 0.5  # relu(x + 0.5) keeps about 70 % of a unit-variance feature (facts: recipe, section 1)
PROJECTION_SEED = 20_251
ENCODER_SCHEMA = 1
_STATISTICS = ("audio_mean", "audio_scale", "video_mean", "video_scale")


@dataclass(frozen=True, eq=False)
class Described:
    """Projected descriptors of n clips before standardisation, and their pixel events.

    Attributes:
        audio: (n, T, 256) float32; of another width where a pretrained encoder made them.
        video: (n, T, 256) float32, likewise.
        events: (n, T, 512) uint8.
    """

    audio: F32
    video: F32
    events: U8

    @staticmethod
    def join(parts: Sequence[Described]) -> Described:
        """Returns the parts one after the other."""
        return Described(
            audio=np.concatenate([part.audio for part in parts]),
            video=np.concatenate([part.video for part in parts]),
            events=np.concatenate([part.events for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """relu((x - mean) / scale + 0.5) with the statistics of a training split.

    What a pretrained encoder made is divided by one number alone, its RMS, so that the head of that
    encoder can be applied to the features of the set.

    Attributes:
        steps: T, steps in a window.
        window_s: seconds of a window.
        audio_mean, audio_scale, video_mean, video_scale: (256,) float32, or of the width there is.
        pretrained: which of "audio" and "video" a pretrained encoder made: mean 0, one scale.
    """

    steps: int
    window_s: float
    audio_mean: F32
    audio_scale: F32
    video_mean: F32
    video_scale: F32
    pretrained: tuple[str, ...] = ()

    @staticmethod
    def fit(
        described: Described, *, window_s: float, pretrained: Sequence[str] = ()
    ) -> FeatureEncoder:
        """Returns the encoder whose outputs have unit variance (before the relu) on these clips."""
        moments = [
            (_root_mean_square if part in pretrained else _moments)(values)
            for part, values in (("audio", described.audio), ("video", described.video))
        ]
        steps = described.audio.shape[1]
        heard, shown = moments
        return FeatureEncoder(steps, window_s, *heard, *shown, pretrained=tuple(pretrained))

    def apply(self, described: Described) -> tuple[F32, F32]:
        """Returns audio and video features, (n, T, 256) float32 each.

        Not negative, but where a pretrained encoder gives negative values.
        """
        heard = (described.audio - self.audio_mean) / self.audio_scale
        shown = (described.video - self.video_mean) / self.video_scale
        return self._shifted("audio", heard), self._shifted("video", shown)

    def _shifted(self, part: str, values: F32) -> F32:
        return values if part in self.pretrained else np.maximum(values + SHIFT, 0.0)

    def split(self, name: str, described: Described, label: I64, names: Sequence[str]) -> Split:
        """Returns described clips as a split in which every step is real."""
        audio, video = self.apply(described)
        mask = np.ones(audio.shape[:2], dtype=np.bool_)
        return Split(name, audio, video, label, mask, tuple(names), described.events)

    def to_meta(self) -> dict[str, object]:
        """Returns a JSON-able form; `from_meta` reads it back exactly."""
        return {
            "schema": ENCODER_SCHEMA,
            "steps": self.steps,
            "window_s": self.window_s,
            **{name: getattr(self, name).tolist() for name in _STATISTICS},
            **({"pretrained": list(self.pretrained)} if self.pretrained else {}),
        }

    @staticmethod
    def from_meta(meta: Mapping[str, object]) -> FeatureEncoder:
        """Returns the encoder stored in a data set's meta.

        Raises:
            BadInput: the meta holds no encoder, one of another schema, or values that are none.
        """
        stored = meta.get("encoder")
        if not isinstance(stored, dict) or stored.get("schema") != ENCODER_SCHEMA:
            raise BadInput(
                f"data set meta: no feature encoder of schema {ENCODER_SCHEMA}; clips can only be "
                "encoded for data made by `neurozsl data synth` or `neurozsl data build`"
            )
        keys: dict[str, Kind] = {
            "steps": int,
            "window_s": float,
            **dict.fromkeys(_STATISTICS, list),
        }
        where, remedy = "data set meta: encoder", "make the set again"
        found = checked_object(stored, where, remedy=remedy, keys=keys)
        try:
            with np.errstate(over="ignore"):  # what leaves float32 is infinite below
                vectors = [np.asarray(found[name], dtype=np.float32) for name in _STATISTICS]
        except (TypeError, ValueError, OverflowError) as error:
            raise BadInput(f"{where}: statistics are no numbers ({error}); {remedy}") from error
        pretrained = stored.get("pretrained", [])
        if not isinstance(pretrained, list) or not set(pretrained) <= {"audio", "video"}:
            raise BadInput(f"{where}: pretrained is {pretrained!r}; {remedy}")
        shapes = [vector.shape for vector in vectors]
        alike = shapes[0] == shapes[1] and shapes[2] == shapes[3]
        if not pretrained:  # both are projected to one width
            alike = alike and shapes[0] == shapes[2]
        if not alike or not all(np.isfinite(vector).all() for vector in vectors):
            raise BadInput(
                f"{where}: statistics of shapes {sorted(set(shapes))}, expected finite numbers of "
                f"one shape; {remedy}"
            )
        seconds = float(found["window_s"])
        mean_a, scale_a, mean_v, scale_v = vectors
        return FeatureEncoder(
            found["steps"], seconds, mean_a, scale_a, mean_v, scale_v, tuple(pretrained)
        )


def describe(clips: Sequence[Clip], *, steps: int) -> Described:
    """Returns projected descriptors and pooled pixel events of clips of equal shape.

    clips: n of one window each, all with the same frame count, size and samples. steps: T; the
    frame nearest to the middle of a step stands for the step.

    Raises:
        BadInput: wrong audio rate, or fewer frames than steps.
    """
    first = clips[0]
    if first.rate != audio.RATE_HZ:
        raise BadInput(
            f"clip {first.name}: {first.rate} Hz sound, {audio.RATE_HZ} Hz is needed; resample it"
        )
    if len(first.frames) < steps:
        raise BadInput(
            f"clip {first.name}: {len(first.frames)} frames for {steps} steps; use a longer "
            "window, a higher frame rate or fewer steps"
        )
    frames = np.stack([clip.frames for clip in clips])  # (n, F, H, W, 3)
    middle = ((np.arange(steps) + 0.5) * (frames.shape[1] / steps)).astype(np.int64)
    shown = frames[:, middle]
    return Described(
        audio=audio_features(np.stack([clip.waveform for clip in clips]), steps=steps),
        video=visual_features(shown.reshape(-1, *shown.shape[2:])).reshape(
            len(clips), steps, FEATURE_DIM
        ),
        events=np.stack([pooled_events(clip.frames, clip.fps, steps=steps) for clip in clips]),
    )


def audio_features(waveform: F32, *, steps: int) -> F32:
    """Returns (B, T, 256) projected descriptors of (B, N) waveforms at 16 kHz."""
    return audio.audio_descriptors(waveform, steps=steps) @ audio_projection()


def visual_features(frames: U8) -> F32:
    """Returns (n, 256) projected descriptors of (n, H, W, 3) frames."""
    return visual.visual_descriptors(frames).reshape(len(frames), -1) @ visual_projection()


@functools.lru_cache(maxsize=1)
def visual_projection() -> F32:
    """(704, 256): each output reads six channels in the 3 x 3 cells around a random cell."""
    rng = np.random.default_rng((PROJECTION_SEED, 0))
    weights = np.zeros((visual.GRID, visual.GRID, visual.CHANNELS, FEATURE_DIM), dtype=np.float32)
    for out in range(FEATURE_DIM):
        centre = rng.integers(0, visual.GRID, size=2)
        near = centre + rng.integers(-1, 2, size=(TAPS, 2))
        y, x = np.clip(near, 0, visual.GRID - 1).T
        channel = rng.integers(0, visual.CHANNELS, size=TAPS)
        np.add.at(weights[..., out], (y, x, channel), _taps(rng))
    return weights.reshape(-1, FEATURE_DIM)


@functools.lru_cache(maxsize=1)
def audio_projection() -> F32:
    """(212, 256): each output reads four mel entries around one band and two other numbers."""
    rng = np.random.default_rng((PROJECTION_SEED, 1))
    mel = audio.MEL_BANDS
    weights = np.zeros((audio.AUDIO_DESCRIPTOR_DIM, FEATURE_DIM), dtype=np.float32)
    for out in range(FEATURE_DIM):
        band = np.clip(rng.integers(0, mel) + rng.integers(-3, 4, size=TAPS - 2), 0, mel - 1)
        rows = band + mel * rng.integers(0, 3, size=TAPS - 2)
        others = rng.integers(3 * mel, audio.AUDIO_DESCRIPTOR_DIM, size=2)
        np.add.at(weights[:, out], np.concatenate((rows, others)), _taps(rng))
    return weights


def _taps(rng: np.random.Generator) -> F32:
    taps: F32 = (rng.standard_normal(TAPS) / np.sqrt(TAPS)).astype(np.float32)
    return taps


def _root_mean_square(values: F32) -> tuple[F32, F32]:
    """Mean 0, and one scale for all."""
    width = values.shape[-1]
    size = float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))
    scale = np.full(width, size if size > 1e-6 else 1.0, np.float32)
    return np.zeros(width, np.float32), scale


def _moments(values: F32) -> tuple[F32, F32]:
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    # A constant feature carries nothing: scale 1 leaves it at relu(0 + 0.5).
    scale = flat.std(axis=0)
    scale[scale < 1e-6] = 1.0
    return flat.mean(axis=0).astype(np.float32), scale.astype(np.float32)
