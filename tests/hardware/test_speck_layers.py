"""Speck's integers of maps: kernels, pools, rules of the layers, and what no core can do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from neurozsl.hardware.speck.cores import core_shapes
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import SpeckLayer
from neurozsl.hardware.speck.quantize import dequantize_speck, fit_scale, quantize_speck
from neurozsl.hardware.speck.rules import check_speck, notes
from tests.factories.inputs import binary, binary_code
from tests.factories.networks import lowered
from tests.factories.networks import lowered_layer as layer

CHIP = load_chip("speck2f")
SINABS = NeuronRule("subtract", 255, ">=", -1.0)


def network(*layers: LoweredLayer, inputs: int = 2 * 16 * 12) -> Lowered:
    return lowered(*layers, code=binary_code(inputs), steps=8)


def maps(rule: NeuronRule = SINABS, *, seed: int = 0) -> Lowered:
    """Maps 2 x 16 x 12 -> 6 x 8 x 6 (stride 2) -> sums of 2 x 2 -> 4 x 4 x 3 -> 5 x 2 x 1."""
    rng = np.random.default_rng(seed)
    first = Link(Conv((2, 16, 12), (2, 2), (1, 1, 1, 1)))
    second = Link(Conv((6, 4, 3), (1, 1), (1, 1, 1, 1)), (Pool((6, 8, 6), (2, 2), (2, 2)),))
    bias = np.repeat(0.1 * rng.normal(size=6), 48)
    return network(
        layer("a", "x", rng.normal(0.05, 0.3, (6, 2, 4, 4)), link=first, rule=rule, bias=bias),
        layer("b", "a", rng.normal(0.0, 0.3, (4, 6, 3, 3)), link=second, rule=rule),
        layer("c", "b", rng.normal(0.1, 0.3, (5, 4, 3, 3)), link=Link(Conv((4, 4, 3))), rule=rule),
    )


# ---------------------------------------------------------------- integers


def test_a_kernel_has_one_scale_and_biases_of_its_channels() -> None:
    lowered = maps()
    program = quantize_speck(lowered)
    for real, made, loss in zip(lowered.layers, program.layers, program.loss, strict=True):
        assert (made.link, made.weight.shape) == (real.link, real.weight.shape)
        assert loss.limited_by == "weights"
        assert np.abs(made.weight).max() in (127, 128)
        by_hand = np.rint(real.weight.astype(np.float32) * fit_scale(real.weight, 8))
        assert np.array_equal(made.weight, by_hand)
    channels = program.layers[0].bias.reshape(6, 48)
    assert np.all(channels == channels[:, :1]) and len(set(channels[:, 0].tolist())) > 3


def test_reset_spikes_a_step_and_lower_bound_are_those_of_the_rule_unless_they_are_given() -> None:
    rule = NeuronRule("subtract", 7, ">=", -1.0)
    for made in quantize_speck(maps(rule)).layers:
        assert (made.reset, made.max_spikes) == ("subtract", 7)
        assert made.low == -made.threshold
    for made in quantize_speck(maps(NeuronRule())).layers:
        assert (made.reset, made.max_spikes, made.low) == ("zero", 1, -32767)
    told = quantize_speck(maps(rule), reset="zero", max_spikes=3, lower_bound="lowest")
    for made in told.layers:
        assert (made.reset, made.max_spikes, made.low) == ("zero", 3, -32767)
    with pytest.raises(BadInput, match=r"its lower bound \(-300000 in the units"):
        quantize_speck(maps(replace(rule, low=-300000.0)))


def test_a_lower_bound_beyond_the_threshold_takes_the_negative_end_of_sixteen_bits() -> None:
    """-2^15 belongs to the bound: sinabs scales bound and threshold as one pair."""
    rule = NeuronRule("subtract", 1, ">=", -500.0)
    program = quantize_speck(network(layer("a", "x", [[0.5, 1.0]], rule=rule), inputs=2))
    assert program.loss[0].limited_by == "lower bound"
    assert program.layers[0].unit == pytest.approx(500 / 32768, rel=1e-6)
    assert program.layers[0].low == -32768


@pytest.mark.parametrize(
    "rule", [NeuronRule(), NeuronRule("subtract"), SINABS, NeuronRule("zero", 4, ">=", -0.5)]
)
def test_the_report_of_every_rule_is_what_the_integers_do(rule: NeuronRule) -> None:
    lowered, chip_input = maps(rule), binary(np.random.default_rng(1), 2 * 16 * 12, 20, 8, 0.1)
    program = quantize(lowered, "speck2f", calibration=chip_input)
    found, real = emulate_speck(program, chip_input), simulate(lowered, chip_input)
    twin = simulate(dequantize_speck(program), chip_input)
    for loss in program.loss:
        assert np.array_equal(found.spikes[loss.name], twin.spikes[loss.name])
        same = np.mean(real.spikes[loss.name] == found.spikes[loss.name])
        assert loss.spike_agreement == same
        assert 0.6 < same
        assert 0.02 < np.mean(found.spikes[loss.name] > 0) < 0.9


def test_the_chip_sums_where_a_network_averages_with_smaller_weights() -> None:
    """An average pool is the sum pool in front of weights that hold 1 / 4 already."""
    quarter = maps()
    second = replace(quarter.layers[1], weight=quarter.layers[1].weight / 4)
    averaged = replace(quarter, layers=(quarter.layers[0], second, quarter.layers[2]))
    made = [quantize_speck(x).layers[1] for x in (quarter, averaged)]
    assert np.array_equal(made[0].weight, made[1].weight)
    # The threshold in units of the weights is four times as high (and the rounding of one LSB).
    assert made[1].threshold == pytest.approx(4 * made[0].threshold, abs=2)


# ---------------------------------------------------------------- what a layer asks of a core


def test_shapes_of_maps_are_those_that_sinabs_writes() -> None:
    first, second, third = core_shapes(maps())
    assert (first.inputs, first.outputs, first.kernel, first.stride) == (2, 6, (4, 4), (2, 2))
    assert (first.input_map, first.output_map, first.destinations) == ((16, 12), (8, 6), 1)
    assert first.words == {"kernel_words": 2 << (4 + 3), "neuron_words": 6 << 6, "bias_words": 6}
    assert (second.input_map, second.output_map, second.pool) == ((4, 3), (4, 3), (2, 2))
    assert second.words == {"kernel_words": 6 << (4 + 2), "neuron_words": 4 << 4, "bias_words": 0}
    assert (third.output_map, third.pool, third.destinations) == ((2, 1), (1, 1), 0)
    # A dense layer behind a map is a kernel as large as the map: 6 channels of 2 x 2.
    _, dense = core_shapes(square())
    assert (dense.inputs, dense.kernel, dense.output_map) == (6, (2, 2), (1, 1))
    assert dense.words == {"kernel_words": 6 << (2 + 3), "neuron_words": 5, "bias_words": 0}
    assert core_shapes(quantize_speck(square())) == core_shapes(square())


def square() -> Lowered:
    """The same with square maps, as a dense layer behind a map needs it."""
    rng = np.random.default_rng(2)
    first = Link(Conv((2, 16, 16), (2, 2), (1, 1, 1, 1)))
    pooled = Link(pools=(Pool((6, 8, 8), (2, 2), (2, 2)), Pool((6, 4, 4), (2, 2), (2, 2))))
    return network(
        layer("a", "x", rng.normal(0.05, 0.3, (6, 2, 4, 4)), link=first, rule=SINABS),
        layer("b", "a", rng.normal(0.1, 0.3, (5, 24)), link=pooled, rule=SINABS),
        inputs=512,
    )


def test_two_pools_of_two_are_one_of_four() -> None:
    shapes = check_speck(square(), CHIP)
    assert (shapes[1].pool, shapes[1].kernel, shapes[1].inputs) == ((4, 4), (2, 2), 6)


def test_a_readout_is_counted_in_neurons() -> None:
    wide = network(layer("a", "x", np.ones((2, 2, 3, 3)), link=Link(Conv((2, 16, 12)))), inputs=384)
    assert "outputs a are wider than the readout block" in " ".join(notes(wide, CHIP))


# ---------------------------------------------------------------- what no core can do


def test_everything_that_no_core_can_do_is_in_one_error() -> None:
    lowered = square()
    back = Synapse("b", np.ones((5, 5)), Link(delay=1))
    bias = np.linspace(0, 0.1, lowered.layers[0].size)
    first = replace(lowered.layers[0], bias=bias, leak=np.full(len(bias), 0.5))
    second = replace(lowered.layers[1], also=(back,), rule=NeuronRule(spiking=False))
    with pytest.raises(BadInput) as error:
        quantize_speck(replace(lowered, layers=(first, second)))
    for text in (
        "layer 'a' leaks",
        "the network is recurrent",
        "layer 'b' reads several sources (a, b), a core takes one",
        "layer 'b' sees spikes 1 step late",
        "layer 'a': biases differ inside a channel",
        "layer 'b' sends no spikes",
    ):
        assert text in str(error.value)


def test_a_pool_needs_a_core_before_it() -> None:
    pooled = Link(pools=(Pool((6, 8, 8), (2, 2), (2, 2)),))
    with pytest.raises(BadInput, match="layer 'a' pools input 'x', no core is before it"):
        quantize_speck(network(layer("a", "x", np.ones((3, 96)), link=pooled)))


def test_neurons_cannot_be_read_as_another_map_than_they_are() -> None:
    again = layer("b", "a", np.ones((3, 4, 3, 3)), link=Link(Conv((4, 4, 4))))
    flat = network(layer("a", "x", np.ones((64, 8))), again, inputs=8)
    with pytest.raises(BadInput, match=r"'b' reads a map \(4, 4, 4\), 'a' makes \(64, 1, 1\)"):
        quantize_speck(flat)


def test_a_dense_layer_behind_a_map_that_is_not_square_is_refused() -> None:
    lowered = maps()
    last = layer("c", "b", np.ones((5, 48)))
    with pytest.raises(DoesNotFit, match="layer 'c': kernel 4 x 3, the chip has square ones"):
        check_speck(replace(lowered, layers=(*lowered.layers[:2], last)), CHIP)


def test_a_layer_of_integers_sees_its_source_at_once() -> None:
    with pytest.raises(BadInput, match="delay 2 steps, a core sees spikes at once"):
        SpeckLayer(
            "a",
            "x",
            np.ones((1, 2), np.int16),
            np.zeros(1, np.int16),
            1,
            0,
            1.0,
            link=Link(delay=2),
        )
