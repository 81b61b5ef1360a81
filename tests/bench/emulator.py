"""`emulator.*`: integers against the float32 forward pass of the same dense layers.

The float pass multiplies the same matrices, all steps at once, and has neither neurons nor
non-linearities: the least that a float network of this shape costs. `cuba` is the emulator where
less can be left out: synaptic memory, and decays so slow that clips have to be counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from neurozsl.core.signals import ChipInput
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.emulator.steps import Stepper
from neurozsl.hardware.loihi.program import Program
from tests.bench.measure import Ratio, side_by_side
from tests.bench.networks import DESCRIPTION, dense_network

# Input rate and share of nonzero weights where little arrives; layers spike about as often.
FEWER: Mapping[str, Mapping[str, Any]] = {
    "rate_5": {"rate": 0.05, "vth": 800},
    "rate_1": {"rate": 0.01, "vth": 540},
    "density_5": {"density": 0.05, "vth": 250},
    "density_5_rate_5": {"density": 0.05, "rate": 0.05, "vth": 180},
    "density_5_rate_1": {"density": 0.05, "rate": 0.01, "vth": 150},
}
LIMITS = {"rate_5": 0.12, "rate_1": 0.06, "density_5_rate_1": 0.05}


def measure() -> dict[str, Ratio]:
    """Batched, stepwise and with synaptic memory, over the float pass."""
    program, given = dense_network()
    cuba, _ = dense_network(du=1023, dv=410, vth=2500)
    weights = [torch.from_numpy(layer.weight).float() for layer in program.layers]
    x = torch.from_numpy(given.codes["x"]).float()
    few = {name: dense_network(**how) for name, how in FEWER.items()}

    def float32_dense() -> torch.Tensor:
        y = x
        for weight in weights:
            y = torch.nn.functional.linear(y, weight)
        return y

    with torch.inference_mode():
        seconds = side_by_side(
            {
                "float32_dense": float32_dense,
                "emulator": lambda: emulate(program, given),
                "stepwise": lambda: run_steps(program, given),
                "cuba": lambda: emulate(cuba, given),
                **{name: partial(emulate, *each) for name, each in few.items()},
            }
        )
    whole = emulate(program, given)
    steps = run_steps(program, given)
    if not all(np.array_equal(steps[name], whole.spikes[name]) for name in steps):
        raise AssertionError("the stepwise emulator differs from the batched one")
    details = {
        "network": DESCRIPTION,
        "milliseconds": {name: round(1e3 * s, 3) for name, s in seconds.items()},
        "spike_rates": whole.rates(),
        "cuba_spike_rates": emulate(cuba, given).rates(),
    }
    dense = seconds["float32_dense"]
    fewer = {
        f"emulator.{name}_vs_float32_dense": Ratio(
            seconds[name] / dense,
            "less",
            LIMITS.get(name),
            "",
            {"options": FEWER[name], "spike_rates": emulate(*each).rates()},
        )
        for name, each in few.items()
    }
    return {
        **fewer,
        "emulator.vs_float32_dense": Ratio(seconds["emulator"] / dense, "less", 0.3, "", details),
        "emulator.stepwise_vs_float32_dense": Ratio(seconds["stepwise"] / dense, "less"),
        "emulator.cuba_vs_float32_dense": Ratio(seconds["cuba"] / dense, "less"),
    }


def run_steps(program: Program, given: ChipInput) -> dict[str, np.ndarray]:
    """All steps one after the other, as a closed loop would."""
    stepper = Stepper(program, given.batch)
    found = [stepper.step({"x": given.codes["x"][:, t]}) for t in range(given.steps)]
    return {name: np.stack([step[name] for step in found], axis=1) for name in found[0]}
