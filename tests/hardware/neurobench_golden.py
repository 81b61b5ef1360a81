"""The network for which NeuroBench 2.3.0 printed golden values: formulas, and its neuron, slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def neurobench_network() -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Weights of 20-16-5 in sixteenths, and 12 samples of 8 steps."""

    def weight(out: int, fan_in: int, k: int) -> Floats:
        o, i = np.mgrid[:out, :fan_in]
        value = (((7 * o + 13 * i + k) % 17) - 6) / 16
        return np.where((o + 2 * i) % 5 == 0, 0.0, value)

    s, t, i = np.mgrid[:12, :8, :20]
    x = ((3 * s + 5 * t + 7 * i + s * i) % 11 < 4).astype(np.int64)
    return weight(16, 20, 1), weight(5, 16, 5), x


def leaky_like_snntorch(
    inputs: npt.NDArray[Any], weight: Floats, reset: str, bias: float = 0.0
) -> tuple[npt.NDArray[np.uint8], Floats]:
    """snnTorch's Leaky: beta 0.875, threshold 1, reset by what the membrane was a step before.

    Returns:
        Spikes and membranes after the step, which the reset of this step has not touched yet.
    """
    samples, steps, _ = inputs.shape
    spikes = np.zeros((samples, steps, len(weight)), np.uint8)
    membrane = np.zeros(spikes.shape)
    for s in range(samples):
        for n in range(len(weight)):
            m = 0.0
            for t in range(steps):
                current = float(np.dot(weight[n], inputs[s, t])) + bias
                fired_before = m > 1.0
                m = 0.875 * m * (0.0 if fired_before and reset == "zero" else 1.0) + current
                if fired_before and reset == "subtract":
                    m -= 1.0
                spikes[s, t, n], membrane[s, t, n] = m > 1.0, m
    return spikes, membrane
