import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.dequantize import dequantize_input
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import accumulator_bound
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.ranges import value_ranges
from tests.factories import networks
from tests.factories.inputs import uniform
from tests.factories.networks import lowered_layer

CODE = InputCode(40, "graded", 4, False, 2.0**-4)


layer = partial(lowered_layer, "a", "x", leak=0.5, threshold=0.5)


network = partial(networks.lowered, code=CODE, policy="frozen")


def three_layers(
    rng: np.random.Generator, *, kappa: float = 0.5, code: InputCode = CODE, gain: float = 3.0
) -> Lowered:
    made, source, width = [], "x", code.size
    for name, out in (("a", 48), ("b", 32), ("c", 16)):
        weight = rng.normal(0, gain * kappa / math.sqrt(width), (out, width))
        made.append(
            replace(
                layer(weight, bias=rng.normal(0, 0.05, out), leak=np.full(out, kappa)),
                name=name,
                source=source,
            )
        )
        source, width = name, out
    return network(*made, code=code)


def test_one_layer_by_hand() -> None:
    # max |W scale| = 1.0 x 0.25, so one weight level (2) is 0.25 / 127 and the unit half of it.
    code = InputCode(2, "graded", 4, False, 0.25)
    lowered = network(
        layer([[1.0, -0.5]], bias=np.array([0.1]), threshold=np.array([0.3])), code=code
    )
    made = quantize(lowered, "loihi2").layers[0]
    unit = 0.25 / 254
    assert made.unit == pytest.approx(unit, rel=1e-12)
    assert made.weight.tolist() == [[254, -128]]  # 63.5 levels round to even: 64
    assert made.vth == round(0.3 / unit) == 305
    assert made.bias_mant.tolist() == [round(0.1 * 64 / unit / 2)]
    assert (made.bias_exp, made.du, made.dv, made.weight_exp) == (1, 4095, 2048, 0)


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_weights_lie_on_the_grid_of_their_bits(bits: int) -> None:
    rng = np.random.default_rng(bits)
    program = quantize(three_layers(rng), "loihi2", bits=bits)
    for made, loss in zip(program.layers, program.loss, strict=True):
        assert made.weight_bits == bits
        assert np.abs(made.weight).max() == (2 ** (bits - 1) - 1) * 2 ** (9 - bits)
        assert loss.effective_bits == pytest.approx(math.log2(2**bits - 1))
        assert loss.weight_clipped == 0
        assert 0 < loss.weight_rms_error < 2.0 ** (2 - bits)


@pytest.mark.parametrize(
    ("leak", "dv", "error"),
    [(0.0, 0, 0.0), (0.1, 410, -1 / 4096), (0.5, 2048, 0.0), (1.0, 4095, 1 / 4096)],
)
def test_membrane_decay_is_rounded_and_reported(leak: float, dv: int, error: float) -> None:
    program = quantize(network(layer(np.ones((2, 40)), leak=np.full(2, leak))), "loihi2")
    assert program.layers[0].dv == dv
    assert program.loss[0].kappa_error == pytest.approx(error, abs=1e-3)
    assert (program.loss[0].kappa_error == 0) == (error == 0)


@pytest.mark.parametrize(("syn", "du"), [(1.0, 4095), (0.5, 2047), (1e-9, 0)])
def test_current_decay_has_the_offset_of_one(syn: float, du: int) -> None:
    made = quantize(network(layer(np.ones((2, 40)), syn_leak=np.full(2, syn))), "loihi2")
    assert made.layers[0].du == du


def test_a_bias_into_the_current_lies_on_the_weight_grid() -> None:
    rng = np.random.default_rng(0)
    given = layer(rng.normal(0, 1, (3, 40)), bias=rng.normal(0, 0.2, 3), bias_to="current")
    given = replace(given, syn_leak=np.full(3, 0.25))
    program = quantize(network(given), "loihi2")
    made = program.layers[0]
    assert (made.bias_to, made.bias_exp) == ("current", 7)
    np.testing.assert_allclose(made.bias * made.unit / 64, given.bias, atol=made.unit)
    twin = dequantize(program)
    assert twin.layers[0].bias_to == "current"
    ci = uniform(rng, CODE, 32, 10)
    agree = emulate(program, ci).spikes["a"] == simulate(twin, ci).spikes["a"]
    assert agree.mean() > 0.999


@st.composite
def worst_cases(draw: st.DrawFn) -> tuple[Lowered, int, int]:
    kind: Any = draw(st.sampled_from(["graded", "ternary", "binary"]))
    bits = draw(st.integers(2, 10)) if kind == "graded" else 1
    width = draw(st.integers(1, 700))
    code = InputCode(width, kind, bits, draw(st.booleans()), 2.0 ** draw(st.integers(-8, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = rng.normal(draw(st.sampled_from([0.0, 1.0, -3.0])), 1.0, (3, width))
    weight[0] = draw(st.sampled_from([0.0, 1.0, -1.0]))
    theta = np.full(3, float(np.abs(weight).max()) * code.scale * 5 + 1e-9)
    bias_to = draw(st.sampled_from(["membrane", "current"]))
    lowered = network(
        layer(weight, threshold=theta, bias=rng.normal(0, 1, 3) * code.scale, bias_to=bias_to),
        code=code,
    )
    return lowered, draw(st.integers(4, 8)), draw(st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None)
@given(worst_cases())
def test_no_legal_input_makes_the_current_wrap(case: tuple[Lowered, int, int]) -> None:
    lowered, bits, seed = case
    code = lowered.inputs["x"]
    # Where even the smallest weight (2) on every input comes near the bound, quantising refuses.
    assume(2 * code.size * max(code.high, -code.low) < fp.ACCUMULATOR_LIMIT // 2)
    program = quantize(lowered, "loihi2", bits=bits)
    made = program.layers[0]
    assert accumulator_bound(made, value_ranges(lowered.inputs)) < fp.ACCUMULATOR_LIMIT
    assert made.weight.any()
    # The worst input of each neuron, for both signs, and random ones.
    up = np.where(made.weight > 0, code.high, code.low)
    down = np.where(made.weight > 0, code.low, code.high)
    random = np.random.default_rng(seed).integers(code.low, code.high + 1, up.shape)
    rows = np.concatenate([up, down, random])
    trace = emulate(program, ChipInput({"x": np.repeat(rows[:, None], 10, 1)}, {"x": code}))
    assert trace.overflow["a"] == 0


def test_the_accumulator_first_takes_a_finer_step_then_fewer_levels() -> None:
    wide = InputCode(256, "graded", 8, False, 2.0**-8)
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 1, (8, 256))
    lowered = network(layer(weight, threshold=np.full(8, 3.0)), code=wide)
    four = quantize(lowered, "loihi2", bits=4)
    eight = quantize(lowered, "loihi2", bits=8)
    assert four.loss[0].unit_growth == pytest.approx(1.0)
    assert four.loss[0].effective_bits == pytest.approx(math.log2(15))
    assert four.layers[0].weight_bits > 4, "the finer step needs more bits of storage"
    assert eight.loss[0].unit_growth > 5
    assert 4 < eight.loss[0].effective_bits < 6
    narrow = quantize(replace(lowered, inputs={"x": replace(wide, bits=3)}), "loihi2")
    assert narrow.loss[0].unit_growth == 1.0


@pytest.mark.parametrize("kappa", [0.5, 0.125, 410 / 4096])
def test_the_float_twin_agrees_with_the_emulator(kappa: float) -> None:
    rng = np.random.default_rng(7)
    program = quantize(three_layers(rng, kappa=kappa, gain=4.0), "loihi2")
    ci = uniform(rng, CODE, 400, 10)
    chip, twin = emulate(program, ci), simulate(dequantize(program), ci)
    for name in ("a", "b", "c"):
        assert 0.005 < chip.rates()[name] < 0.6
        differing = int(np.sum(chip.spikes[name] != twin.spikes[name]))
        assert differing <= 1e-4 * chip.spikes[name].size
    assert dequantize(program).layers[0].leak[0] == kappa


def test_the_half_state_lsb_removes_ties_without_leak() -> None:
    # Integers without decay are exact in both, so every bit agrees, at exact hits of vth too.
    rng = np.random.default_rng(8)
    code = replace(CODE, size=6)
    given = layer(rng.integers(-1, 2, (32, 6)), leak=np.zeros(32), threshold=np.full(32, 0.25))
    program = quantize(network(given, code=code), "loihi2")
    ci = uniform(rng, code, 300, 10)
    chip = emulate(program, ci, record=("spikes", "membrane"))
    twin = simulate(dequantize(program), ci)
    np.testing.assert_array_equal(chip.spikes["a"], twin.spikes["a"])
    assert np.any(chip.membrane["a"] == program.layers[0].vth << 6), "ties occurred"


def thresholds_of(rng: np.random.Generator, names: str) -> dict[str, Any]:
    return {name: rng.uniform(0.2, 0.9, (50, 10)) for name in names}


def test_dynamic_and_table_thresholds_survive_the_round_trip() -> None:
    rng = np.random.default_rng(9)
    base = three_layers(rng)
    dynamic = quantize(replace(base, policy="dynamic"), "loihi2")
    ci = replace(uniform(rng, CODE, 50, 10), theta=thresholds_of(rng, "abc"))
    chip = emulate(dynamic, ci)
    twin = simulate(dequantize(dynamic), dequantize_input(dynamic, ci))
    frozen = emulate(replace(dynamic, policy="frozen"), ci)
    table = rng.uniform(0.2, 0.9, 10)
    tabled = quantize(
        replace(
            base, policy="table", layers=tuple(replace(x, theta_table=table) for x in base.layers)
        ),
        "loihi2",
    )
    chip_table, twin_table = emulate(tabled, ci), simulate(dequantize(tabled), ci)
    for name in "abc":
        assert np.mean(chip.spikes[name] == twin.spikes[name]) > 0.9999
        assert np.mean(chip.spikes[name] == frozen.spikes[name]) < 0.99
        assert np.mean(chip_table.spikes[name] == twin_table.spikes[name]) > 0.9999


def agreement(a: Trace, b: Trace) -> dict[str, float]:
    return {name: float(np.mean(a.spikes[name] == b.spikes[name])) for name in a.spikes}


def test_calibration_reports_the_spikes_that_rounding_changed() -> None:
    rng = np.random.default_rng(10)
    lowered, ci = three_layers(rng), uniform(rng, CODE, 60, 10)
    eight = quantize(lowered, "loihi2", calibration=ci)
    four = quantize(lowered, "loihi2", bits=4, calibration=ci)
    expected = agreement(simulate(lowered, ci), simulate(dequantize(eight), ci))
    assert {x.name: x.spike_agreement for x in eight.loss} == expected
    for fine, coarse in zip(eight.loss, four.loss, strict=True):
        assert fine.spike_agreement is not None
        assert coarse.spike_agreement is not None
        assert coarse.spike_agreement < fine.spike_agreement <= 1.0
    assert quantize(lowered, "loihi2").loss[0].spike_agreement is None


def test_a_layer_of_zeros_stays_silent_and_legal() -> None:
    program = quantize(network(layer(np.zeros((3, 40)))), "loihi2")
    assert not program.layers[0].weight.any()
    assert emulate(program, uniform(np.random.default_rng(0), CODE, 3, 10)).spikes["a"].sum() == 0


ONES = np.ones((2, 40))
TERNARY = InputCode(40, "ternary", 1, False, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: quantize(network(layer(ONES)), "speck2f"), "graded codes.*layer .a. leaks"),
        (lambda: quantize(network(layer(ONES)), "cmos45_fp32"), "figures of energy only"),
        (lambda: quantize(network(layer(ONES)), "loihi2", bits=3), r"bits: 3, expected 4\.\.8"),
        (lambda: quantize(network(layer(ONES)), "loihi2", bits=9), r"bits: 9, expected 4\.\.8"),
        (lambda: quantize(network(layer(ONES)), "loihi1"), "binary spikes; encode it as two"),
        (lambda: quantize(network(layer(ONES), code=TERNARY), "loihi1"), "ternary codes need"),
        (
            lambda: quantize(network(layer(ONES, threshold=np.array([0.5, 0.6]))), "loihi2"),
            "threshold differs between neurons",
        ),
        (
            lambda: quantize(network(layer(ONES, leak=np.array([0.5, 0.6]))), "loihi2"),
            r"leak \(dt / tau\) differs between neurons",
        ),
        (
            lambda: quantize(network(layer(ONES, threshold=np.zeros(2))), "loihi2"),
            "threshold 0, the chip needs one above 0",
        ),
        (
            lambda: quantize(network(layer(ONES, threshold=np.full(2, 1e6))), "loihi2"),
            r"layer 'a': no weight .* threshold 1e\+06 below 131071",
        ),
    ],
)
def test_what_the_chip_cannot_hold_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


def test_too_many_inputs_for_the_accumulator_are_refused() -> None:
    code = InputCode(4000, "graded", 10, False, 1.0)
    with pytest.raises(BadInput, match="no weight above 0 keeps the worst sum of 4000 inputs"):
        quantize(network(layer(np.ones((1, 4000)), threshold=np.full(1, 9.0)), code=code), "loihi2")


def test_a_threshold_far_above_the_weights_costs_levels_and_not_the_layer() -> None:
    code = InputCode(2, "binary", 1, False, 1.0)
    far = layer([[0.01, 0.005]], threshold=np.full(1, 20.0))
    program = quantize(network(far, code=code), "loihi2")
    made, loss = program.layers[0], program.loss[0]
    assert 0.99 * fp.THRESHOLD_MAX < made.vth <= fp.THRESHOLD_MAX
    assert made.vth * made.unit == pytest.approx(20.0, rel=1e-5)
    # 2000 times the largest weight: 131071 / 2000 units are left for it.
    assert int(made.weight.max()) in (64, 66) and loss.unit_growth > 3
    with pytest.raises(BadInput, match="the threshold 20000 below 131071"):
        quantize(network(replace(far, threshold=np.full(1, 2e4)), code=code), "loihi2")
