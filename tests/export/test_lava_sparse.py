"""Lava's `Sparse` Process for synapses of mostly zeros: the emulator's spikes, bit for bit.

Each case is an input of its own with one layer behind it, so that one worker runs them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.export.backends.lava.run import run_lava
from neurozsl.hardware.arithmetic.quantize import dequantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from tests.factories.programs import program_layer

STEPS, SAMPLES = 7, 5
BINARY = InputCode(20, "binary", 1, False, 1.0)
TERNARY = InputCode(20, "ternary", 1, True, 1.0)
GRADED = InputCode(20, "graded", 6, False, 1.0)
SIGNED = InputCode(20, "graded", 6, True, 1.0)


def _few(seed: int, shape: tuple[int, int], share: float = 0.1, **draw: int) -> Any:
    """Even integers, `share` of them (one at least) not zero."""
    rng = np.random.default_rng(seed)
    weight = 2 * rng.integers(draw.get("low", -128), draw.get("high", 128), shape)
    return (weight * (rng.random(shape) < share)).astype(np.int16)


def _with_empty_lines(seed: int) -> Any:
    weight = _few(seed, (16, 20), 0.3)
    weight[[0, 7, 15]] = 0
    weight[:, [0, 9, 19]] = 0
    return weight


_NOTHING = np.zeros((16, 20), np.int16)
_LONE = np.zeros((16, 20), np.int16)
_LONE[3, 4] = -254
# name: (code, weight, changes of the layer)
SPARSE: dict[str, tuple[InputCode, Any, dict[str, Any]]] = {
    "mixed": (BINARY, _few(0, (16, 20)), {}),
    "negative": (SIGNED, _few(1, (16, 20), low=-128, high=0), {}),
    "positive": (GRADED, _few(2, (16, 20), low=1), {}),
    "ternary": (TERNARY, _few(3, (16, 20)), {}),
    "signed": (SIGNED, _few(4, (16, 20)), {"du": 1000}),
    "shifted left": (SIGNED, _few(5, (16, 20)), {"weight_exp": 3, "vth": 900}),
    "shifted right": (SIGNED, _few(6, (16, 20)), {"weight_exp": -3, "vth": 30}),
    "six bits": (SIGNED, (8 * (_few(7, (16, 20)) // 8)).astype(np.int16), {"weight_bits": 6}),
    "empty lines": (GRADED, _with_empty_lines(8), {}),
    "one weight": (SIGNED, _LONE, {}),
    "nothing": (BINARY, _NOTHING, {"bias_mant": np.arange(16) * 240, "bias_exp": 1}),
    "one neuron": (SIGNED, _few(9, (1, 20), 0.3), {}),
    "into the current": (
        TERNARY,
        _few(10, (16, 20)),
        {"bias_to": "current", "bias_exp": 7, "bias_mant": np.arange(-8, 8)},
    ),
    "wide": (InputCode(300, "graded", 4, True, 1.0), _few(11, (128, 300), 0.05), {}),
}
# A weight of a list takes 8 + 4 bits for 16 neurons, so above two thirds the matrix is smaller.
DENSE: dict[str, tuple[InputCode, Any, dict[str, Any]]] = {
    "full": (SIGNED, _few(12, (16, 20), 1.0), {}),
    "one input": (InputCode(1, "graded", 6, True, 1.0), _few(13, (16, 1), 1.0), {}),
}


def _network(cases: dict[str, tuple[InputCode, Any, dict[str, Any]]]) -> tuple[Program, ChipInput]:
    """One layer a case, and a second of few weights behind the first case."""
    rng = np.random.default_rng(20)
    layers: list[ProgramLayer] = []
    codes, inputs = {}, {}
    for name, (code, weight, changes) in cases.items():
        inputs[f"in {name}"] = code
        codes[f"in {name}"] = rng.integers(code.low, code.high + 1, (SAMPLES, STEPS, code.size))
        given = {"vth": 150, "bias_mant": rng.integers(-90, 90, len(weight))} | changes
        layers.append(program_layer(name, f"in {name}", weight, **given))
    layers.append(program_layer("behind", "mixed", _few(30, (12, 16), 0.3), vth=40))
    program = Program("loihi2", inputs, tuple(layers), ("behind",), STEPS, 1e-3, "frozen")
    return program, ChipInput(codes, inputs)


@pytest.fixture(scope="module", name="run")
def _run(lava: Path) -> tuple[Program, ChipInput, Trace]:
    program, chip = _network(SPARSE | DENSE)
    return program, chip, run_lava(program, chip)


@pytest.mark.lava
@pytest.mark.parametrize("name", [*SPARSE, *DENSE, "behind"])
def test_a_sparse_process_gives_the_spikes_of_the_emulator(
    name: str, run: tuple[Program, ChipInput, Trace]
) -> None:
    program, chip, found = run
    wanted = emulate(program, chip).spikes[name]
    assert np.array_equal(found.spikes[name], wanted)
    assert wanted.any()
    kind = "Dense" if name in DENSE else "Sparse"
    source = "mixed" if name == "behind" else f"in {name}"
    assert found.processes[name] == (f"{source}: {kind}",)


@pytest.mark.lava
def test_float_weights_stay_dense_because_their_sums_round_in_order(
    run: tuple[Program, ChipInput, Trace],
) -> None:
    program, chip, _ = run
    lowered = dequantize(program)
    found = run_lava(lowered, chip)
    assert {x.rsplit(": ")[-1] for row in found.processes.values() for x in row} == {"Dense"}
    wanted = simulate(lowered, chip).spikes
    assert all(np.array_equal(found.spikes[name], wanted[name]) for name in wanted)
