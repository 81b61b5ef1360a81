"""What an encoder is: pictures, sound or names of classes -> vectors of one width.

A `LabelHead` is what a pretrained classifier says of its own vectors: linear layers up to its own
labels. What a data set notes of an encoder is `data/encoder_spec.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neurozsl.data.batch import F32, U8
from neurozsl.data.encoder_spec import EncoderSpec

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelHead:
    """Linear layers with ReLU between them, and the names of what the last one scores.

    Attributes:
        labels: a name per output; "" for an output whose name is not known.
        layers: (weight (out, in), bias (out,)) of each; none where the vector is the scores.
    """

    labels: tuple[str, ...]
    layers: tuple[tuple[F32, F32], ...]


@runtime_checkable
class VideoEncoder(Protocol):
    """Frames -> vectors. `shorter`, `side`: px of the resized shorter side, of the centre."""

    spec: EncoderSpec
    shorter: int
    side: int

    def frames(self, frames: U8) -> F32:
        """Returns (n, width) of (n, side, side, 3) RGB."""

    def head(self) -> LabelHead | None:
        """Its own classifier; None without."""


@runtime_checkable
class AudioEncoder(Protocol):
    """Sound -> vectors. `rate_hz`: of the waveform that it reads."""

    spec: EncoderSpec
    rate_hz: int

    def steps(self, waveform: F32, start_s: F64, step_s: float) -> F32:
        """Returns (m, width): one vector for each step [start, start + step_s) of (N,) samples."""

    def head(self) -> LabelHead | None:
        """Its own classifier; None without."""


@runtime_checkable
class TextEncoder(Protocol):
    """Names of classes, any words -> unit vectors."""

    spec: EncoderSpec

    def text(self, names: Sequence[str]) -> F32:
        """Returns (n, width), rows of length 1."""
