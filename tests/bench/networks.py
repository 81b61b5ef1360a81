"""The network that the figures of the emulator are about: 512-512-512-64, T = 10, 256 samples."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.loihi.program import Program
from tests.factories.programs import program_layer

SIZES = (512, 512, 512, 64)
STEPS, SAMPLES, INPUT_RATE = 10, 256, 0.15
DESCRIPTION = "512-512-512-64, T 10, batch 256, 15 % input rate, 8-bit weights"


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights of eight bits, more of them positive than negative."""
    return (2 * np.clip(np.rint(rng.normal(1, 40, shape)), -127, 127)).astype(np.int16)


def _thinned(rng: np.random.Generator, weight: np.ndarray, density: float) -> np.ndarray:
    if density == 1:
        return weight
    return np.where(rng.random(weight.shape) < density, weight, 0).astype(weight.dtype)


def dense_network(
    samples: int = SAMPLES, *, rate: float = INPUT_RATE, density: float = 1.0, **changes: Any
) -> tuple[Program, ChipInput]:
    """Random weights, LIF with kappa 0.5, spike rates between 5 and 20 % in every layer.

    rate: of the input. density: share of the weights that are not zero.
    """
    rng = np.random.default_rng(0)
    code = InputCode(SIZES[0], "binary", 1, False, 1.0)
    layers, source = [], "x"
    for depth, (width, out) in enumerate(pairwise(SIZES)):
        values: dict[str, Any] = {
            "weight": _thinned(rng, whole(rng, out, width), density),
            "bias_mant": rng.integers(-64, 65, out).astype(np.int32),
            "bias_exp": 6,
            "vth": 1100,
        }
        layers.append(program_layer(f"layer{depth}", source, **{**values, **changes}))
        source = f"layer{depth}"
    program = Program("loihi2", {"x": code}, tuple(layers), (source,), STEPS, 1e-3, "frozen")
    codes = (rng.random((samples, STEPS, SIZES[0])) < rate).astype(np.int16)
    return program, ChipInput({"x": codes}, {"x": code})
