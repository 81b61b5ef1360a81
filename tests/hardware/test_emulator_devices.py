"""The same bits by every way to run: kernels, devices, one step at a time, lowered precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Policy
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.emulator import Kernel, emulate, kernels, layers
from neurozsl.hardware.loihi.emulator import products as emulator_products
from neurozsl.hardware.loihi.emulator.neurons import NeuronConstants, reachable
from neurozsl.hardware.loihi.emulator.steps import Stepper
from neurozsl.hardware.loihi.program import Program, ProgramLayer, accumulator_bound
from neurozsl.hardware.network.ranges import value_ranges
from tests.factories.traces import assert_same

EVERYTHING: tuple[Record, ...] = ("spikes", "membrane")
STEPS, SAMPLES = 7, 5


def network(
    seed: int, *, policy: Policy = "frozen", steps: int = STEPS, **changes: Any
) -> tuple[Program, ChipInput]:
    """Two pathways; decays, biases and exponents such that u wraps and v clips in some layers."""
    rng = np.random.default_rng(seed)
    codes = {
        "audio": InputCode(24, "graded", 8, True, 1.0),
        "video": InputCode(20, "ternary", 1, False, 1.0),
    }
    layers = []
    for name, source, out, width in (
        ("a0", "audio", 18, 24),
        ("a1", "a0", 17, 18),
        ("v0", "video", 16, 20),
        ("v1", "v0", 5, 16),
    ):
        values: dict[str, Any] = {
            "weight": 2 * rng.integers(-128, 128, (out, width)),
            "weight_bits": 8,
            "weight_exp": int(rng.integers(-2, 4)),
            "bias_mant": rng.integers(-4096, 4096, out),
            "bias_exp": 7 if name == "v1" else int(rng.choice([0, 4])),
            "bias_to": "current" if name == "v1" else "membrane",
            "du": int(rng.choice([0, 700, 4095])),
            "dv": int(rng.choice([0, 410, 4095])),
            "vth": int(rng.choice([50, 900, 9000])),
            "unit": 0.5,
            "vth_table": rng.integers(0, 2000, steps),
        }
        layers.append(ProgramLayer(name=name, source=source, **{**values, **changes}))
    program = Program("loihi2", codes, tuple(layers), ("a1", "v1"), steps, 1e-3, policy)
    given = {
        name: rng.integers(code.low, code.high + 1, (SAMPLES, steps, code.size))
        for name, code in codes.items()
    }
    theta = {layer.name: rng.uniform(0, 900, (SAMPLES, steps)) for layer in layers}
    return program, ChipInput(given, codes, theta if policy == "dynamic" else None)


@pytest.fixture(name="matmul_precision")
def _matmul_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


# ---------------------------------------------------------------- devices and kernels


@pytest.mark.parametrize("policy", ["frozen", "table", "dynamic"])
@pytest.mark.parametrize("seed", range(8))
def test_both_kernels_give_the_same_bits_and_counts(seed: int, policy: Policy) -> None:
    program, given = network(seed, policy=policy)
    numba = emulate(program, given, record=EVERYTHING, kernel="numba")
    assert_same(emulate(program, given, record=EVERYTHING, kernel="torch"), numba)


def test_the_compared_networks_wrap_clip_and_spike() -> None:
    traces = [emulate(*network(seed)) for seed in range(8)]
    for counts in ([t.overflow for t in traces], [t.saturation for t in traces]):
        every = [count for trace in counts for count in trace.values()]
        assert 0 in every and max(every) > 100
    rates = [rate for trace in traces for rate in trace.rates().values()]
    assert 0.1 < float(np.mean(rates)) < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_a_cuda_device_gives_the_bits_of_the_cpu(seed: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device on this machine")
    program, given = network(seed, policy="dynamic")
    found = emulate(program, given, record=EVERYTHING, device="cuda", batch=3)
    assert_same(found, emulate(program, given, record=EVERYTHING))
    stepper = Stepper(program, SAMPLES, device="cuda")
    for t in range(STEPS):
        codes = {name: x[:, t] for name, x in given.codes.items()}
        spikes = stepper.step(codes, {name: x[:, t] for name, x in (given.theta or {}).items()})
        for name in spikes:
            np.testing.assert_array_equal(spikes[name].cpu().numpy(), found.spikes[name][:, t])


def test_devices_and_kernels_that_cannot_run_are_refused() -> None:
    program, given = network(0)
    wrong: Any = "numpy"
    with pytest.raises(BadInput, match="kernel 'numpy' is not one of"):
        emulate(program, given, kernel=wrong)
    with pytest.raises(BadInput, match=r"'numba' runs on the CPU and needs numba, not on 'meta'"):
        emulate(program, given, device="meta", kernel="numba")
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="sees no CUDA device for 'cuda:1'"):
            emulate(program, given, device="cuda:1")


def test_without_numba_the_tensor_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    program, given = network(1)
    wanted = emulate(program, given, record=EVERYTHING)
    monkeypatch.setattr(kernels, "HAS_NUMBA", False)
    assert layers.choose_kernel("cpu", "auto") == "torch"
    assert_same(emulate(program, given, record=EVERYTHING), wanted)


@pytest.mark.parametrize("lowered", ["medium", "high", "autocast"])
def test_products_stay_exact_where_torch_lowers_float32(
    lowered: str, matmul_precision: None
) -> None:
    rng = np.random.default_rng(0)
    half = rng.integers(-128, 128, (40, 64))
    codes = rng.integers(0, 1 << 11, (4, 8, 64))  # sums below 2^24, products above 2^8
    product = emulator_products.float_product(half, torch.float32, "cpu")
    if lowered != "autocast":
        torch.set_float32_matmul_precision(lowered)
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered == "autocast"):
        found = product(torch.from_numpy(codes))
    np.testing.assert_array_equal(found, codes @ half.T)


# ---------------------------------------------------------------- one step at a time


@pytest.mark.parametrize("policy", ["frozen", "table", "dynamic"])
@pytest.mark.parametrize("kernel", ["numba", "torch"])
@pytest.mark.parametrize("seed", range(6))
def test_steps_equal_the_batch_bit_for_bit(seed: int, kernel: Kernel, policy: Policy) -> None:
    program, given = network(seed, policy=policy)
    wanted = emulate(program, given, record=EVERYTHING)
    stepper = Stepper(program, SAMPLES, kernel=kernel)
    for t in range(STEPS):
        codes = {name: x[:, t] for name, x in given.codes.items()}
        theta = {name: x[:, t] for name, x in (given.theta or {}).items()}
        spikes = stepper.step(codes, theta or None)
        membrane = stepper.membrane()
        for name in wanted.spikes:
            np.testing.assert_array_equal(spikes[name], wanted.spikes[name][:, t], err_msg=name)
            np.testing.assert_array_equal(membrane[name], wanted.membrane[name][:, t])
    assert stepper.overflow == dict(wanted.overflow)
    assert stepper.saturation == dict(wanted.saturation)


def test_a_threshold_can_follow_the_spikes_of_the_step_before() -> None:
    program, given = network(2, policy="dynamic")
    names = [layer.name for layer in program.layers]
    theta = {name: np.full(SAMPLES, 40.0) for name in names}
    used: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    stepper = Stepper(program, SAMPLES)
    for t in range(STEPS):
        used.append(theta)
        found.append(stepper.step({name: x[:, t] for name, x in given.codes.items()}, theta))
        theta = {name: 40.0 + 60.0 * found[-1][name].mean(axis=1) for name in names}
    assert any((used[-1][name] != used[0][name]).any() for name in names)
    table = {name: np.stack([step[name] for step in used], axis=1) for name in names}
    open_loop = emulate(program, replace(given, theta=table))
    for name in names:
        closed = np.stack([step[name] for step in found], axis=1)
        np.testing.assert_array_equal(closed, open_loop.spikes[name])


def test_steps_that_do_not_fit_are_refused() -> None:
    program, given = network(3, policy="table")
    stepper = Stepper(program, SAMPLES)
    codes = {name: x[:, 0] for name, x in given.codes.items()}
    with pytest.raises(BadInput, match="2 samples in this step, it was started with 5"):
        stepper.step({name: x[:2] for name, x in codes.items()})
    for _ in range(STEPS):
        stepper.step(codes)
    with pytest.raises(BadInput, match="step 8, the threshold table has 7"):
        stepper.step(codes)
    with pytest.raises(BadInput, match="theta of layer 'a0' is missing"):
        Stepper(replace(program, policy="dynamic"), SAMPLES).step(codes)


# ---------------------------------------------------------------- when counting is left out


@pytest.mark.parametrize("seed", range(40))
def test_what_is_called_unreachable_is_never_reached(seed: int) -> None:
    """Inputs that push every neuron as far as the code allows, counted by the tensor kernel."""
    rng = np.random.default_rng(seed)
    code = InputCode(16, "graded", int(rng.integers(2, 9)), True, 1.0)
    layer = ProgramLayer(
        "a",
        "x",
        (2 * rng.integers(-128, 128, (16, 16))).astype(np.int16),
        8,
        int(rng.integers(-3, 3)),
        rng.integers(-4096, 4096, 16).astype(np.int32),
        int(rng.integers(0, 8)),
        int(rng.choice([4095, 4000, 2048, 500, 0])),
        int(rng.choice([4095, 2048, 410, 30, 0])),
        131071,
        1.0,
    )
    steps = int(rng.choice([1, 6, 40]))
    program = Program("loihi2", {"x": code}, (layer,), ("a",), steps, 1e-3, "frozen")
    away = np.where(layer.weight > 0, code.high, code.low)  # sample i pushes neuron i up
    given = np.repeat(np.concatenate([away, -away])[:, None], steps, axis=1)
    trace = emulate(program, ChipInput({"x": given}, {"x": code}), kernel="torch")
    constants = layers.layer_constants(layer, ((code.low, code.high),))
    wraps, clips = reachable(constants, steps)
    assert constants.reach == accumulator_bound(layer, value_ranges({"x": code}))
    assert wraps or trace.overflow["a"] == 0
    assert clips or trace.saturation["a"] == 0
    forever = reachable(constants, None)
    assert (forever[0] or not wraps) and (forever[1] or not clips)


def test_the_reach_decides_what_is_counted_at_the_exact_limit() -> None:
    none = np.zeros(1, np.int32)

    def limits(reach: int, keep_v: int, steps: int | None, bias: int = 0) -> tuple[bool, bool]:
        to_membrane = np.full(1, bias, np.int32)
        return reachable(NeuronConstants(1, 0, none, to_membrane, 0, keep_v, reach), steps)

    assert limits((1 << 17) - 1, 0, 1) == (False, False)
    assert limits(1 << 17, 0, 1) == (True, True)
    assert limits((1 << 17) - 1, 0, 1, bias=63) == (False, False)
    assert limits((1 << 17) - 1, 0, 1, bias=64) == (False, True)
    assert limits(1 << 16, 2048, None) == (False, True)  # the membrane doubles what arrives
    assert limits((1 << 16) - 1, 2048, None) == (False, False)
    assert limits(1 << 14, 4096, 8) == (False, True)  # eight steps without a leak
    assert limits(1 << 14, 4096, 7) == (False, False)
    assert limits(1, 4096, None) == (False, True)
    assert limits(0, 4096, None) == (False, False)
