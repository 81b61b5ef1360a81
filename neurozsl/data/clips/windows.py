"""A clip -> windows -> descriptors, or a batch that a trained model can read."""

from dataclasses import dataclass

import numpy as np
import torch

from neurozsl.cluster.tasks import one_thread
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch, ZSLData
from neurozsl.data.clip import Clip
from neurozsl.data.encoders.features import Described, FeatureEncoder, describe

MIN_STEPS = 10
WINDOWS_AT_ONCE = 16  # described together; bounds memory for long clips


@dataclass(frozen=True)
class WindowSpec:
    """How clips are cut: windows of `window_s` every `hop_s`, each of `steps` equal steps."""

    window_s: float = 2.0
    hop_s: float = 1.0
    steps: int = MIN_STEPS

    def __post_init__(self) -> None:
        if not 0.2 <= self.window_s <= 60.0:
            raise BadInput(f"window: {self.window_s} s; choose 0.2 to 60 s")
        if not 0.05 <= self.hop_s <= 60.0:
            raise BadInput(f"hop: {self.hop_s} s; choose 0.05 to 60 s")
        if self.steps < MIN_STEPS or self.window_s / self.steps < 0.05:
            raise BadInput(
                f"steps: {self.steps} in {self.window_s:g} s; at least {MIN_STEPS} steps of at "
                "least 0.05 s are needed; change --steps or --window"
            )


def encode_clip(
    clip: Clip, data: ZSLData | FeatureEncoder, *, hop_s: float = 1.0, label: int = -1
) -> AVBatch:
    """Returns all windows of a clip, encoded as the data set's own clips were.

    clip: with 16 kHz sound, at least one window long. data: its meta holds the encoder, or the
    encoder itself. hop_s: distance of window starts. label: class id to note, -1 for unknown.

    Raises:
        BadInput: the clip is shorter than a window, or the set has pretrained encoders.
    """
    encoder = data if isinstance(data, FeatureEncoder) else FeatureEncoder.from_meta(data.meta)
    if encoder.pretrained:
        raise BadInput(
            f"{clip.name}: the set's {' and '.join(encoder.pretrained)} features come from "
            "pretrained encoders, which read the file itself; use `nz.predictor(run)`, or "
            "`encoders_of(data.meta).encode(path)`"
        )
    with one_thread():  # as the set's own were: other numbers of threads sum in another order
        described, _ = describe_windows(clip, WindowSpec(encoder.window_s, hop_s, encoder.steps))
    return batch_of(described, encoder, label)


def batch_of(described: Described, encoder: FeatureEncoder, label: int = -1) -> AVBatch:
    """The windows of a clip as a model reads them; encoder: that of the finished set."""
    audio, video = encoder.apply(described)
    n = len(audio)
    return AVBatch(
        audio=torch.from_numpy(audio),
        video=torch.from_numpy(video),
        mask=torch.ones((n, encoder.steps), dtype=torch.bool),
        label=torch.full((n,), label, dtype=torch.int64),
        events=torch.from_numpy(described.events.astype(np.float32)),
    )


def describe_windows(clip: Clip, spec: WindowSpec) -> tuple[Described, tuple[str, ...]]:
    """Returns descriptors and names of all windows of a clip.

    Raises:
        BadInput: the clip is shorter than a window.
    """
    starts = clip.window_starts(spec.window_s, spec.hop_s)
    if not starts:
        raise BadInput(
            f"{clip.name}: too short ({clip.seconds:.2f} s, at least {spec.window_s:g} s); "
            "use a longer clip or a shorter --window"
        )
    parts = []
    for begin in range(0, len(starts), WINDOWS_AT_ONCE):
        chosen = starts[begin : begin + WINDOWS_AT_ONCE]
        cut = [clip.window(start, spec.window_s) for start in chosen]
        parts.append(describe(cut, steps=spec.steps))
    return Described.join(parts), tuple(f"{clip.name}#{start:g}s" for start in starts)
