"""Sound -> one descriptor per step, with librosa: what is heard, how rough, how it changes.

In: waveforms (B, N) at 16 kHz. Out: (B, T, 212) float32, each entry about -2..2:

    64  log-mel energy, mean over the step (dB / 20)
    64  log-mel energy, standard deviation inside the step (dB / 10)
    64  slope of the log-mel mean over steps (central difference, dB / 10)
    14  mean and deviation in the step of: spectral flux, centroid, bandwidth, roll-off, flatness,
        zero-crossing rate, level (RMS in dB)
     6  spectral contrast in octave bands from 200 Hz (dB / 20)

All but the level are taken from the waveform divided by the RMS of its window, so that loudness
does not shift every band. Frames: 512 samples, hop 160 (10 ms), 64 mel bands up to 8 kHz.
"""

import librosa
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32

RATE_HZ = 16_000
FRAME = 512
HOP = 160
MEL_BANDS = 64
CONTRAST_BANDS = 5  # 200 Hz * 2**5 = 6.4 kHz, below the Nyquist frequency
AUDIO_DESCRIPTOR_DIM = 3 * MEL_BANDS + 2 * 7 + CONTRAST_BANDS + 1
RMS_FLOOR = 1e-4


def audio_descriptors(waveform: F32, *, steps: int) -> F32:
    """Returns one descriptor per step, (B, T, 212) float32, all finite.

    waveform: (B, N) float32 at 16 kHz; N samples span the window. steps: T of equal length in it.

    Raises:
        BadInput: a step is shorter than one hop of 10 ms.
    """
    if waveform.ndim != 2 or waveform.shape[1] < max(FRAME, steps * HOP):
        raise BadInput(
            f"waveform: shape {waveform.shape}, at least {max(FRAME, steps * HOP)} samples in "
            f"(batch, samples) are needed for {steps} steps; use a longer window or fewer steps"
        )
    rms = np.sqrt(np.mean(waveform**2, axis=1, keepdims=True))
    scaled = waveform / np.maximum(rms, RMS_FLOOR)
    spectrum = np.abs(librosa.stft(scaled, n_fft=FRAME, hop_length=HOP)).astype(np.float32)
    power = spectrum**2  # (B, 257, F)
    mel = librosa.feature.melspectrogram(S=power, sr=RATE_HZ, n_fft=FRAME, n_mels=MEL_BANDS)
    log_mel = librosa.power_to_db(mel, ref=1.0, amin=1e-4, top_db=None)  # (B, 64, F)
    mel_mean, mel_std = _per_step(log_mel, steps)
    scalars = _frame_scalars(waveform, scaled, spectrum, power, log_mel)  # (B, 7, F)
    scalar_mean, scalar_std = _per_step(scalars, steps)
    contrast = librosa.feature.spectral_contrast(
        S=spectrum[..., ::4], sr=RATE_HZ, n_bands=CONTRAST_BANDS, fmin=200.0
    )
    contrast_mean, _ = _per_step(contrast, steps)
    slope = np.gradient(mel_mean, axis=-1) if steps > 1 else np.zeros_like(mel_mean)
    rows = (
        mel_mean / 20.0,
        mel_std / 10.0,
        slope / 10.0,
        scalar_mean,
        scalar_std * 2.0,
        contrast_mean / 20.0,
    )
    return np.concatenate(rows, axis=1).transpose(0, 2, 1).astype(np.float32)


def _frame_scalars(waveform: F32, scaled: F32, spectrum: F32, power: F32, log_mel: F32) -> F32:
    """Seven numbers per frame, scaled to about -2..2: (B, 7, F)."""
    frames = spectrum.shape[-1]
    rise = np.maximum(np.diff(log_mel, axis=-1, prepend=log_mel[..., :1]), 0.0)
    flux = rise.mean(axis=1, keepdims=True) / 5.0
    # One normalised spectrum serves centroid, bandwidth and roll-off (librosa's definitions).
    hertz = np.fft.rfftfreq(FRAME, 1.0 / RATE_HZ).astype(np.float32)
    share = spectrum / np.maximum(spectrum.sum(axis=1, keepdims=True), 1e-9)
    centroid = np.einsum("f,bft->bt", hertz, share)[:, None]
    second = np.einsum("f,bft->bt", hertz**2, share)[:, None]
    bandwidth = np.sqrt(np.maximum(second - centroid**2, 0.0))
    below = np.cumsum(share, axis=1) < 0.85
    rolloff = hertz[np.minimum(below.sum(axis=1, keepdims=True), len(hertz) - 1)]
    level = np.maximum(power, 1e-10)
    log_flat = np.log(level).mean(axis=1, keepdims=True) - np.log(level.mean(axis=1, keepdims=True))
    crossing = librosa.feature.zero_crossing_rate(scaled, frame_length=FRAME, hop_length=HOP)
    rms = librosa.feature.rms(y=waveform, frame_length=FRAME, hop_length=HOP)
    level_db = 20.0 * np.log10(np.maximum(rms, RMS_FLOOR))
    parts = (
        flux,
        centroid / 2000.0,
        bandwidth / 1000.0,
        rolloff / 3000.0,
        log_flat / 4.0,
        crossing[..., :frames] * 4.0,
        level_db[..., :frames] / 20.0 + 2.0,
    )
    return np.concatenate(parts, axis=1)


def _per_step(values: F32, steps: int) -> tuple[F32, F32]:
    """Mean and deviation of (B, K, F) over the frames of each step: two (B, K, T)."""
    edges = np.round(np.linspace(0, values.shape[-1] - 1, steps + 1)).astype(np.int64)
    kept = values[..., : edges[-1]]
    size = np.diff(edges)
    wide = kept.astype(np.float64)
    mean = np.add.reduceat(wide, edges[:-1], axis=-1) / size
    square = np.add.reduceat(wide**2, edges[:-1], axis=-1) / size
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    return mean.astype(np.float32), deviation.astype(np.float32)
