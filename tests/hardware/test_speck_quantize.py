"""Speck's one scale per layer, the trap of the missing lower bound, and the rules of the chip."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.synapse import Pool
from neurozsl.hardware.speck.cores import CoreShape, core_shapes, size_faults
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import SpeckProgram
from neurozsl.hardware.speck.quantize import dequantize_speck, fit_scale, quantize_speck
from neurozsl.hardware.speck.rules import check_speck, notes
from tests.factories.inputs import binary_code
from tests.factories.networks import lowered, lowered_layer

CHIP = load_chip("speck2f")


def layer(weight: Any, *, name: str = "a.0", source: str = "a", **options: Any) -> LoweredLayer:
    return lowered_layer(name, source, weight, **options)


def network(*layers: LoweredLayer, **options: Any) -> Lowered:
    return lowered(*layers, code=binary_code(layers[0].weight.shape[1]), **options)


def random_network(seed: int, sizes: tuple[int, ...] = (40, 24, 12)) -> Lowered:
    """Weights as BatchNorm folds them: every scale, non-zero biases, the scales differ."""
    rng = np.random.default_rng(seed)
    layers = []
    for depth, (width, out) in enumerate(pairwise(sizes)):
        gain = 10.0 ** rng.uniform(-1, 1)
        layers.append(
            layer(
                (gain * 2 * rng.normal(size=(out, width)) / np.sqrt(width)).astype(np.float32),
                name=f"a.{depth}",
                source="a" if depth == 0 else f"a.{depth - 1}",
                bias=(gain * 0.2 * rng.normal(size=out)).astype(np.float32).astype(np.float64),
                threshold=np.full(out, float(np.float32(gain * rng.uniform(0.5, 1.5)))),
            )
        )
    return network(*layers)


def test_scale_threshold_and_bias_follow_the_largest_weight() -> None:
    made = quantize_speck(network(layer([[0.5, -0.25], [0.1, 0.0]], bias=np.array([0.2, -0.1]))))
    (found,) = made.layers
    # 127 / 0.5 = 254
    assert found.weight.tolist() == [[127, -64], [25, 0]]
    assert found.bias.tolist() == [51, -25]
    assert (found.threshold, found.low, found.unit) == (254, -32767, 1 / 254)
    assert (found.reset, found.max_spikes) == ("zero", 1)
    assert made.loss[0].limited_by == "weights"
    assert made.loss[0].effective_bits == pytest.approx(np.log2(255))


@pytest.mark.parametrize(
    ("options", "limited_by", "threshold"),
    [
        ({"bias": np.array([4.0])}, "bias", 32),  # 127 / 4
        ({"bias": np.array([-4.0])}, "bias", 32),  # 128 / 4
        ({"threshold": np.array([1000.0])}, "threshold", 32767),
    ],
)
def test_a_large_bias_or_threshold_takes_bits_from_the_weights_and_is_named(
    options: dict[str, Any], limited_by: str, threshold: int
) -> None:
    made = quantize_speck(network(layer([[0.5, -0.25]], **options)))
    assert made.loss[0].limited_by == limited_by
    assert made.layers[0].threshold == threshold
    assert made.loss[0].effective_bits < 7


def test_the_scale_uses_the_larger_negative_end_where_it_is_larger() -> None:
    assert float(fit_scale([-1.0, 0.5], 8)) == 128
    assert float(fit_scale([1.0, -1.0], 8)) == 127
    assert float(fit_scale([0.0, 0.0], 8)) == float("inf")


# ---------------------------------------------------------------- the silent-zeroing trap


def test_no_lower_bound_is_diagnosed_before_it_silences_the_layer() -> None:
    small = network(layer(np.full((3, 4), 0.3)))
    with pytest.raises(BadInput) as error:
        quantize_speck(small, lower_bound=None)
    text = str(error.value)
    assert "layer 'a.0': its lower bound (-32768 in the units of the model)" in text
    assert "limits the scale to 1, where the weights alone allow 423" in text
    assert "100% of the weights become 0 and the layer falls silent" in text
    assert "give a lower bound of -77.4 or nearer to 0, or 'lowest'" in text


def test_no_lower_bound_is_refused_even_where_some_weights_survive() -> None:
    with pytest.raises(BadInput, match="50% of the weights become 0"):
        quantize_speck(network(layer([[3.0, 0.2]])), lower_bound=None)


def test_a_lower_bound_that_zeroes_the_weights_is_refused_and_the_advised_one_is_not() -> None:
    small = network(layer(np.full((3, 4), 0.3)))
    with pytest.raises(BadInput, match="lower bound of -77"):
        quantize_speck(small, lower_bound=-30000.0)
    assert quantize_speck(small, lower_bound=-77.4).layers[0].weight.max() == 127
    assert quantize_speck(small, lower_bound=-1.0).layers[0].low == -423
    with pytest.raises(BadInput, match=r"lower bound 1\.0, expected a number up to 0"):
        quantize_speck(small, lower_bound=1.0)


def test_the_default_lower_bound_never_sets_the_scale() -> None:
    for seed in range(20):
        made = quantize_speck(random_network(seed))
        for found, loss in zip(made.layers, made.loss, strict=True):
            assert found.low == -32767
            assert loss.limited_by != "lower bound"
            assert max(np.abs(found.weight).max(), np.abs(found.bias).max()) >= 127


def test_a_layer_of_zeros_stays_silent_and_legal() -> None:
    made = quantize_speck(network(layer(np.zeros((3, 4)))))
    assert not made.layers[0].weight.any()
    assert made.layers[0].threshold == 32767


# ---------------------------------------------------------------- the same integers, and back


def test_dequantised_weights_give_the_emulators_spikes_and_the_report_says_how_many_changed() -> (
    None
):
    rng = np.random.default_rng(0)
    for seed in range(5):
        lowered = random_network(seed)
        codes = (rng.random((16, 10, 40)) < 0.3).astype(np.int16)
        chip_input = ChipInput({"a": codes}, lowered.inputs)
        made = quantize(lowered, "speck2f", calibration=chip_input)
        found = emulate_speck(made, chip_input)
        twin = simulate(dequantize_speck(made), chip_input)
        real = simulate(lowered, chip_input)
        assert not any(found.saturation.values())
        for loss in made.loss:
            assert np.array_equal(found.spikes[loss.name], twin.spikes[loss.name])
            same = np.mean(real.spikes[loss.name] == found.spikes[loss.name])
            assert loss.spike_agreement == pytest.approx(same)
            assert same > 0.8


def test_the_input_scale_of_a_binary_code_goes_into_the_weights() -> None:
    half = {"a": InputCode(2, "binary", 1, False, 0.5)}
    made = quantize_speck(network(layer([[2.0, 1.0]]), inputs=half))
    assert made.layers[0].threshold == 127
    twin = dequantize_speck(made).layers[0]
    assert twin.weight == pytest.approx(np.array([[2.0, 128 / 127 / 2 * 2]]), rel=0.02)


def test_quantize_gives_the_program_of_the_chip() -> None:
    lowered = random_network(1)
    assert isinstance(quantize(lowered, "speck2f"), SpeckProgram)
    assert isinstance(quantize(lowered, "loihi2"), Program)


# ---------------------------------------------------------------- rules


HALF = np.full(2, 0.5)


@pytest.mark.parametrize(
    ("lowered", "message"),
    [
        (network(layer(np.ones((2, 4)), leak=HALF)), "layer 'a.0' leaks and speck2f has integrate"),
        (network(layer(np.ones((2, 4)), syn_leak=HALF)), "layer 'a.0' leaks"),
        (
            network(layer(np.ones((2, 4)), threshold=np.array([0.5, 0.6]))),
            r"thresholds 0\.5\.\.0\.6 differ between neurons, the chip has one per layer",
        ),
        (network(layer(np.ones((2, 4)), threshold=np.zeros(2))), "threshold 0, it must be above 0"),
        (
            network(layer(np.ones((2, 4))), policy="dynamic"),
            r"policy 'dynamic'.*export with --threshold frozen",
        ),
        (
            network(layer(np.ones((2, 4))), inputs={"a": InputCode(4, "graded", 4, False, 1.0)}),
            "input 'a' has graded codes, speck2f has spikes without sign or payload",
        ),
        (
            network(layer(np.ones((2, 4))), inputs={"a": InputCode(4, "ternary", 1, True, 1.0)}),
            "input 'a' has ternary codes",
        ),
    ],
)
def test_what_the_neuron_cannot_say_is_refused_with_the_profile(
    lowered: Lowered, message: str
) -> None:
    with pytest.raises(BadInput, match=message) as error:
        quantize_speck(lowered)
    assert "--motion-profile speck" in str(error.value)
    assert error.value.exit_code == 2


def test_a_leaky_wide_branch_is_told_both_faults_and_every_leaky_layer() -> None:
    wide = [
        layer(np.ones((512, 512)), name=f"a.{i}", source="a" if i == 0 else f"a.{i - 1}")
        for i in range(3)
    ]
    leaky = [replace(x, leak=np.full(512, 0.5)) for x in wide]
    with pytest.raises(DoesNotFit) as error:
        quantize_speck(network(*leaky))
    assert "layers a.0, a.1, a.2 leak" in str(error.value)
    text = "layer 'a.1': 512 x 512 takes 262144 kernel words, the largest core has 65536"
    assert text in str(error.value)
    # The same without the leak does not fit, which is another exit code.
    with pytest.raises(DoesNotFit) as size:
        quantize_speck(network(*wide))
    assert text + " (512 inputs take at most 128 outputs)" in str(size.value)
    assert "--motion-profile speck" in str(size.value)
    assert size.value.exit_code == 4


def test_bits_and_chips_that_do_not_exist_are_refused() -> None:
    for bits in (3, 9):
        with pytest.raises(BadInput, match=f"weight bits: {bits}, speck2f stores 8, of which 4"):
            quantize(random_network(0), "speck2f", bits=bits)
    with pytest.raises(BadInput, match="chip 'loihi2': has loihi_cuba"):
        quantize_speck(random_network(0), "loihi2")


@pytest.mark.parametrize(
    ("inputs", "outputs", "fits"),
    [
        (512, 128, True),
        (1024, 64, True),
        (128, 512, True),
        (256, 256, True),
        (512, 129, False),
        (513, 128, False),
        (512, 512, False),
        (1025, 32, False),
        (32, 1025, False),
    ],
)
def test_kernel_words_and_channels_decide_which_dense_layers_have_a_core(
    inputs: int, outputs: int, fits: bool
) -> None:
    assert (size_faults((CoreShape("x", "a", inputs, outputs, 0),), CHIP) == []) is fits


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"kernel": (17, 17)}, "17 kernel side, at most 16"),
        ({"kernel": (3, 5)}, "kernel 3 x 5, the chip has square ones"),
        ({"stride": (3, 3)}, "stride 3, the chip knows 1, 2, 4, 8"),
        ({"stride": (1, 3)}, "stride 1 x 3, the chip knows 1, 2, 4, 8"),
        ({"dilation": (2, 2)}, "dilation 2, the chip knows 1"),
        ({"groups": 2}, "groups 2, the chip knows 1"),
        ({"pools": (Pool((2, 9, 9), (3, 3), (3, 3)),)}, "pool 3, the chip knows 1, 2, 4"),
        ({"pools": (Pool((2, 9, 9), (1, 2), (1, 2)),)}, "pool 1 x 2, the chip has square ones"),
        (
            {"pools": (Pool((2, 9, 9), (2, 2), (1, 1), (1, 1)),)},
            "pool 2 with stride 1 and padding 1, the chip sums windows side by side",
        ),
        (
            {"pools": (Pool((2, 9, 9), (4, 4), (4, 4)), Pool((2, 2, 2), (2, 2), (2, 2)))},
            "pool 8, the chip knows 1, 2, 4",
        ),
        ({"padding": (8, 8, 0, 0)}, "8 padding, at most 7"),
        ({"padding": (1, 1, 0, 1)}, "padding 1, 1 rows and 0, 1 columns, the chip pads both ends"),
        ({"input_map": (2, 256)}, "256 input side, at most 128"),
        ({"output_map": (65, 1)}, "65 map side, at most 64"),
        ({"destinations": 3}, "3 destinations, at most 2"),
        ({"output_map": (64, 64), "outputs": 17}, "17 .* neuron words, the largest core has 65536"),
        ({"kernel": (16, 16), "inputs": 257, "outputs": 1}, "257 x 1 through 16 x 16 takes 65792"),
    ],
)
def test_limits_that_sinabs_own_check_misses_are_named(shape: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"inputs": 2, "outputs": 4, "destinations": 1} | shape
    faults = size_faults((CoreShape("x", "a", **values),), CHIP)
    assert len(faults) == 1
    assert faults[0].startswith("layer 'x': ")
    assert re.search(message, faults[0])
    legal = CoreShape(
        "x", "a", 2, 4, 1, kernel=(16, 16), stride=(8, 4), padding=(7, 7, 0, 0), input_map=(128, 9)
    )
    assert size_faults((legal,), CHIP) == []


def test_ten_layers_are_one_too_many_and_nine_are_not() -> None:
    chain = [
        layer(np.ones((4, 4)), name=f"a.{i}", source="a" if i == 0 else f"a.{i - 1}")
        for i in range(10)
    ]
    with pytest.raises(DoesNotFit, match="10 layers, the chip has 9 cores, one layer each"):
        check_speck(network(*chain), CHIP)
    assert len(check_speck(network(*chain[:9]), CHIP)) == 9


def test_a_layer_that_feeds_three_others_is_refused() -> None:
    star = [layer(np.ones((4, 4)))]
    star += [layer(np.ones((4, 4)), name=f"b.{i}", source="a.0") for i in range(3)]
    with pytest.raises(DoesNotFit, match=r"layer 'a\.0': 3 destinations, at most 2"):
        check_speck(network(*star), CHIP)


def test_shapes_say_inputs_outputs_destinations_and_words() -> None:
    shapes = core_shapes(random_network(0, (512, 128, 100, 64)))
    assert [(x.name, x.inputs, x.outputs, x.destinations) for x in shapes] == [
        ("a.0", 512, 128, 1),
        ("a.1", 128, 100, 1),
        ("a.2", 100, 64, 0),
    ]
    assert [x.kernel_words for x in shapes] == [65536, 16384, 6400]
    assert [(x.words["neuron_words"], x.words["bias_words"]) for x in shapes] == [
        (128, 128),
        (100, 100),
        (64, 64),
    ]


def test_notes_name_the_slow_clock_and_the_readout_only_where_they_matter() -> None:
    found = " ".join(notes(random_network(0, (8, 20)), CHIP))
    assert "one tick per step, 1000 Hz" in found
    assert "outputs a.0 are wider than the readout block (15 classes)" in found
    assert notes(network(layer(np.ones((15, 4)))), CHIP) == ()


def test_fewer_bits_lie_on_every_second_to_sixteenth_integer_and_the_rest_keeps_its_own() -> None:
    net = network(layer([[0.5, -0.25], [0.1, 0.0]], bias=np.array([0.2, -0.1])))
    made = quantize_speck(net, bits=4)
    (found,) = made.layers
    # 7 levels of 16 for 0.5: a scale of 224.
    assert found.weight.tolist() == [[112, -64], [16, 0]]  # 7, round(-3.5) = -4, round(1.4) = 1
    assert found.bias.tolist() == [45, -22]  # 44.8 and -22.4: not on the grid of the weights
    assert (found.threshold, found.unit) == (224, 1 / 224)
    assert (made.loss[0].weight_bits, made.loss[0].limited_by) == (4, "weights")
    assert made.loss[0].effective_bits == pytest.approx(np.log2(15))


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_the_loss_report_says_the_bits_and_the_error_falls_with_them(
    bits: int, tmp_path: Path
) -> None:
    net = random_network(3)
    made = quantize(net, "speck2f", bits=bits)
    assert {x.weight_bits for x in made.loss} == {bits}
    step = 2 ** (8 - bits)
    assert all(np.all(x.weight % step == 0) for x in made.layers)
    assert made.layers[0].weight_bits == 8  # what the memory holds
    made.save(tmp_path / "p.npz")
    assert SpeckProgram.load(tmp_path / "p.npz").loss == made.loss
    if bits < 8:
        finer = quantize(net, "speck2f", bits=bits + 1)
        pairs = zip(made.loss, finer.loss, strict=True)
        assert all(a.weight_rms_error > b.weight_rms_error for a, b in pairs)


def test_eight_bits_are_the_default_to_the_last_bit() -> None:
    for seed in range(5):
        net = random_network(seed)
        default, eight = quantize(net, "speck2f"), quantize(net, "speck2f", bits=8)
        for a, b in zip(default.layers, eight.layers, strict=True):
            assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
            assert (a.threshold, a.low, a.unit) == (b.threshold, b.low, b.unit)
