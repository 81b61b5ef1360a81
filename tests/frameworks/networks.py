"""Weights, parameters and input of a `Case`, drawn from its seed in numpy alone.

The frameworks build their networks from these values and the slow reference computes with the
same, so nothing is read back from a file to say what is true.

    dense    Linear(12, 16) - cell - Linear(16, 7) - cell
    conv     Conv2d(2, 4, 3) on 2x8x8, padding 1 - cell - pool or stride 2 - Linear(64, 6) - cell
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from tests.frameworks.cases import DRIVE, GRID, Case

Floats = npt.NDArray[np.float32]
Pool = Literal["average", "sum"]

SAMPLES: Final = 4
STEPS: Final = 50
RATE: Final = 0.3  # of input spikes per channel and step
SIDE: Final = 8  # of the image
DT_S: Final = 1e-3  # of Norse's cells, its default
# What stands between the convolution's neurons and the Linear; else the convolution has stride 2.
POOLS: Final[dict[str, Pool]] = {"spikingjelly": "average", "sinabs": "sum"}


@dataclass(frozen=True)
class Layer:
    """weight (out, in) or (out, in, 3, 3), bias (out); shape: of the neurons, without batch.

    unit: uniform values in 0..1 of the shape of the neurons, one array per name of a parameter.
    recurrent: (out, out), its bias, and the diagonal of a one-to-one recurrence.
    """

    weight: Floats
    bias: Floats
    shape: tuple[int, ...]
    stride: int
    unit: dict[str, Floats]
    recurrent: Floats
    recurrent_bias: Floats
    one_to_one: Floats

    def spread(self, name: str, low: float, high: float) -> Floats:
        """A parameter that differs between neurons, and whose mean is halfway."""
        values: Floats = (low + (high - low) * self.unit[name]).astype(np.float32)
        return values


@dataclass(frozen=True)
class Drawn:
    """spikes: 0/1 (samples, steps, ...). pool: 2x2 after the first layer's neurons."""

    spikes: npt.NDArray[np.uint8]
    layers: tuple[Layer, Layer]
    pool: Pool | None


def draw(case: Case) -> Drawn:
    """Everything of a case that is random, from its seed."""
    # The legacy generator: its streams are frozen, so a newer numpy draws the same networks.
    rng = np.random.RandomState(2 * case.seed + (case.topology == "conv"))
    conv = case.topology == "conv"
    inputs = (2, SIDE, SIDE) if conv else (12,)
    spikes = (rng.random_sample((SAMPLES, STEPS, *inputs)) < RATE).astype(np.uint8)
    pool = POOLS.get(case.writer) if conv else None
    stride = 2 if conv and pool is None else 1
    first = (4, SIDE // stride, SIDE // stride) if conv else (16,)
    second, mean = (6, 64) if conv else (7, 16), 0.08 / DRIVE[case.drive]
    layers = (
        _layer(rng, case, (4, 2, 3, 3) if conv else (16, 12), first, stride, 0.1),
        _layer(rng, case, second, second[:1], 1, mean),
    )
    return Drawn(spikes, layers, pool)


def _layer(
    rng: np.random.RandomState,
    case: Case,
    weights: tuple[int, ...],
    shape: tuple[int, ...],
    stride: int,
    mean: float,
) -> Layer:
    out, fan_in = weights[0], int(np.prod(weights[1:]))
    scale = case.gain * DRIVE[case.drive] * np.sqrt(12 / fan_in)

    def scaled(values: Any) -> Floats:
        if case.ties:
            return np.asarray(np.round(scale * values * GRID) / GRID, np.float32)
        return np.asarray(scale * values, np.float32)

    weight = rng.normal(0.0, 0.35, (out, fan_in))
    # Neurons whose weights sum to about `mean` each: none is held up or down by a constant rate.
    weight = (weight - weight.mean(axis=1, keepdims=True) + mean).reshape(weights)
    bias = rng.normal(0.05, 0.12, out)
    names = ("leak", "syn_leak", "theta")
    unit = {name: rng.random_sample(shape).astype(np.float32) for name in names}
    if case.ties:
        unit["theta"] = np.asarray(np.round(unit["theta"] * 2) / 2, np.float32)
    return Layer(
        scaled(weight),
        scaled(bias),
        shape,
        stride,
        unit,
        recurrent=scaled(rng.normal(0.0, 0.25, (out, out))),
        recurrent_bias=scaled(rng.normal(0.0, 0.1, out)),
        one_to_one=scaled(rng.normal(0.0, 0.4, out)),
    )
