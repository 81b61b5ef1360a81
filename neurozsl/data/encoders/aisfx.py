"""aisfx: sound -> 512 features a step, and scores of categories of sound effects.

Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries", ISMIR
2022. In: mono sound at 44.1 kHz. Log-mel energies log10(1e4 x + 1) / 9.4578 of 96 bands (HTK scale,
each band's weights sum to 1), 2048 samples every 1024; four blocks of two 3 x 3 convolutions, each
with BatchNorm and ReLU, the first three blocks with a 2 x 2 maximum behind them; the mean over
bands. The network then takes the maximum over the time of a block of 100 frames (2.3 s). Here the
convolutions run once over the whole sound, and a step takes the maximum over its own frames of
0.19 s: the maximum over the steps of a window is what the network makes of it, and time is kept.

The head: the package holds nine classifiers and the names of no class. The outputs of the one taken
here (`soundlyTrain`, 79) are categories of the Universal Category System in alphabetical order: the
outputs of three of the classifiers on real clips align one to one in this order, and dogs,
crowds, pianos, voices, guns, water and engines come out at their places. The list has 82 names; of
the three outputs between FIREWORKS and GLASS it cannot be told which they are, so they have none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from neurozsl.data.batch import F32
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders import folder
from neurozsl.data.encoders.base import F64, LabelHead
from neurozsl.data.encoders.packages import Packaged, Pin, member

NAME: Final = "aisfx"
REVISION: Final = 1  # of the code below; counts in the digest
RATE_HZ: Final = 44_100
FRAME, HOP, BANDS = 2048, 1024, 96
LARGEST: Final = 9.457798957824707  # log-mel energy that the authors divide by
WIDTH: Final = 512
STRIDE: Final = 8  # frames of the spectrogram behind one of the convolutions
MARGIN: Final = 32  # frames that a value sees on either side (30), in whole strides
AT_ONCE: Final = 512  # frames; bounds memory
HEAD: Final = 1  # `soundlyTrain` of its nine classifiers
LABELS: Final = (
    "air, aircraft, alarms, ambience, animals, beeps, bells, birds, boats, bullets, cartoon, "
    "ceramics, chains, chemicals, clocks, cloth, communications, computers, creatures, crowds, "
    "designed, destruction, dirt and sand, doors, drawers, electricity, equipment, explosions, "
    "farts, fight, fire, fireworks, , , , glass, gore, guns, horns, human, ice, lasers, leather, "
    "liquid and mud, machines, magic, mechanical, metal, motors, movement, musical, natural "
    "disaster, objects, paper, plastic, rain, robots, rocks, rope, rubber, scifi, snow, sports, "
    "swooshes, tools, toys, trains, user interface, vegetation, vehicles, voices, water, weapons, "
    "weather, whistles, wind, windows, wings, wood"
)
_WEIGHTS = "weights.safetensors"


class AiSFX:
    """The network; keeps the contract `AudioEncoder`."""

    rate_hz = RATE_HZ

    def __init__(self, weights: Mapping[str, Tensor], digest: str) -> None:
        """weights: as the checkpoint names them."""
        self._convolutions = [
            [_folded(weights, f"embedding_net.conv_block{block}.", part) for part in (1, 2)]
            for block in (1, 2, 3, 4)
        ]
        self._layers = tuple(
            (weights[f"fc.{HEAD}.{n}.weight"].numpy(), weights[f"fc.{HEAD}.{n}.bias"].numpy())
            for n in (0, 2, 4)
        )
        self._labels = tuple(text.strip() for text in LABELS.split(","))
        self.spec = EncoderSpec(
            NAME,
            "audio",
            WIDTH,
            digest,
            licence="CC-BY-4.0",
            source="PyPI: aisfx 0.1.2 (Ma and Lerch 2022)",
            labels=len(self._labels),
            layers=(WIDTH, *(len(bias) for _, bias in self._layers)),
            pool="max",
        )

    def steps(self, waveform: F32, start_s: F64, step_s: float) -> F32:
        """Returns (m, 512): the maximum over the frames that a step touches."""
        with torch.no_grad():
            seen = np.concatenate(list(self.frames(waveform)))  # (k, 512)
        first = np.floor(start_s * RATE_HZ / HOP / STRIDE + 1e-6).astype(np.int64)
        last = np.ceil((start_s + step_s) * RATE_HZ / HOP / STRIDE - 1e-6).astype(np.int64)
        rows = [
            seen[min(a, len(seen) - 1) : max(b, a + 1)].max(axis=0)
            for a, b in zip(first, last, strict=True)
        ]
        return np.stack(rows) if rows else np.zeros((0, WIDTH), np.float32)

    def head(self) -> LabelHead:
        """The categories of sound effects."""
        return LabelHead(self._labels, self._layers)

    def frames(self, waveform: F32) -> Iterator[F32]:
        """Yields (k, 512): the features of 8 frames of the spectrogram each, some at a time."""
        count = -(-max(1, len(waveform) // HOP + 1) // STRIDE) * STRIDE
        for start in range(0, count, AT_ONCE):
            stop = min(start + AT_ONCE, count)
            low, high = max(0, start - MARGIN), min(count, stop + MARGIN)
            x = torch.from_numpy(log_mel(waveform, low, high))[None, None]
            for number, block in enumerate(self._convolutions):
                for weight, bias in block:
                    x = functional.relu_(functional.conv2d(x, weight, bias, padding=1))
                if number < 3:
                    x = functional.max_pool2d(x, 2)
            features = x.mean(dim=3)[0].T.numpy()  # (frames / 8, 512)
            begin = (start - low) // STRIDE
            yield features[begin : begin + (stop - start) // STRIDE]


def log_mel(waveform: F32, first: int, last: int) -> F32:
    """Frames first..last of the spectrogram, (last - first, 96); outside of the sound is silence.

    Frame k is centred at sample 1024 k.
    """
    begin = first * HOP - FRAME // 2
    samples = np.zeros((last - first - 1) * HOP + FRAME, np.float32)
    inside = waveform[max(0, begin) : begin + len(samples)]
    at = max(0, -begin)
    samples[at : at + len(inside)] = inside
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * _window(), axis=1)).astype(np.float32) ** 2
    energies: F32 = (np.log10(power @ _bands() * 1e4 + 1) / LARGEST).astype(np.float32)
    return energies


@functools.lru_cache(maxsize=1)
def _window() -> F32:
    """Hann, periodic."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


@functools.lru_cache(maxsize=1)
def _bands() -> F32:
    """(1025, 96): triangles of the HTK mel scale up to the Nyquist frequency, each of sum 1."""
    from librosa.filters import mel as mel_bands

    bands = mel_bands(
        sr=RATE_HZ, n_fft=FRAME, n_mels=BANDS, fmin=0.0, fmax=RATE_HZ / 2, htk=True, norm=1.0
    )
    weights: F32 = np.ascontiguousarray(bands.T)
    return weights


def _folded(weights: Mapping[str, Tensor], block: str, part: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the BatchNorm behind it in them."""
    norm = f"{block}bn{part}"
    gain = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + 1e-5)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return weights[f"{block}conv{part}.weight"] * gain[:, None, None, None], bias


# ---------------------------------------------------------------- its folder


def _make(wheels: Mapping[str, Path], out: Path) -> None:
    """The checkpoint is read with `weights_only`; one type beside tensors is let in.

    It holds the numbers of its data sets as scalars of numpy, whose type and value make nothing
    run. They are not kept.
    """
    scalar = np.int64(0).__reduce__()[0]
    old = "numpy.core.multiarray.scalar"  # as numpy 1 wrote it
    allowed: list[Any] = [(scalar, old), np.dtype, type(np.dtype(np.int64))]
    with torch.serialization.safe_globals(allowed):
        state, _ = torch.load(
            BytesIO(member(wheels[PIN.package], "aisfx/models/checkpoint.pth")),
            map_location="cpu",
            weights_only=True,
        )
    kept = {
        key: value.contiguous()
        for key, value in state.items()
        if key.startswith(("embedding_net.", f"fc.{HEAD}."))
    }
    save_file(kept, out / _WEIGHTS)
    licence = member(wheels[PIN.package], "aisfx-0.1.2.dist-info/licenses/LICENSE")
    (out / "LICENSE").write_bytes(licence)


def _open() -> AiSFX:
    there = folder.require(NAME, PACKAGED.packages)
    weights = there.file(_WEIGHTS)
    return AiSFX(load_file(weights), there.digest((_WEIGHTS,), REVISION))


PIN: Final = Pin(
    "aisfx",
    "0.1.2",
    "bfe219950715af179e9a1653e7117cc1852baef267cd6596c42cad74afe1d194",
    23_140_952,
    "weights",
    "CC-BY-4.0",
)
PACKAGED: Final = Packaged(NAME, "audio", (PIN,), _make, _open)
