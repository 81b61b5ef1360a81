"""Synthetic sounds: five patterns with random pitch, loudness and noise floor.

humming   steady tone                      chirping  tone that rises again and again
beeping   tone switched on and off         hissing   band of noise, half an octave or more
chiming   three steady partials (1, 1.26, 1.5: a major chord)
"""

import numpy as np
import numpy.typing as npt

from neurozsl.data.batch import F32, I64
from neurozsl.data.encoders.audio_features import RATE_HZ

SOUNDS = ("humming", "chirping", "beeping", "hissing", "chiming")
PITCH_HZ = (300.0, 2400.0)
LOUDNESS_RMS = (0.0125, 0.1)
CHORD = (1.0, 1.26, 1.5)
F64 = npt.NDArray[np.float64]


def render_sounds(rng: np.random.Generator, sound: I64, *, samples: int, noise: float) -> F32:
    """Returns (n, samples) float32 at 16 kHz; `rng` draws everything but the pattern.

    sound: (n,) index into `SOUNDS`. noise: deviation of the white noise floor over the sound's.
    """
    n = len(sound)
    time = np.arange(samples) / RATE_HZ
    pitch = _log_uniform(rng, PITCH_HZ, n)
    phase = rng.uniform(0.0, 2.0 * np.pi, n)
    beat_s = rng.uniform(0.25, 0.5, n)
    wave = np.empty((n, samples), dtype=np.float32)
    for i in range(n):
        name = SOUNDS[sound[i]]
        if name == "hissing":
            wave[i] = _noise_band(rng, pitch[i], samples)
        else:
            wave[i] = _tonal(name, time, pitch[i], phase[i], beat_s[i])
    wave /= np.sqrt(np.mean(wave**2, axis=1, keepdims=True))
    wave += np.float32(noise) * rng.standard_normal(wave.shape, dtype=np.float32)
    wave *= _log_uniform(rng, LOUDNESS_RMS, n).astype(np.float32)[:, None]
    return wave


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float], n: int) -> F64:
    low, high = bounds
    return np.exp(rng.uniform(np.log(low), np.log(high), n))


def _tonal(name: str, time: F64, pitch: float, phase: float, beat_s: float) -> F64:
    cycle = (time / beat_s + phase) % 1.0  # place within a beat, 0..1
    if name == "chirping":
        # instantaneous frequency pitch (0.7 + cycle): an octave and a quarter up, then back
        turns = (0.7 * cycle + 0.5 * cycle**2) * pitch * beat_s
        return np.sin(2.0 * np.pi * turns)
    tone = np.sin(2.0 * np.pi * pitch * time + phase)
    if name == "beeping":
        return tone * (cycle < 0.5)
    if name == "chiming":
        partials = (np.sin(2.0 * np.pi * pitch * part * time + phase * part) for part in CHORD)
        return sum(partials, start=np.zeros_like(time))
    return tone


def _noise_band(rng: np.random.Generator, pitch: float, samples: int) -> F64:
    """White noise kept between pitch / 1.3 and pitch * 1.3."""
    hertz = np.fft.rfftfreq(samples, 1.0 / RATE_HZ)
    inside = (hertz > pitch / 1.3) & (hertz < pitch * 1.3)
    spectrum = np.zeros(len(hertz), dtype=np.complex128)
    count = int(inside.sum())
    spectrum[inside] = rng.standard_normal(count) + 1j * rng.standard_normal(count)
    return np.fft.irfft(spectrum, samples)
