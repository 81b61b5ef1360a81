"""Speck's integer neuron against a slow reference in Python integers, boundary values included."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.signals import InputCode
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.network.neuron import Reset
from neurozsl.hardware.network.synapse import Conv, Link, Pool, matrix
from neurozsl.hardware.speck import emulator as speck_emulator
from neurozsl.hardware.speck.emulator import emulate_speck, run_speck_neurons, weighted_sums
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from neurozsl.hardware.speck.quantize import dequantize_speck
from tests.factories.inputs import binary


def code(size: int) -> InputCode:
    return InputCode(size, "binary", 1, False, 1.0)


def program(
    rng: np.random.Generator,
    sizes: tuple[int, ...],
    *,
    threshold: int = 100,
    low: int = -32767,
    reset: Reset = "zero",
    max_spikes: int = 1,
    steps: int = 8,
    weight: tuple[int, int] = (-128, 127),
) -> SpeckProgram:
    layers = []
    for depth, (width, out) in enumerate(pairwise(sizes)):
        layers.append(
            SpeckLayer(
                name=f"x.{depth}",
                source="x" if depth == 0 else f"x.{depth - 1}",
                weight=rng.integers(weight[0], weight[1] + 1, (out, width)).astype(np.int16),
                bias=rng.integers(-128, 128, out).astype(np.int16),
                threshold=threshold,
                low=low,
                unit=0.01,
                reset=reset,
                max_spikes=max_spikes,
            )
        )
    return SpeckProgram(
        "speck2f", {"x": code(sizes[0])}, tuple(layers), (layers[-1].name,), steps, 1e-3, "fixed"
    )


def slow(
    made: SpeckProgram, codes: npt.NDArray[np.int16]
) -> tuple[dict[str, npt.NDArray[np.uint8]], dict[str, npt.NDArray[np.int16]], dict[str, int]]:
    """One neuron, one step and one Python integer at a time; saturation, lower clamp, reset."""
    values: dict[str, npt.NDArray[np.generic]] = {"x": codes}
    spikes, membranes, clipped = {}, {}, {}
    for layer in made.layers:
        source = values[layer.source].tolist()
        out, rows = layer.size, matrix(layer.synapses[0]).tolist()
        z = np.zeros((len(codes), made.steps, out), np.uint8)
        membrane = np.zeros(z.shape, np.int16)
        count = 0
        for b in range(len(codes)):
            for n in range(out):
                row, v = rows[n], 0
                for t in range(made.steps):
                    wanted = v + sum(w * x for w, x in zip(row, source[b][t], strict=True))
                    wanted += int(layer.bias[n])
                    state = min(max(wanted, -(2**15)), 2**15 - 1)
                    fired = 0
                    if state >= layer.threshold:
                        fired = min(state // layer.threshold, layer.max_spikes)
                    if layer.reset == "subtract":
                        left = state - fired * layer.threshold
                    else:
                        left = 0 if fired else state
                    v = max(left, layer.low)
                    count += int(state != wanted or v != left)
                    z[b, t, n], membrane[b, t, n] = fired, v
        values[layer.name] = spikes[layer.name] = z
        membranes[layer.name], clipped[layer.name] = membrane, count
    return spikes, membranes, clipped


CASES = [
    # threshold, low, reset, max_spikes
    (100, -32767, "zero", 1),
    (100, -200, "zero", 1),
    (1, 0, "zero", 1),
    (32767, -32768, "zero", 1),
    (100, -32767, "subtract", 1),
    (100, -150, "subtract", 4),
    (7, -32768, "subtract", 255),
    (100, -32767, "zero", 3),
]


@pytest.mark.parametrize(("threshold", "low", "reset", "max_spikes"), CASES)
@pytest.mark.parametrize("sizes", [(5, 4), (17, 9, 6), (40, 1, 3)])
def test_the_emulator_equals_a_reference_in_python_integers(
    threshold: int, low: int, reset: Reset, max_spikes: int, sizes: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(threshold + max_spikes)
    made = program(rng, sizes, threshold=threshold, low=low, reset=reset, max_spikes=max_spikes)
    chip_input = binary(rng, sizes[0], 3, made.steps, 0.5)
    found = emulate_speck(made, chip_input, record=("spikes", "membrane"), batch=2)
    spikes, membrane, clipped = slow(made, chip_input.codes["x"])
    for layer in made.layers:
        assert np.array_equal(found.spikes[layer.name], spikes[layer.name])
        assert np.array_equal(found.membrane[layer.name], membrane[layer.name])
    assert found.saturation == clipped
    assert found.overflow == dict.fromkeys(clipped, 0)


def one_neuron(drive: list[int], **options: object) -> tuple[list[int], list[int], int]:
    """Spikes, states and clips of a neuron that is driven by its bias alone, step by step."""
    values = {"threshold": 100, "low": -32768, "unit": 1.0, "reset": "zero", "max_spikes": 1}
    layer = SpeckLayer(
        "x.0",
        "x",
        np.array([[1]], np.int16),
        np.zeros(1, np.int16),
        **(values | options),  # type: ignore[arg-type]  # a table of options
    )
    run = run_speck_neurons(layer, np.array(drive)[None, :, None], keep_membrane=True)
    return run.spikes[0, :, 0].tolist(), run.membrane[0, :, 0].tolist(), run.clipped


def test_a_state_at_the_threshold_spikes_and_one_below_does_not() -> None:
    assert one_neuron([99, 1, 0])[:2] == ([0, 1, 0], [99, 0, 0])


def test_the_state_saturates_at_both_ends_of_sixteen_bits_and_is_counted() -> None:
    spikes, states, clipped = one_neuron([-32768, -1, 32767, 1], threshold=32767)
    assert (spikes, states, clipped) == ([0, 0, 0, 0], [-32768, -32768, -1, 0], 1)
    # 40000 saturates to 32767, which reaches the threshold; subtraction then leaves 0.
    spikes, states, clipped = one_neuron([40000, 5], threshold=32767, reset="subtract")
    assert (spikes, states, clipped) == ([1, 0], [0, 5], 1)


def test_the_lower_clamp_acts_after_the_reset_and_is_counted() -> None:
    spikes, states, clipped = one_neuron([-60, 100, 60], low=-50)
    assert (spikes, states, clipped) == ([0, 0, 1], [-50, 50, 0], 1)


def test_several_spikes_a_step_keep_the_rest_under_subtraction_and_lose_it_under_reset() -> None:
    assert one_neuron([350], reset="subtract", max_spikes=255)[:2] == ([3], [50])
    assert one_neuron([350], reset="subtract", max_spikes=2)[:2] == ([2], [150])
    assert one_neuron([350], reset="zero", max_spikes=255)[:2] == ([3], [0])
    # One spike a step: the rest of the membrane stays above the threshold and spikes on.
    assert one_neuron([350, 0, 0, 0], reset="subtract")[:2] == ([1, 1, 1, 0], [250, 150, 50, 50])


def test_counts_of_several_spikes_arrive_at_the_next_layer() -> None:
    rng = np.random.default_rng(3)
    made = program(rng, (6, 5, 4), threshold=20, reset="subtract", max_spikes=255)
    chip_input = binary(rng, 6, 4, made.steps, 0.6)
    found = emulate_speck(made, chip_input)
    assert found.spikes["x.0"].max() > 1
    sums = found.spikes["x.0"].astype(np.int64) @ made.layers[1].weight.T.astype(np.int64)
    assert np.array_equal(weighted_sums(made.layers[1], found.spikes["x.0"], 255), sums)


def test_sums_beyond_float32_are_exact() -> None:
    layer = program(np.random.default_rng(0), (1024, 2)).layers[0]
    layer = replace(layer, weight=np.full((2, 1024), 127, np.int16))
    counts = np.full((1, 1, 1024), 255)
    counts[0, 0, 0] = 254
    exact = 127 * (1023 * 255 + 254)
    assert exact > 2**24 and exact % 2 == 1
    assert weighted_sums(layer, counts, 255).tolist() == [[[exact, exact]]]


def test_the_float_twin_gives_the_same_spikes_where_nothing_is_clipped() -> None:
    rng = np.random.default_rng(1)
    made = program(rng, (30, 20, 10), threshold=150, weight=(-60, 60))
    chip_input = binary(rng, 30, 20, made.steps, 0.3)
    found = emulate_speck(made, chip_input)
    assert not any(found.saturation.values())
    twin = simulate(dequantize_speck(made), chip_input)
    for layer in made.layers:
        assert np.array_equal(found.spikes[layer.name], twin.spikes[layer.name])
        assert 0.02 < found.spikes[layer.name].mean() < 0.98


# ---------------------------------------------------------------- convolutions and pools


GEOMETRIES = [
    # kernel (out, in / groups, height, width), stride, padding, dilation, groups; map (4, 7, 6)
    ((3, 4, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((5, 4, 2, 3), (2, 1), (0, 1, 2, 0), (1, 2), 1),
    ((6, 2, 3, 2), (2, 2), (0, 0, 1, 1), (2, 1), 2),
    ((4, 1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 4),
    ((2, 4, 7, 6), (1, 1), (0, 0, 0, 0), (1, 1), 1),
]


def conv_program(
    rng: np.random.Generator,
    geometry: Any,
    pool: Pool,
    *,
    threshold: int = 200,
    low: int = -32767,
    reset: Reset = "subtract",
    max_spikes: int = 255,
) -> SpeckProgram:
    """Convolution on the input, then pooled neurons into a dense layer; biases per channel."""
    kernel, stride, padding, dilation, groups = geometry
    conv = Conv((4, 7, 6), stride, padding, dilation, groups)
    channels, high, wide = conv.out_shape(kernel)
    pool = replace(pool, shape=(channels, high, wide))
    options: dict[str, Any] = {
        "threshold": threshold,
        "low": low,
        "unit": 0.01,
        "reset": reset,
        "max_spikes": max_spikes,
    }
    bias = drawn_integers(rng, (channels,)).repeat(high * wide)
    first = SpeckLayer("a", "x", drawn_integers(rng, kernel), bias, link=Link(conv), **options)
    weight = drawn_integers(rng, (3, int(np.prod(pool.out_shape))))
    second = SpeckLayer(
        "b", "a", weight, np.zeros(3, np.int16), link=Link(pools=(pool,)), **options
    )
    return SpeckProgram("speck2f", {"x": code(4 * 42)}, (first, second), ("b",), 5, 1e-3, "fixed")


def drawn_integers(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
    return rng.integers(-128, 128, shape).astype(np.int16)


POOLS = [
    Pool((1, 1, 1), (1, 1), (1, 1)),
    Pool((1, 1, 1), (1, 1), (2, 2)),
    Pool((1, 1, 1), (2, 1), (1, 1), (1, 0)),
]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_convolutions_and_pools_equal_the_reference_in_python_integers(
    geometry: Any, pool: Pool
) -> None:
    rng = np.random.default_rng(4)
    rules: list[tuple[Reset, int, int]] = [("subtract", 255, -250), ("zero", 1, -32767)]
    for reset, max_spikes, low in rules:
        made = conv_program(rng, geometry, pool, reset=reset, max_spikes=max_spikes, low=low)
        chip_input = binary(rng, 4 * 42, 3, 5, 0.4)
        found = emulate_speck(made, chip_input, record=("spikes", "membrane"), batch=2)
        spikes, membrane, clipped = slow(made, chip_input.codes["x"])
        for name in ("a", "b"):
            assert np.array_equal(found.spikes[name], spikes[name])
            assert np.array_equal(found.membrane[name], membrane[name])
        assert found.saturation == clipped
        assert found.spikes["a"].any()
        assert (found.spikes["a"].max() > 1) == (max_spikes > 1)


def test_many_small_parts_give_the_sums_of_one_large_part(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    made = conv_program(rng, GEOMETRIES[1], Pool((1, 1, 1), (2, 2), (2, 2)))
    chip_input = binary(rng, 4 * 42, 6, 5, 0.4)
    whole = emulate_speck(made, chip_input)
    batches: list[tuple[int, int]] = []
    monkeypatch.setattr(speck_emulator, "_PATCH_VALUES", 1)
    monkeypatch.setattr(speck_emulator, "_SUM_VALUES", 2 * 5 * made.layers[0].size)
    parts = emulate_speck(made, chip_input, progress=lambda *x: batches.append(x))
    assert batches == [(2, 6), (4, 6), (6, 6)]
    for name, spikes in whole.spikes.items():
        assert np.array_equal(parts.spikes[name], spikes)


def test_sums_of_pooled_counts_beyond_float32_are_exact() -> None:
    pool = Pool((64, 4, 4), (4, 4), (4, 4))
    layer = SpeckLayer(
        "a", "x", np.full((2, 64), 127), np.zeros(2, np.int16), 1, 0, 1.0, link=Link(pools=(pool,))
    )
    counts = np.full((1, 1, 1024), 255)
    counts[0, 0, 0] = 254
    exact = 127 * (1023 * 255 + 254)
    assert exact > 2**24 and exact % 2 == 1
    assert weighted_sums(layer, counts, 255).tolist() == [[[exact, exact]]]


@pytest.mark.parametrize(
    ("reset", "max_spikes", "low"),
    [("subtract", 1, -32767), ("subtract", 255, -150), ("zero", 3, -32767), ("zero", 1, -90)],
)
def test_the_float_twin_of_every_rule_ties_where_the_integers_tie(
    reset: Reset, max_spikes: int, low: int
) -> None:
    """Weights of few values reach the threshold exactly; the unit 1 / 123.4 is no binary number."""
    rng = np.random.default_rng(6)
    made = conv_program(
        rng, GEOMETRIES[0], POOLS[1], threshold=60, reset=reset, max_spikes=max_spikes, low=low
    )
    coarse = [
        replace(x, weight=x.weight // 16 * 10, bias=x.bias // 32 * 10, unit=1 / 123.4)
        for x in made.layers
    ]
    made = replace(made, layers=tuple(coarse))
    chip_input = binary(rng, 4 * 42, 30, 5, 0.1)
    found = emulate_speck(made, chip_input, record=("spikes", "membrane"))
    twin = simulate(dequantize_speck(made), chip_input)
    for layer in made.layers:
        assert np.array_equal(found.spikes[layer.name], twin.spikes[layer.name])
    if reset == "subtract":
        left = found.membrane["a"][found.spikes["a"] > 0]
        assert np.mean(left == 0) > 0.02, "some neurons reach their threshold exactly"


def test_samples_do_not_depend_on_the_batch_and_none_is_legal() -> None:
    rng = np.random.default_rng(2)
    made = program(rng, (12, 8))
    chip_input = binary(rng, 12, 7, made.steps, 0.4)
    whole = emulate_speck(made, chip_input)
    seen: list[tuple[int, int]] = []
    parts = emulate_speck(made, chip_input, batch=3, progress=lambda *x: seen.append(x))
    assert np.array_equal(whole.spikes["x.0"], parts.spikes["x.0"])
    assert seen == [(3, 7), (6, 7), (7, 7)]
    assert emulate_speck(made, chip_input.take(slice(0, 0))).spikes["x.0"].shape == (0, 8, 8)
