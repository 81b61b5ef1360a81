"""`emulator.conv_vs_float32_conv`: integers against the float32 pass of the same convolutions.

The float pass is torch's conv2d and linear on all steps at once, without neurons or
non-linearities, run with maps as torch stores them by default and channels last: the ratio is over
the faster of the two.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.network.synapse import Conv, Link
from tests.bench.emulator import run_steps
from tests.bench.measure import Ratio, side_by_side
from tests.bench.networks import whole
from tests.factories.programs import program_layer

STEPS, SAMPLES, INPUT_RATE = 10, 32, 0.1
# channels, height, width read; channels made; stride. All kernels are 3 x 3 with padding 1.
CONVS = (((2, 34, 34), 16, 1), ((16, 34, 34), 16, 2), ((16, 17, 17), 32, 1))
CLASSES = 10
DESCRIPTION = "2x34x34 - 16c3 - 16c3 stride 2 - 32c3 - 10, T 10, batch 32, 10 % input rate"


def conv_network() -> tuple[Program, ChipInput]:
    """Random 8-bit kernels, LIF with kappa 0.5, thresholds such that every layer spikes."""
    rng = np.random.default_rng(0)
    code = InputCode(2 * 34 * 34, "binary", 1, False, 1.0)
    layers, source = [], "x"
    for i, (shape, channels, stride) in enumerate(CONVS):
        conv = Conv(shape, (stride, stride), (1, 1, 1, 1))
        weight = whole(rng, channels, shape[0], 3, 3)
        layers.append(
            program_layer(f"conv{i}", source, weight, vth=200 + 200 * min(i, 1), link=Link(conv))
        )
        source = f"conv{i}"
    weight = whole(rng, CLASSES, layers[-1].size)
    layers.append(program_layer("out", source, weight, vth=4000))
    program = Program("loihi2", {"x": code}, tuple(layers), ("out",), STEPS, 1e-3, "frozen")
    codes = (rng.random((SAMPLES, STEPS, code.size)) < INPUT_RATE).astype(np.int16)
    return program, ChipInput({"x": codes}, {"x": code})


def measure() -> dict[str, Ratio]:
    """Batched and stepwise, over the float pass."""
    program, given = conv_network()
    *convs, out = [torch.from_numpy(layer.weight).float() for layer in program.layers]
    x = torch.from_numpy(given.codes["x"]).float().reshape(-1, *CONVS[0][0])
    last = x.contiguous(memory_format=torch.channels_last)

    def float32_conv(y: torch.Tensor) -> torch.Tensor:
        for weight, (_, _, stride) in zip(convs, CONVS, strict=True):
            y = functional.conv2d(y, weight, None, stride, 1)
        return functional.linear(y.reshape(len(y), -1), out)

    with torch.inference_mode():
        seconds = side_by_side(
            {
                "float32_conv": lambda: float32_conv(x),
                "float32_conv_channels_last": lambda: float32_conv(last),
                "emulator": lambda: emulate(program, given),
                "stepwise": lambda: run_steps(program, given),
            },
            rounds=5,
            repeats=3,
        )
    whole = emulate(program, given)
    steps = run_steps(program, given)
    if not all(np.array_equal(steps[name], whole.spikes[name]) for name in steps):
        raise AssertionError("the stepwise emulator differs from the batched one")
    details = {
        "network": DESCRIPTION,
        "milliseconds": {name: round(1e3 * s, 3) for name, s in seconds.items()},
        "spike_rates": whole.rates(),
        "vs_default_layout": seconds["emulator"] / seconds["float32_conv"],
    }
    fastest = min(seconds["float32_conv"], seconds["float32_conv_channels_last"])
    return {
        "emulator.conv_vs_float32_conv": Ratio(
            seconds["emulator"] / fastest, "less", 1.5, "", details
        ),
        "emulator.conv_stepwise_vs_float32_conv": Ratio(seconds["stepwise"] / fastest, "less"),
    }
