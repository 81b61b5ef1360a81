"""Weight scales and bias correction against slow references that say what they mean."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program, accumulator_bound
from neurozsl.hardware.loihi.scales import ScaleRule, top_weight
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.ranges import value_ranges
from tests.factories.inputs import uniform
from tests.factories.networks import lowered, lowered_layer

CODE = InputCode(24, "graded", 4, False, 2.0**-4)
RULES: tuple[ScaleRule, ...] = ("max", "percentile", "mse")


def network(*, width: int = 20, tail: float = 1.0, policy: str = "frozen") -> Lowered:
    """Two layers with heavy-tailed weights; `tail` stretches a few of them."""
    rng = np.random.default_rng(3)
    layers, source, size = [], "x", CODE.size
    for name, out in (("a", width), ("b", 8)):
        weight = rng.normal(0, 3 / math.sqrt(size), (out, size))
        weight[0, :2] *= tail
        layers.append(
            lowered_layer(
                name,
                source,
                weight,
                bias=rng.normal(0, 0.1, out),
                leak=0.5,
                threshold=0.5,
                theta_table=np.linspace(0.4, 0.6, 10) if policy == "table" else None,
            )
        )
        source, size = name, out
    return lowered(*layers, code=CODE, policy=policy)


def drawn(samples: int) -> ChipInput:
    return uniform(np.random.default_rng(5), CODE, samples, 10)


def error_by_hand(weight: np.ndarray, levels: int, top: float) -> float:
    total = 0.0
    for w in weight.ravel().tolist():
        level = max(-levels, min(levels, round(w * levels / top)))  # Python rounds half to even
        total += (w - level * top / levels) ** 2
    return total / weight.size


@pytest.mark.parametrize("bits", [4, 8])
def test_mse_takes_the_share_of_the_largest_weight_with_the_least_error(bits: int) -> None:
    weight = np.random.default_rng(0).standard_t(3, (12, 30))
    levels = 2 ** (bits - 1) - 1
    largest = float(np.abs(weight).max())
    tops = [largest * share / 100 for share in range(100, 29, -1)]
    errors = [error_by_hand(weight, levels, top) for top in tops]
    assert top_weight(weight, levels, "mse") == tops[int(np.argmin(errors))]
    assert min(errors) < errors[0]


def test_percentile_clips_one_weight_in_a_thousand() -> None:
    weight = np.random.default_rng(1).normal(size=(100, 100))
    top = top_weight(weight, 127, "percentile")
    assert 9 <= np.count_nonzero(np.abs(weight) > top) <= 10
    assert top_weight(weight, 127, "max") == np.abs(weight).max()


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_of_mostly_zeros_keeps_a_scale(rule: ScaleRule) -> None:
    weight = np.zeros((100, 100))
    assert top_weight(weight, 127, rule) == 0.0
    weight[0, 0] = -0.25
    assert 0 < top_weight(weight, 127, rule) <= 0.25


def test_an_unknown_rule_lists_those_there_are() -> None:
    with pytest.raises(BadInput, match="'median' is not known; choose max, percentile, mse"):
        top_weight(np.ones((2, 2)), 127, "median")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bits", [4, 8])
def test_clipped_weights_sit_on_the_last_level_and_are_counted(rule: ScaleRule, bits: int) -> None:
    lowered = network(tail=6.0)
    program = quantize(lowered, "loihi2", bits=bits, scale=rule)
    levels, step = 2 ** (bits - 1) - 1, 2 ** (9 - bits)
    for layer, made, loss in zip(lowered.layers, program.layers, program.loss, strict=True):
        scale = CODE.scale if layer.source == "x" else 1.0
        wanted = layer.weight * scale / (made.unit * step)
        clipped = np.abs(np.rint(wanted)) > levels
        by_hand = np.clip(np.rint(wanted), -levels, levels) * step
        assert np.array_equal(made.weight, by_hand)
        assert loss.weight_clipped == np.count_nonzero(clipped)
        assert loss.scale_rule == rule
        if rule == "max" or bits == 4:  # at 8 bits the least error may clip nothing
            assert (loss.weight_clipped > 0) == (rule != "max")


def test_mse_rounds_four_bit_weights_better_than_max() -> None:
    losses = {
        rule: quantize(network(tail=4.0), "loihi2", bits=4, scale=rule).loss for rule in RULES
    }
    for best, plain in zip(losses["mse"], losses["max"], strict=True):
        assert best.weight_rms_error < 0.95 * plain.weight_rms_error


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_lets_the_accumulator_wrap(rule: ScaleRule) -> None:
    wide = InputCode(600, "graded", 8, False, 2.0**-8)
    rng = np.random.default_rng(2)
    layer = replace(
        network().layers[0], weight=rng.standard_t(2, (20, 600)), threshold=np.full(20, 5.0)
    )
    lowered = Lowered({"x": wide}, (layer,), ("a",), 1e-3, 10, "frozen")
    made = quantize(lowered, "loihi2", scale=rule).layers[0]
    assert accumulator_bound(made, value_ranges({"x": wide})) < fp.ACCUMULATOR_LIMIT


# --- bias correction


def mean_drive(layer: LoweredLayer, values: np.ndarray) -> np.ndarray:
    """Mean of W x + b per neuron, one sample, step and neuron after the other."""
    samples, steps, _ = values.shape
    total = np.zeros(len(layer.bias))
    for sample in range(samples):
        for step in range(steps):
            for n in range(len(layer.bias)):
                total[n] += float(layer.weight[n] @ values[sample, step]) + layer.bias[n]
    mean: np.ndarray = total / (samples * steps)
    return mean


def drives(program: Program, lowered: Lowered, chip: ChipInput) -> list[tuple[float, float]]:
    """Per layer the worst error of the mean drive, and one state LSB in real numbers."""
    real = chip.codes["x"] * CODE.scale
    exact = {"x": real, **simulate(lowered, chip).spikes}
    rounded = {"x": real, **emulate(program, chip).spikes}
    found = []
    for layer, twin, made in zip(
        lowered.layers, dequantize(program).layers, program.layers, strict=True
    ):
        error = mean_drive(layer, exact[layer.source]) - mean_drive(twin, rounded[layer.source])
        found.append((float(np.abs(error).max()), made.unit / 64 * 2**made.bias_exp))
    return found


@pytest.mark.parametrize("policy", ["frozen", "table"])
def test_corrected_biases_make_the_mean_drive_exact(policy: str) -> None:
    lowered, chip = network(tail=4.0, policy=policy), drawn(16)
    plain = quantize(lowered, "loihi2", bits=4)
    corrected = quantize(lowered, "loihi2", bits=4, calibration=chip, correct_bias=True)
    before, after = drives(plain, lowered, chip), drives(corrected, lowered, chip)
    for (error, _), (left, lsb) in zip(before, after, strict=True):
        assert error > 20 * lsb
        assert left <= 0.51 * lsb
    for loss, plain_loss in zip(corrected.loss, plain.loss, strict=True):
        assert loss.bias_correction > 0.001
        assert plain_loss.bias_correction == 0.0
    for a, b in zip(corrected.layers, plain.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and a.vth == b.vth


def test_bias_correction_needs_something_to_correct_on() -> None:
    with pytest.raises(BadInput, match="correct_bias needs calibration input"):
        quantize(network(), "loihi2", correct_bias=True)


def test_the_report_of_a_saved_program_keeps_rule_and_correction(tmp_path: Path) -> None:
    program = quantize(network(), "loihi2", scale="mse", calibration=drawn(8), correct_bias=True)
    program.save(tmp_path / "p.npz")
    assert Program.load(tmp_path / "p.npz").loss == program.loss
    assert {x.scale_rule for x in program.loss} == {"mse"}
