"""Synthetic codes for a chip, `(sample, step, channel)`."""

from __future__ import annotations

import numpy as np

from neurozsl.core.signals import ChipInput, InputCode


def binary_code(size: int) -> InputCode:
    """Spikes of `size` channels, each worth 1."""
    return InputCode(size, "binary", 1, False, 1.0)


def uniform(
    rng: np.random.Generator, code: InputCode, samples: int, steps: int, *, name: str = "x"
) -> ChipInput:
    """Every code that is allowed, each as often as the others."""
    codes = rng.integers(code.low, code.high + 1, (samples, steps, code.size))
    return ChipInput({name: codes}, {name: code})


def binary(rng: np.random.Generator, size: int, samples: int, steps: int, rate: float) -> ChipInput:
    """Spikes with the probability `rate`."""
    codes = (rng.random((samples, steps, size)) < rate).astype(np.int16)
    return ChipInput({"x": codes}, {"x": binary_code(size)})
