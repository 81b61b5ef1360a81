"""The emulator against a slow loop over Python integers, the published chip trace and its twins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.loihi.emulator import Kernel, emulate, kernels
from neurozsl.hardware.loihi.emulator import products as emulator_products
from neurozsl.hardware.loihi.emulator.kernels_torch import run_torch
from neurozsl.hardware.loihi.emulator.layers import choose_kernel
from neurozsl.hardware.loihi.emulator.neurons import NeuronConstants
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from tests.factories.inputs import uniform
from tests.factories.programs import program_layer
from tests.factories.traces import assert_same

Lists = list[list[list[int]]]  # [sample][time][neuron]


def truncated(x: int, keep: int) -> int:
    """Toward zero, in exact integers."""
    return (abs(x) * keep // 4096) * (1 if x >= 0 else -1)


def slow_layer(
    layer: ProgramLayer, codes: Lists, thresholds: list[list[int]]
) -> tuple[Lists, Lists, int, int]:
    """Spikes, membranes, wraps and clips of one layer: one neuron, one step, one weight at a time.

    Written from facts about the chip (widths, order, rounding), not from the code under test.
    """
    weight = layer.weight.tolist()
    spikes: Lists = []
    membranes: Lists = []
    wraps = clips = 0
    for sample, rows in enumerate(codes):
        u, v = [0] * len(weight), [0] * len(weight)
        spikes.append([])
        membranes.append([])
        for t, row in enumerate(rows):
            fired_now = []
            for n, weights in enumerate(weight):
                a = sum(w * x for w, x in zip(weights, row, strict=True))
                a = a * 2**layer.weight_exp if layer.weight_exp >= 0 else a // 2**-layer.weight_exp
                bias = int(layer.bias_mant[n]) * 2**layer.bias_exp
                if layer.bias_to == "current":
                    a, bias = a + bias // 64, 0
                x = truncated(u[n], 4096 - (layer.du + 1)) + a * 64
                wrapped = x
                if x > 2**23:
                    wrapped = x - 2**24
                elif x <= -(2**23):
                    wrapped = x + 2**24
                wraps += wrapped != x or abs(a) >= 2**17
                u[n] = wrapped
                y = truncated(v[n], 4096 - layer.dv) + u[n] + bias
                v[n] = max(-(2**23) + 1, min(2**23 - 1, y))
                clips += v[n] != y
                fired = v[n] > thresholds[sample][t] * 64
                v[n] = 0 if fired else v[n]
                fired_now.append(int(fired))
            spikes[-1].append(fired_now)
            membranes[-1].append(list(v))
    return spikes, membranes, wraps, clips


def slow(program: Program, chip_input: ChipInput) -> Trace:
    values: dict[str, Lists] = {k: v.astype(int).tolist() for k, v in chip_input.codes.items()}
    spikes, membrane = {}, {}
    overflow, saturation = {}, {}
    for layer in program.layers:
        thresholds = [[layer.vth] * chip_input.steps for _ in range(chip_input.batch)]
        if program.policy == "table" and layer.vth_table is not None:
            thresholds = [layer.vth_table.tolist() for _ in range(chip_input.batch)]
        if program.policy == "dynamic" and chip_input.theta is not None:
            thresholds = [[round(x / layer.unit) for x in r] for r in chip_input.theta[layer.name]]
        found = slow_layer(layer, values[layer.source], thresholds)
        values[layer.name] = found[0]
        spikes[layer.name], membrane[layer.name] = np.array(found[0]), np.array(found[1])
        overflow[layer.name], saturation[layer.name] = found[2], found[3]
    return Trace(spikes, overflow, saturation, membrane)


def random_layer(
    rng: np.random.Generator, name: str, source: str, shape: tuple[int, int], **changes: Any
) -> ProgramLayer:
    bits = int(rng.integers(4, 9))
    step = 2 ** (9 - bits)
    values: dict[str, Any] = {
        "weight": step * rng.integers(-256 // step, 256 // step, shape),
        "weight_bits": bits,
        "weight_exp": int(rng.integers(-2, 3)),
        "bias_mant": rng.integers(-4096, 4096, shape[0]),
        "bias_exp": int(rng.choice([0, 3, 7])),
        "du": int(rng.choice([0, 1, 700, 4094, 4095, 4095])),
        "dv": int(rng.choice([0, 1, 410, 2048, 4095])),
        "vth": int(rng.choice([0, 1, 300, 5000, 131071])),
        "unit": 0.5,
    }
    return ProgramLayer(name=name, source=source, **{**values, **changes})


CODES = {
    "graded 4 bits": InputCode(7, "graded", 4, False, 1.0),
    "graded 8 bits": InputCode(7, "graded", 8, False, 1.0),
    "graded signed 8 bits": InputCode(7, "graded", 8, True, 1.0),
    "graded signed 12 bits": InputCode(7, "graded", 12, True, 1.0),
    "ternary": InputCode(7, "ternary", 1, False, 1.0),
    "binary": InputCode(7, "binary", 1, False, 1.0),
}


@pytest.mark.parametrize("kernel", ["numba", "torch"])
@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_equal_the_slow_loop_bit_for_bit(
    kind: str, seed: int, kernel: Kernel
) -> None:
    rng = np.random.default_rng([seed, *kind.encode()])
    code = CODES[kind]
    layers = (
        random_layer(rng, "a", "x", (5, 7)),
        random_layer(rng, "b", "a", (4, 5)),
        random_layer(rng, "c", "x", (3, 7), bias_to="current", bias_exp=7),
    )
    program = Program("loihi2", {"x": code}, layers, ("b", "c"), 9, 1e-3, "frozen")
    given = uniform(rng, code, 4, 9)
    # A batch of 3 makes the last one short.
    found = emulate(program, given, record=("spikes", "membrane"), batch=3, kernel=kernel)
    assert_same(found, slow(program, given))


@pytest.mark.parametrize("allowed", ["packed", "int8", "neither"])
@pytest.mark.parametrize(
    "kind", ["graded 4 bits", "ternary", "graded 8 bits", "graded signed 8 bits"]
)
def test_layers_wide_enough_for_8_bit_products_equal_the_slow_loop(
    kind: str, allowed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng([9, *kind.encode()])
    code = replace(CODES[kind], size=40)
    narrow = {"weight_exp": 0, "du": 4095, "dv": 2048, "vth": 300, "bias_exp": 0}
    layers = (
        random_layer(rng, "a", "x", (24, 40), **narrow),
        random_layer(rng, "b", "a", (17, 24), **narrow),
    )
    used: list[tuple[str, int]] = []

    def noted(name: str) -> None:
        made = getattr(emulator_products, name)

        def make(half: Any, *more: Any, **options: Any) -> emulator_products.Product:
            used.append((name, len(half)))
            product: emulator_products.Product = made(half, *more, **options)
            return product

        monkeypatch.setattr(emulator_products, name, make)

    for shape, low, high in (((24, 40), code.low, code.high), ((17, 24), 0, 1)):
        fits = allowed == "packed" or (allowed == "int8" and high <= 127)
        if fits and not emulator_products._is_exact(allowed, shape, low, high):
            pytest.skip(f"the {allowed} product of this CPU is not exact")
    for name in ("packed_product", "int8_product", "float_product"):
        noted(name)
    monkeypatch.setattr(emulator_products, "_is_exact", lambda product, *rest: product == allowed)
    program = Program("loihi2", {"x": code}, layers, ("b",), 6, 1e-3, "frozen")
    given = uniform(rng, code, 5, 6)
    found = emulate(program, given, record=("spikes", "membrane"), batch=3)
    assert_same(found, slow(program, given))
    assert 0.02 < found.spikes["b"].mean() < 0.98
    first = {"packed": "packed_product", "int8": "int8_product", "neither": "float_product"}
    wide = "float_product" if allowed == "int8" and code.high > 127 else first[allowed]
    assert used == [(wide, 24), (first[allowed], 17)]


def test_random_networks_reach_wraps_clips_and_spikes() -> None:
    seen = {"wraps": 0, "clips": 0, "spikes": 0}
    for seed in range(12):
        rng = np.random.default_rng([seed, *b"graded signed 12 bits"])
        code = CODES["graded signed 12 bits"]
        layer = random_layer(rng, "a", "x", (5, 7))
        program = Program("loihi2", {"x": code}, (layer,), ("a",), 9, 1e-3, "frozen")
        trace = emulate(program, uniform(rng, code, 4, 9))
        seen["wraps"] += trace.overflow["a"]
        seen["clips"] += trace.saturation["a"]
        seen["spikes"] += int(trace.spikes["a"].sum())
    assert all(count > 20 for count in seen.values()), seen


@pytest.mark.parametrize("policy", ["table", "dynamic"])
def test_thresholds_that_change_with_time_equal_the_slow_loop(policy: Any) -> None:
    rng = np.random.default_rng(3)
    code = CODES["graded 4 bits"]
    layers = tuple(
        random_layer(
            rng, name, source, shape, dv=2048, vth_table=rng.integers(0, 3000, 6), bias_exp=0
        )
        for name, source, shape in (("a", "x", (5, 7)), ("b", "a", (4, 5)))
    )
    program = Program("loihi2", {"x": code}, layers, ("b",), 6, 1e-3, policy)
    given = uniform(rng, code, 4, 6)
    theta = {name: rng.uniform(0, 1500, (4, 6)) for name in ("a", "b")}
    given = replace(given, theta=theta)
    found = emulate(program, given, record=("spikes", "membrane"), batch=3)
    assert_same(found, slow(program, given))
    assert 0 < found.spikes["a"].mean() < 1


@pytest.mark.parametrize("du", [0, 1, 700, 4094, 4095])
@pytest.mark.parametrize("dv", [0, 1, 2048, 4095])
def test_compiled_neurons_equal_their_tensor_twin(du: int, dv: int) -> None:
    rng = np.random.default_rng([du, dv])
    # Sums up to the last value that the 32-bit adder takes (a = 2 x sum below 2^25).
    sums = rng.integers(-(2**24) + 1, 2**24, (6, 8, 33)).astype(np.int32)
    sums[:3] //= 2**8
    threshold = (rng.integers(0, 2**17, (6, 8)) << 6).astype(np.int32)
    none = np.zeros(33, np.int32)
    bias = rng.integers(-524288, 524161, 33).astype(np.int32)
    constants = NeuronConstants(1, 0, none, bias, 4096 - (du + 1), 4096 - dv)
    compiled = kernels.run_numba(sums, threshold, constants, keep_membrane=True)
    plain = run_torch(
        torch.from_numpy(sums), torch.from_numpy(threshold), constants, keep_membrane=True
    )
    np.testing.assert_array_equal(compiled.spikes, plain.spikes)
    np.testing.assert_array_equal(compiled.membrane, plain.membrane)
    assert (compiled.overflow, compiled.saturation) == (plain.overflow, plain.saturation)
    assert plain.overflow > 0


def test_compiled_neurons_are_in_use() -> None:
    assert choose_kernel("cpu", "auto") == "numba"


def extremes(code: InputCode) -> tuple[Program, ChipInput]:
    """The largest sums that a layer of 8-bit weights and these codes can make."""
    weight = np.array([[254] * 64, [-256] * 64, [254, -256] * 32] * 6, np.int16)
    layer = program_layer("a", "x", weight, weight_exp=-2, dv=0, vth=131071)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 4, 1e-3, "frozen")
    codes = np.stack([np.full((4, 64), code.low), np.full((4, 64), code.high)])
    return program, ChipInput({"x": codes}, {"x": code})


@pytest.mark.parametrize(
    "code",
    [
        InputCode(64, "graded", 7, False, 1.0),
        InputCode(64, "graded", 8, True, 1.0),
        InputCode(64, "graded", 8, False, 1.0),
        InputCode(64, "graded", 12, True, 1.0),
        InputCode(64, "graded", 13, False, 1.0),
    ],
)
def test_the_largest_products_are_exact(code: InputCode) -> None:
    program, given = extremes(code)
    assert_same(emulate(program, given, record=("spikes", "membrane")), slow(program, given))


@pytest.mark.parametrize("inputs", [16, 17, 64, 509])
@pytest.mark.parametrize("outputs", [1, 10, 16, 37])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_every_product_that_passes_the_check_equals_int64(
    inputs: int, outputs: int, rows: int
) -> None:
    rng = np.random.default_rng([inputs, outputs, rows])
    half = rng.integers(-128, 128, (outputs, inputs))
    codes = rng.integers(-128, 128, (1, rows, inputs)).astype(np.int16)
    exact = codes.astype(np.int64) @ half.T
    products = [
        emulator_products.float_product(half, kind, "cpu")
        for kind in (torch.float32, torch.float64)
    ]
    if emulator_products._is_exact("packed", half.shape, -128, 127):
        products.append(emulator_products.packed_product(half, unsigned=False))
    if emulator_products._is_exact("int8", half.shape, -128, 127):
        products.append(emulator_products.int8_product(half))
    for product in products:
        np.testing.assert_array_equal(product(torch.from_numpy(codes)), exact)


def test_weights_in_any_memory_order_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    code = InputCode(40, "binary", 1, False, 1.0)
    one = random_layer(rng, "a", "x", (24, 40), dv=2048, vth=300, bias_exp=0, weight_exp=0)
    given = uniform(rng, code, 4, 6)
    traces = []
    for weight in (np.ascontiguousarray(one.weight), np.asfortranarray(one.weight)):
        layers = (replace(one, weight=weight),)
        program = Program("loihi2", {"x": code}, layers, ("a",), 6, 1e-3, "frozen")
        traces.append(emulate(program, given, record=("spikes", "membrane")))
    assert_same(traces[1], traces[0])


def test_small_layers_do_not_use_the_int8_product() -> None:
    # torch 2.13's int8 product of a single input returns memory that nobody wrote.
    code = InputCode(1, "graded", 4, False, 1.0)
    layer = program_layer("a", "x", np.full((20, 1), 6), dv=0, vth=99)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 2, 1e-3, "frozen")
    given = ChipInput({"x": np.full((3, 2, 1), 15)}, {"x": code})
    assert_same(emulate(program, given, record=("spikes", "membrane")), slow(program, given))


def test_the_wrap_measured_in_lava_is_reproduced() -> None:
    # -256 x 512 inputs: -2^23 wraps to +2^23, and the neuron fires at its highest threshold.
    weight = np.full((1, 512), -256, np.int16)
    layer = program_layer("a", "x", weight, dv=0, vth=131071)
    code = InputCode(512, "binary", 1, False, 1.0)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 1, 1e-3, "frozen")
    trace = emulate(program, ChipInput({"x": np.ones((1, 1, 512))}, {"x": code}))
    assert trace.overflow["a"] == 1
    assert trace.saturation["a"] == 1  # 2^23 into a membrane that ends at 2^23 - 1
    assert trace.spikes["a"].tolist() == [[[1]]]
    milder = replace(layer, weight=np.append(weight[:, 1:], [[-254]], axis=1))
    program = replace(program, layers=(milder,))
    trace = emulate(program, ChipInput({"x": np.ones((1, 1, 512))}, {"x": code}))
    assert trace.overflow["a"] == 0
    assert trace.spikes["a"].tolist() == [[[0]]]


def test_bias_is_added_to_the_membrane_in_64ths_of_a_weight() -> None:
    layer = program_layer(
        "a", "x", np.zeros((1, 1), int), bias_mant=np.array([3]), bias_exp=6, dv=0, vth=10
    )
    code = InputCode(1, "binary", 1, False, 1.0)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 2, 1e-3, "frozen")
    trace = emulate(
        program, ChipInput({"x": np.zeros((1, 2, 1))}, {"x": code}), record=("membrane",)
    )
    assert trace.membrane["a"].ravel().tolist() == [192, 384]


def loihi_neuron() -> tuple[Program, InputCode]:
    """Parameters of the published trace (README of the data folder)."""
    code = InputCode(1, "binary", 1, False, 1.0)
    layer = program_layer("lif", "in", np.array([[10]]), dv=163, vth=25)
    return Program("loihi1", {"in": code}, (layer,), ("lif",), 1000, 1e-4, "frozen"), code


@pytest.mark.parametrize(("name", "at_spike"), [("loihi", 128), ("cpu", 0)])
def test_the_trace_published_for_the_chip_is_reproduced_bit_for_bit(
    name: str, at_spike: int, shared_data: Path
) -> None:
    """Read-out rule: v after the step; at a spike step the chip shows 128, the CPU model 0.

    The reset membrane is 0 in both; 128 is what the chip's read-out register holds then, two weight
    units of 64. The input arrives one step late (the synapse of the published run).
    """
    golden = np.loadtxt(
        shared_data / "nir" / "golden" / f"lif_lava_{name}_fixed.csv", delimiter=","
    )
    program, code = loihi_neuron()
    late = np.concatenate([[0.0], golden[:-1, 0]])[None, :, None]
    trace = emulate(program, ChipInput({"in": late}, {"in": code}), record=("spikes", "membrane"))
    spikes, v = trace.spikes["lif"][0, :, 0], trace.membrane["lif"][0, :, 0]
    assert np.flatnonzero(spikes).tolist() == [461, 511, 711, 761]
    np.testing.assert_array_equal(spikes, golden[:, 2])
    np.testing.assert_array_equal(np.where(spikes == 1, at_spike, v), golden[:, 1])


def test_progress_and_batches_cover_all_samples_once() -> None:
    rng = np.random.default_rng(0)
    code = CODES["graded 4 bits"]
    program = Program(
        "loihi2", {"x": code}, (random_layer(rng, "a", "x", (5, 7)),), ("a",), 3, 1e-3, "frozen"
    )
    given = uniform(rng, code, 7, 3)
    calls: list[tuple[int, int]] = []
    whole = emulate(program, given)
    parts = emulate(program, given, batch=3, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(3, 7), (6, 7), (7, 7)]
    np.testing.assert_array_equal(whole.spikes["a"], parts.spikes["a"])
    assert whole.overflow == parts.overflow
    assert not whole.membrane


def test_samples_do_not_leak_into_each_other() -> None:
    rng = np.random.default_rng(1)
    code = CODES["ternary"]
    program = Program(
        "loihi2",
        {"x": code},
        (random_layer(rng, "a", "x", (5, 7), du=0, dv=0, weight_exp=0, bias_exp=0, vth=300),),
        ("a",),
        5,
        1e-3,
        "frozen",
    )
    given = uniform(rng, code, 6, 5)
    together = emulate(program, given).spikes["a"]
    for row in range(6):
        alone = emulate(program, given.take(slice(row, row + 1))).spikes["a"]
        np.testing.assert_array_equal(alone[0], together[row])


def test_no_samples_give_an_empty_trace() -> None:
    rng = np.random.default_rng(1)
    code = CODES["binary"]
    program = Program(
        "loihi2", {"x": code}, (random_layer(rng, "a", "x", (5, 7)),), ("a",), 5, 1e-3, "frozen"
    )
    trace = emulate(program, ChipInput({"x": np.zeros((0, 5, 7))}, {"x": code}))
    assert trace.spikes["a"].shape == (0, 5, 5)


def test_codes_out_of_range_never_reach_the_products() -> None:
    rng = np.random.default_rng(1)
    code = CODES["graded 4 bits"]
    program = Program(
        "loihi2", {"x": code}, (random_layer(rng, "a", "x", (5, 7)),), ("a",), 5, 1e-3, "frozen"
    )
    with pytest.raises(BadInput, match=r"codes 16\.\.16 leave 0\.\.15"):
        emulate(program, ChipInput({"x": np.full((1, 5, 7), 16)}, {"x": code}))
