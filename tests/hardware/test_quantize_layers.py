"""Loihi's integers of convolutions, pools, several synapses, loops and other neuron rules.

The reference runs a program neuron by neuron in Python integers, from the equations of `program`
and the matrix of each synapse (which `test_synapse` checks against torch).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.ranges import value_ranges
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse, apply, matrix
from tests.factories import networks
from tests.factories.inputs import uniform
from tests.factories.networks import lowered_layer

CODE = InputCode(2 * 6 * 5, "graded", 3, False, 0.25)


def layer(name: str, source: str, weight: Any, **changes: Any) -> LoweredLayer:
    """Integrate-and-fire unless the changes say otherwise; biases that differ between neurons."""
    made = lowered_layer(name, source, weight, **changes)
    return made if "bias" in changes else replace(made, bias=np.linspace(-0.05, 0.1, made.size))


network = partial(networks.lowered, code=CODE, steps=6)


def conv_network(
    rng: np.random.Generator,
    *,
    rule: NeuronRule | None = None,
    recurrent: bool = False,
    leak: float = 0.0,
    code: InputCode = CODE,
) -> Lowered:
    """Convolution -> pool, convolution in groups -> dense with a delayed shortcut (and a loop)."""
    rule = rule or NeuronRule()
    conv = Conv((2, 6, 5), (1, 1), (1, 1, 0, 0))
    first = layer("a", "x", rng.normal(0, 0.4, (4, 2, 3, 2)), link=Link(conv), rule=rule)
    pool = Pool((4, 6, 4), (2, 2), (2, 2))
    grouped = Link(Conv((4, 3, 2), (1, 1), (0, 0, 0, 0), (2, 1), 2), (pool,))
    second = layer("b", "a", rng.normal(0, 0.5, (6, 2, 2, 1)), link=grouped, rule=rule)
    also = [Synapse("x", rng.normal(0, 0.2, (5, 60)), Link(delay=2))]
    if recurrent:
        also.append(Synapse("c", rng.normal(0, 0.6, (5, 5)), Link(delay=1)))
    third = layer("c", "b", rng.normal(0.2, 0.8, (5, 12)), also=tuple(also), rule=rule)
    layers = [replace(x, leak=np.full(x.size, leak)) for x in (first, second, third)]
    return network(*layers, code=code)


def drawn(rng: np.random.Generator, samples: int) -> ChipInput:
    codes = uniform(rng, CODE, samples, 6).codes["x"]
    return ChipInput({"x": codes * (rng.random(codes.shape) < 0.4)}, {"x": CODE})


def slow(
    program: Program, codes: npt.NDArray[Any]
) -> tuple[dict[str, npt.NDArray[np.int64]], dict[str, npt.NDArray[np.int64]], int]:
    """Spikes and membranes by the equations of `program`, and the largest |a| that was seen."""
    steps = program.steps
    every = {"x": codes.tolist()}
    sizes = {x.name: x.size for x in program.layers}
    for name, size in sizes.items():
        every[name] = [[[0] * size for _ in range(steps)] for _ in codes]
    kept = {name: np.zeros((len(codes), steps, size), np.int64) for name, size in sizes.items()}
    rows = {x.name: [(s, matrix(s).tolist()) for s in x.synapses] for x in program.layers}
    largest = 0
    for sample in range(len(codes)):
        states = {name: ([0] * size, [0] * size) for name, size in sizes.items()}
        for t in range(steps):
            for made in program.layers:
                rule, (us, vs) = made.rule, states[made.name]
                for n in range(made.size):
                    a = 0
                    for s, weights in rows[made.name]:
                        if t >= s.link.delay:
                            values = every[s.source][sample][t - s.link.delay]
                            a += sum(w * x for w, x in zip(weights[n], values, strict=True))
                    largest, bias = max(largest, abs(a)), int(made.bias[n])
                    u = _decay(us[n], 4096 - made.du - 1) + (a << 6)
                    v = _decay(vs[n], 4096 - made.dv) + u + bias
                    us[n], v = u, max(min(v, 2**23 - 1), -(2**23) + 1)
                    theta, z = made.vth << 6, 0
                    if rule.spiking and (v > theta or (rule.compare == ">=" and v == theta)):
                        z = min(v // theta, rule.max_spikes) if rule.max_spikes > 1 else 1
                    if z:
                        v = 0 if rule.reset == "zero" else v - z * theta
                    vs[n] = v if rule.low is None else max(v, int(rule.low))
                    every[made.name][sample][t][n] = z
                    kept[made.name][sample, t, n] = vs[n]
    return {name: np.array(every[name]) for name in sizes}, kept, largest


def _decay(x: int, keep: int) -> int:
    size = (abs(x) * keep) >> 12
    return size if x >= 0 else -size


RULES = [
    NeuronRule(),
    NeuronRule(compare=">="),
    NeuronRule("subtract"),
    NeuronRule("subtract", 1, ">=", -1.0),
    NeuronRule("subtract", 255, ">=", -0.5),
    NeuronRule("zero", 3, ">", -2.0),
]


# ---------------------------------------------------------------- one unit for all synapses


def test_all_synapses_of_a_layer_share_the_unit_of_the_largest_effect() -> None:
    # Effects: 2.0 x 0.25 = 0.5 from the input, 1.0 from the layer itself: one level is 1 / 127.
    back = Synapse("a", np.array([[-1.0]]), Link(delay=1))
    lowered = network(
        layer("a", "x", [[2.0, 0.5]], also=(back,), bias=np.zeros(1)), code=replace(CODE, size=2)
    )
    program = quantize(lowered, "loihi2")
    made, loss = program.layers[0], program.loss[0]
    assert made.unit == pytest.approx(1 / 254, rel=1e-12)
    assert made.weight.tolist() == [[128, 32]]  # 63.5 levels round to 64, 15.9 to 16
    assert made.also[0].weight.tolist() == [[-254]]
    assert (made.also[0].source, made.also[0].link.delay) == ("a", 1)
    assert made.vth == 254
    errors = np.array([0.5, 0.125, -1.0]) - np.array([128, 32, -254]) * made.unit
    rms = np.sqrt(np.mean(errors**2) / np.mean(np.array([0.5, 0.125, -1.0]) ** 2))
    assert loss.weight_rms_error == pytest.approx(rms)
    assert loss.accumulator_bound == max(7 * (128 + 32), 254)


@pytest.mark.parametrize("rule", ["percentile", "mse"])
def test_a_clipping_rule_looks_at_the_effects_of_all_synapses_together(rule: Any) -> None:
    rng = np.random.default_rng(0)
    small, large = rng.normal(0, 0.01, (4, 60)), rng.normal(0, 1.0, (4, 4))
    both = network(layer("a", "x", small, also=(Synapse("a", large, Link(delay=1)),)))
    merged = np.concatenate([small.ravel() * 0.25, large.ravel()])
    alone = network(
        layer("a", "x", merged[None], bias=np.zeros(1)),
        code=InputCode(merged.size, "binary", 1, False, 1.0),
    )
    units = [quantize(x, "loihi2", bits=4, scale=rule).layers[0].unit for x in (both, alone)]
    assert units[0] == pytest.approx(units[1], rel=1e-12)
    assert units[0] < 0.99 * quantize(both, "loihi2", bits=4).layers[0].unit


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(RULES), st.integers(4, 8), st.booleans())
def test_no_input_and_no_spike_count_makes_the_current_wrap(
    seed: int, rule: NeuronRule, bits: int, recurrent: bool
) -> None:
    rng = np.random.default_rng(seed)
    kind: Any = rng.choice(["graded", "ternary"])
    code = InputCode(60, kind, 1 if kind == "ternary" else 6, bool(rng.integers(2)), 0.25)
    lowered = conv_network(rng, rule=rule, recurrent=recurrent, code=code)
    program = quantize(lowered, "loihi2", bits=bits)
    reach = value_ranges(program.inputs, program.layers)
    for made, loss in zip(program.layers, program.loss, strict=True):
        worst = 0
        for n in range(made.size):
            up = down = 0
            for synapse in made.synapses:
                low, high = reach[synapse.source]
                row = matrix(replace(synapse, weight=synapse.weight.astype(np.int64)))[n]
                up += int(np.maximum(row * low, row * high).sum())
                down += int(np.minimum(row * low, row * high).sum())
            worst = max(worst, up, -down)
        assert loss.accumulator_bound == worst < fp.ACCUMULATOR_LIMIT
        assert any(s.weight.any() for s in made.synapses)


# ---------------------------------------------------------------- rules


def test_a_rule_goes_over_with_its_lower_bound_in_state_lsbs() -> None:
    rule = NeuronRule("subtract", 4, ">=", -0.3)
    lowered = conv_network(np.random.default_rng(1), rule=rule)
    program = quantize(lowered, "loihi2")
    for made, twin in zip(program.layers, dequantize(program).layers, strict=True):
        assert made.rule == replace(rule, low=float(round(-0.3 / made.unit * 64)))
        assert twin.rule.low == pytest.approx(-0.3, abs=made.unit / 64)
        assert replace(twin.rule, low=-0.3) == rule
        assert twin.threshold[0] == pytest.approx(made.vth * made.unit, rel=1e-7)
    deep = quantize(network(layer("a", "x", np.ones((2, 60)), rule=NeuronRule(low=-1e9))), "loihi2")
    assert deep.layers[0].rule.low == -(2**23)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_the_float_twin_of_integrate_and_fire_layers_equals_the_integers_spike_for_spike(
    rule: NeuronRule, recurrent: bool
) -> None:
    rng = np.random.default_rng(2)
    lowered = conv_network(rng, rule=rule, recurrent=recurrent)
    program, chip = quantize(lowered, "loihi2"), drawn(rng, 6)
    spikes, membranes, largest = slow(program, chip.codes["x"])
    assert largest < fp.ACCUMULATOR_LIMIT
    found = simulate(dequantize(program), chip, record=("spikes", "membrane"))
    for made in program.layers:
        counts = spikes[made.name]
        assert 0.02 < np.mean(counts > 0) < 0.9
        assert np.array_equal(found.spikes[made.name], counts), made.name
        real = membranes[made.name] * made.unit / 64
        np.testing.assert_allclose(found.membrane[made.name], real, atol=1e-6)
    assert (max(x.max() for x in spikes.values()) > 1) == (rule.max_spikes > 1)


def test_integers_on_the_threshold_tie_the_same_way_in_the_twin() -> None:
    """Weights that reach the threshold exactly, in a unit that float64 does not hold exactly."""
    code = InputCode(4, "binary", 1, False, 1.0)
    chip = ChipInput({"x": np.random.default_rng(3).integers(0, 2, (50, 6, 4))}, {"x": code})
    counts = {}
    for rule in (*RULES, NeuronRule("subtract", compare=">=")):
        made = layer(
            "a", "x", np.array([[0.1, 0.2, 0.3, -0.2]]), bias=np.zeros(1), threshold=np.full(1, 0.6)
        )
        program = quantize(network(replace(made, rule=rule), code=code), "loihi2", bits=4)
        integers = replace(
            program.layers[0],
            weight=np.array([[64, 96, 128, -96]], np.int16),
            vth=192,
            unit=0.1 / 64,
        )
        tied = replace(program, layers=(integers,))
        counts[rule] = slow(tied, chip.codes["x"])[0]["a"]
        assert np.array_equal(simulate(dequantize(tied), chip).spikes["a"], counts[rule])
    for reset in ("zero", "subtract"):
        strict, other = NeuronRule(reset), NeuronRule(reset, compare=">=")
        assert np.mean(counts[strict] != counts[other]) > 0.05


# ---------------------------------------------------------------- read-outs without spikes


def test_a_readout_without_spikes_takes_its_unit_from_its_weights_alone() -> None:
    rng = np.random.default_rng(4)
    hidden = layer("a", "x", rng.normal(0, 1, (8, 60)))
    weight = rng.normal(0, 0.3, (3, 8))
    out = layer(
        "out",
        "a",
        weight,
        leak=np.full(3, 0.25),
        threshold=np.array([np.inf, 0.0, -1.0]),  # irrelevant, even where they differ
        rule=NeuronRule(spiking=False),
    )
    lowered, chip = network(hidden, out), drawn(rng, 5)
    program = quantize(lowered, "loihi2", calibration=chip)
    made, loss = program.layers[1], program.loss[1]
    assert made.vth == fp.THRESHOLD_MAX and not made.rule.spiking
    assert made.unit == pytest.approx(np.abs(weight).max() / 254)
    assert (loss.threshold_error, loss.spike_agreement) == (0.0, None)
    assert loss.bias_max_error < 0.01
    _, membranes, _ = slow(program, chip.codes["x"])
    twin = simulate(dequantize(program), chip)
    assert not twin.spikes["out"].any()
    real = membranes["out"] * made.unit / 64
    assert np.abs(real).max() > 0.5
    np.testing.assert_allclose(twin.membrane["out"], real, atol=0.01 * np.abs(real).max())


def test_a_readout_beside_a_threshold_table_gets_one_that_nothing_reaches() -> None:
    rng = np.random.default_rng(5)
    table = np.linspace(0.5, 1.0, 6)
    hidden = layer("a", "x", rng.normal(0, 1, (8, 60)), theta_table=table)
    silent = NeuronRule(spiking=False)
    out = layer("out", "a", rng.normal(0, 0.3, (3, 8)), rule=silent)
    program = quantize(network(hidden, out, policy="table"), "loihi2")
    assert program.layers[1].vth_table is not None
    assert set(program.layers[1].vth_table.tolist()) == {fp.THRESHOLD_MAX}
    zeros = layer("out", "a", np.zeros((3, 8)), rule=silent)
    assert quantize(network(hidden, zeros, policy="table"), "loihi2").layers[1].unit > 0


# ---------------------------------------------------------------- correction of the mean drive


@pytest.mark.parametrize("rule", [NeuronRule(), NeuronRule("subtract", 7, ">=", -1.0)])
def test_corrected_biases_make_the_mean_drive_of_every_neuron_of_a_convolution_exact(
    rule: NeuronRule,
) -> None:
    rng = np.random.default_rng(6)
    lowered, chip = conv_network(rng, rule=rule), drawn(rng, 40)
    made = [
        quantize(lowered, "loihi2", bits=4, calibration=chip, correct_bias=x) for x in (False, True)
    ]
    exact = {"x": chip.codes["x"] * CODE.scale, **simulate(lowered, chip).spikes}
    errors = []
    for program in made:
        twin = dequantize(program)
        values = {"x": chip.codes["x"] * CODE.scale, **simulate(twin, chip).spikes}
        for real, rounded, integers in zip(
            lowered.layers, twin.layers, program.layers, strict=True
        ):
            error = drive(real, exact) - drive(rounded, values)
            errors.append((np.abs(error).max(), integers.unit / 64 * 2**integers.bias_exp))
    for (before, _), (after, lsb) in zip(errors[:3], errors[3:], strict=True):
        assert before > 10 * lsb
        assert after <= 0.51 * lsb + 1e-6
    assert all(x.bias_correction > 0.001 for x in made[1].loss)
    # The bias of a convolution is one number per neuron, so neurons of one channel may differ.
    maps = made[1].layers[0].bias.reshape(4, -1)
    assert np.any(maps != maps[:, :1])


def drive(real: LoweredLayer, values: dict[str, Any]) -> npt.NDArray[np.float64]:
    sums = sum(apply(s, np.asarray(values[s.source], np.float64)) for s in real.synapses)
    found: npt.NDArray[np.float64] = np.mean(sums, axis=(0, 1)) + real.bias
    return found


def test_a_loop_has_no_correction_and_says_why() -> None:
    rng = np.random.default_rng(7)
    lowered, chip = conv_network(rng, recurrent=True), drawn(rng, 3)
    with pytest.raises(BadInput, match="a bias in a loop changes the drive that it is computed"):
        quantize(lowered, "loihi2", calibration=chip, correct_bias=True)


# ---------------------------------------------------------------- report and refusals


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_report_compares_the_float_network_with_its_twin(recurrent: bool) -> None:
    rng = np.random.default_rng(8)
    lowered, chip = conv_network(rng, recurrent=recurrent, leak=0.25), drawn(rng, 20)
    program = quantize(lowered, "loihi2", calibration=chip)
    before, after = simulate(lowered, chip).spikes, simulate(dequantize(program), chip).spikes
    for loss in program.loss:
        same = float(np.mean(before[loss.name] == after[loss.name]))
        assert loss.spike_agreement == same
        assert same > 0.9
        assert loss.effective_bits == pytest.approx(math.log2(255))


def test_many_spikes_a_step_leave_few_levels_to_the_weights_that_read_them() -> None:
    code = InputCode(60, "binary", 1, False, 1.0)
    many, one = (
        quantize(
            conv_network(np.random.default_rng(9), rule=NeuronRule("subtract", x), code=code),
            "loihi2",
        )
        for x in (255, 1)
    )
    assert [x.effective_bits for x in one.loss] == [pytest.approx(math.log2(255))] * 3
    # "b" reads windows of four neurons, 255 spikes each, through four weights a neuron.
    assert many.loss[0].effective_bits == one.loss[0].effective_bits
    assert many.loss[1].unit_growth > 2 and many.loss[1].effective_bits < 7


def test_what_one_layer_of_the_program_cannot_hold_is_refused() -> None:
    several = NeuronRule("subtract", 5)
    binary = InputCode(60, "binary", 1, False, 1.0)
    spiky = conv_network(np.random.default_rng(0), rule=several, code=binary)
    with pytest.raises(BadInput, match="'a': up to 5 spikes a step need a payload, chip 'loihi1'"):
        quantize(spiky, "loihi1")
    lowered = conv_network(np.random.default_rng(0))
    for key, text in (("threshold", "threshold differs"), ("leak", r"leak \(dt / tau\) differs")):
        first = lowered.layers[0]
        changed = getattr(first, key).copy()
        changed[-1] += 0.5
        wrong = replace(lowered, layers=(replace(first, **{key: changed}), *lowered.layers[1:]))
        with pytest.raises(BadInput, match=f"layer 'a': {text} between neurons .* one per layer"):
            quantize(wrong, "loihi2")
