"""Convolutions, pools, delays, cycles and neuron rules: the emulator against loops over integers.

The reference visits one neuron, one step, one tap at a time in Python's integers and is written
from `synapse`'s and `neuron`'s definitions, not from the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch

from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.emulator import Kernel, emulate
from neurozsl.hardware.loihi.emulator import conv as emulator_conv
from neurozsl.hardware.loihi.emulator import layers as emulator_layers
from neurozsl.hardware.loihi.emulator import maps as emulator_maps
from neurozsl.hardware.loihi.emulator import products as emulator_products
from neurozsl.hardware.loihi.emulator.steps import Stepper
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.network.neuron import NeuronRule, Reset
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from tests.factories.programs import program_layer
from tests.factories.traces import assert_same

EVERYTHING: tuple[Record, ...] = ("spikes", "membrane")
STEPS, SAMPLES = 6, 3
Row = list[int]

# ---------------------------------------------------------------- the slow reference


def slow_pool(pool: Pool, row: Row) -> Row:
    channels, rows, columns = pool.shape
    _, high, wide = pool.out_shape
    found = []
    for c, y, x in product(range(channels), range(high), range(wide)):
        total = 0
        for i, j in product(range(pool.kernel[0]), range(pool.kernel[1])):
            at_y = y * pool.stride[0] + i - pool.padding[0]
            at_x = x * pool.stride[1] + j - pool.padding[1]
            if 0 <= at_y < rows and 0 <= at_x < columns:
                total += row[(c * rows + at_y) * columns + at_x]
        found.append(total)
    return found


def slow_conv(conv: Conv, weight: Any, row: Row) -> Row:
    _, rows, columns = conv.shape
    made, per_group, kernel_y, kernel_x = np.shape(weight)
    _, high, wide = conv.out_shape(np.shape(weight))
    found = []
    for o, y, x in product(range(made), range(high), range(wide)):
        group, total = o // (made // conv.groups), 0
        for c, i, j in product(range(per_group), range(kernel_y), range(kernel_x)):
            at_y = y * conv.stride[0] + i * conv.dilation[0] - conv.padding[0]
            at_x = x * conv.stride[1] + j * conv.dilation[1] - conv.padding[2]
            if 0 <= at_y < rows and 0 <= at_x < columns:
                seen = row[((group * per_group + c) * rows + at_y) * columns + at_x]
                total += weight[o][c][i][j] * seen
        found.append(total)
    return found


def slow_synapse(synapse: Synapse, rows: list[Row], t: int) -> Row:
    late = t - synapse.link.delay
    row = rows[late] if late >= 0 else [0] * synapse.size_in
    for pool in synapse.link.pools:
        row = slow_pool(pool, row)
    weight = synapse.weight.tolist()
    if synapse.link.conv is not None:
        return slow_conv(synapse.link.conv, weight, row)
    return [sum(w * x for w, x in zip(ws, row, strict=True)) for ws in weight]


def truncated(x: int, keep: int) -> int:
    return (abs(x) * keep // 4096) * (1 if x >= 0 else -1)


@dataclass
class SlowNeuron:
    """One neuron: v is its membrane after a step, owed what a late reset takes off the next."""

    v: int = 0
    owed: int = 0
    clips: int = 0

    def fire(self, rule: NeuronRule, v: int, limit: int) -> int:
        """Spikes of a step whose input and decay lead to v."""
        if rule.reset == "subtract-late":
            v -= self.owed
        if rule.reset == "zero-late" and self.owed:
            v = 0
        inside = max(-(2**23) + 1, min(2**23 - 1, v))
        self.clips += inside != v
        v = level = inside
        if rule.reset == "subtract-nodelay" and self.v > limit:
            level -= limit
        count = 0
        if rule.spiking and (level >= limit if rule.compare == ">=" else level > limit):
            count = min(v // limit if limit else rule.max_spikes, rule.max_spikes)
            count = 1 if rule.max_spikes == 1 else count
        if count and rule.reset == "zero":
            v = 0
        if rule.reset in ("subtract", "subtract-nodelay"):
            v -= count * limit
        self.owed = count * limit if rule.reset == "subtract-late" else count
        self.v = v if rule.low is None else max(v, int(rule.low))
        return count


def slow(program: Program, given: ChipInput) -> Trace:
    names = [layer.name for layer in program.layers]
    spikes: dict[str, list[list[Row]]] = {name: [] for name in names}
    membrane: dict[str, list[list[Row]]] = {name: [] for name in names}
    wraps, clips = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for sample in range(given.batch):
        sent = {name: x[sample].astype(int).tolist() for name, x in given.codes.items()}
        sent |= {name: [] for name in names}
        kept: dict[str, list[Row]] = {name: [] for name in names}
        u = {layer.name: [0] * layer.size for layer in program.layers}
        neurons = {x.name: [SlowNeuron() for _ in range(x.size)] for x in program.layers}
        for t in range(given.steps):
            for layer in program.layers:
                name = layer.name
                parts = [slow_synapse(s, sent[s.source], t) for s in layer.synapses]
                counts = []
                for n, several in enumerate(zip(*parts, strict=True)):
                    a = sum(several)
                    a = a << layer.weight_exp if layer.weight_exp >= 0 else a >> -layer.weight_exp
                    bias = int(layer.bias_mant[n]) * 2**layer.bias_exp
                    if layer.bias_to == "current":
                        a, bias = a + bias // 64, 0
                    x = truncated(u[name][n], 4096 - (layer.du + 1)) + a * 64
                    folded = x
                    if x > 2**23:
                        folded = x - 2**24
                    elif x <= -(2**23):
                        folded = x + 2**24
                    wraps[name] += folded != x or abs(a) >= 2**17
                    u[name][n] = folded
                    neuron = neurons[name][n]
                    y = truncated(neuron.v, 4096 - layer.dv) + folded + bias
                    counts.append(neuron.fire(layer.rule, y, layer.vth * 64))
                sent[name].append(counts)
                kept[name].append([neuron.v for neuron in neurons[name]])
        for name in names:
            clips[name] += sum(neuron.clips for neuron in neurons[name])
            spikes[name].append(sent[name])
            membrane[name].append(kept[name])
    arrays = [{name: np.array(x) for name, x in found.items()} for found in (spikes, membrane)]
    return Trace(arrays[0], wraps, clips, arrays[1])


# ---------------------------------------------------------------- random networks

CODES = {
    "binary": InputCode(70, "binary", 1, False, 1.0),
    "ternary": InputCode(70, "ternary", 1, False, 1.0),
    "graded": InputCode(70, "graded", 4, False, 1.0),
    "graded signed": InputCode(70, "graded", 10, True, 1.0),
}
MAP = (2, 7, 5)  # of the input
RULES = (
    NeuronRule(),
    NeuronRule("subtract"),
    NeuronRule("zero", 1, ">="),
    NeuronRule("zero", 3, ">", low=-500.0),
    NeuronRule("subtract", 1, ">=", low=-64.0),
    NeuronRule("subtract", 255, ">=", low=-6400.0),
    NeuronRule("subtract", 4, ">"),
    NeuronRule("zero", 1, ">", low=0.0),
    NeuronRule("none"),
    NeuronRule("none", 3, ">=", low=-500.0),
    NeuronRule("zero-late"),
    NeuronRule("zero-late", 1, ">=", low=-640.0),
    NeuronRule("subtract-late"),
    NeuronRule("subtract-late", 1, ">=", low=-6400.0),
    NeuronRule("subtract-late", 255, ">"),
    NeuronRule("subtract-nodelay"),
    NeuronRule("subtract-nodelay", 1, ">=", low=-64.0),
)


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return (2 * rng.integers(-128, 128, shape)).astype(np.int16)


def layer(
    rng: np.random.Generator, name: str, first: Synapse, *also: Synapse, **changes: Any
) -> ProgramLayer:
    values: dict[str, Any] = {
        "bias_mant": rng.integers(-2000, 4096, first.size_out),
        "bias_exp": int(rng.choice([0, 3])),
        "weight_exp": int(rng.integers(-2, 2)),
        "du": int(rng.choice([0, 900, 4095, 4095])),
        "dv": int(rng.choice([0, 410, 2048, 4095])),
        "vth": int(rng.choice([0, 40, 300, 900])),
        "rule": RULES[int(rng.integers(len(RULES)))],
    }
    values |= changes
    return program_layer(name, first.source, first.weight, link=first.link, also=also, **values)


def conv_synapse(
    rng: np.random.Generator, source: str, shape: tuple[int, int, int], made: int
) -> Synapse:
    """Any stride, padding, dilation and groups that fit."""
    groups = int(rng.choice([g for g in (1, 2, 3) if shape[0] % g == 0 and made % g == 0]))
    kernel = [int(rng.integers(1, 4)) if extent > 1 else 1 for extent in shape[1:]]
    padding = rng.integers(0, 3, 4)
    dilation = rng.integers(1, 3, 2)
    for axis, extent in enumerate(shape[1:]):
        span = dilation[axis] * (kernel[axis] - 1) + 1
        padding[2 * axis] += max(0, span - extent - padding[2 * axis : 2 * axis + 2].sum())
    conv = Conv(
        shape,
        (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        (int(padding[0]), int(padding[1]), int(padding[2]), int(padding[3])),
        (int(dilation[0]), int(dilation[1])),
        groups,
    )
    return Synapse(source, weights(rng, (made, shape[0] // groups, *kernel)), Link(conv))


def dense_synapse(
    rng: np.random.Generator, source: str, width: int, out: int, delay: int = 0
) -> Synapse:
    return Synapse(source, weights(rng, (out, width)), Link(delay=delay))


def later(synapse: Synapse, delay: int) -> Synapse:
    link = synapse.link
    return Synapse(synapse.source, synapse.weight, Link(link.conv, link.pools, delay))


def network(seed: int, kind: str) -> tuple[Program, ChipInput]:
    """Convolutions, a pool, two synapses, a self loop, a loop of two layers, delays, a read-out."""
    rng = np.random.default_rng([seed, *kind.encode()])
    code = CODES[kind]
    a = layer(rng, "a", conv_synapse(rng, "x", MAP, 6))
    pool = Pool(a.shape, (2, 1), (1, 2), (1, 0))  # type: ignore[arg-type]
    after = conv_synapse(rng, "a", pool.out_shape, 2)
    b = layer(
        rng,
        "b",
        Synapse("a", after.weight, Link(after.link.conv, (pool,), int(rng.integers(0, 2)))),
        dense_synapse(rng, "x", code.size, after.size_out, 2),
    )
    same = Conv(b.shape, padding=(1, 1, 1, 1))  # type: ignore[arg-type]
    back = Synapse("c", weights(rng, (b.shape[0], b.shape[0], 3, 3)), Link(same, delay=1))
    c = layer(
        rng,
        "c",
        Synapse("b", weights(rng, (b.shape[0], b.shape[0], 3, 3)), Link(same)),
        back,
        dense_synapse(rng, "e", 5, b.size, 3),
    )
    sums = Pool(c.shape, (1, 1), (1, 1))  # type: ignore[arg-type]
    d = layer(rng, "d", Synapse("c", weights(rng, (7, c.size)), Link(pools=(sums,))))
    e = layer(rng, "e", dense_synapse(rng, "d", 7, 5), dense_synapse(rng, "e", 5, 5, 1), vth=500)
    f = layer(
        rng,
        "f",
        dense_synapse(rng, "e", 5, 4),
        dense_synapse(rng, "a", a.size, 4, 3),
        rule=NeuronRule(low=-300.0 if seed % 2 else None, spiking=False),
    )
    program = Program("loihi2", {"x": code}, (a, b, c, d, e, f), ("f",), STEPS, 1e-3, "frozen")
    codes = rng.integers(code.low, code.high + 1, (SAMPLES, STEPS, code.size))
    return program, ChipInput({"x": codes}, {"x": code})


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(x, marks=pytest.mark.slow) for x in range(2, 8))]
)
def test_random_graphs_equal_the_slow_loop_bit_for_bit(seed: int, kind: str) -> None:
    program, given = network(seed, kind)
    wanted = slow(program, given)
    assert_same(emulate(program, given, record=EVERYTHING, batch=2), wanted)
    assert_same(emulate(program, given, record=EVERYTHING, kernel="torch"), wanted)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule_equals_the_slow_loop_bit_for_bit_and_step_by_step(rule: NeuronRule) -> None:
    program, given = network(11, "ternary")
    layers = tuple(
        replace(x, rule=rule, vth=40, dv=410) if x.rule.spiking else x for x in program.layers
    )
    program = replace(program, layers=layers)
    wanted = slow(program, given)
    assert sum(wanted.spikes[name].any() for name in "abcde") >= 4
    for kernel in ("numba", "torch"):
        found = emulate(program, given, record=EVERYTHING, kernel=kernel)
        assert_same(found, wanted)
        stepper = Stepper(program, SAMPLES, kernel=kernel)
        for t in range(STEPS):
            spikes = stepper.step({"x": given.codes["x"][:, t]})
            for name in wanted.spikes:
                np.testing.assert_array_equal(spikes[name], wanted.spikes[name][:, t])


def test_no_late_rule_spikes_as_another_rule_does() -> None:
    """So that the test above tells them apart."""
    rng = np.random.default_rng(0)
    code, weight = CODES["binary"], (2 * rng.integers(-3, 12, (12, 70))).astype(np.int16)
    given = ChipInput({"x": rng.integers(0, 2, (SAMPLES, STEPS, 70))}, {"x": code})
    found = []
    for reset in get_args(Reset):
        one = program_layer("a", "x", weight, dv=410, vth=300, rule=NeuronRule(reset))
        program = Program("loihi2", {"x": code}, (one,), ("a",), STEPS, 1e-3, "frozen")
        found.append(emulate(program, given).spikes["a"])
    for i, first in enumerate(found):
        assert all((first != other).any() for other in found[i + 1 :])


@pytest.mark.parametrize("kind", CODES)
def test_a_cuda_device_gives_the_bits_of_the_cpu(kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device on this machine")
    program, given = network(3, kind)
    wanted = emulate(program, given, record=EVERYTHING)
    assert_same(emulate(program, given, record=EVERYTHING, device="cuda", batch=2), wanted)
    stepper = Stepper(program, SAMPLES, device="cuda")
    for t in range(STEPS):
        spikes = stepper.step({"x": given.codes["x"][:, t]})
        for name in spikes:
            np.testing.assert_array_equal(spikes[name].cpu().numpy(), wanted.spikes[name][:, t])


def test_the_random_graphs_spike_several_times_wrap_and_clip() -> None:
    traces = [emulate(*network(seed, kind)) for seed in range(8) for kind in CODES]
    for name in "abcde":
        spikes = [t.spikes[name] for t in traces]
        assert 0.05 < np.mean([(s > 0).mean() for s in spikes]) < 0.9, name
        assert max(s.max() for s in spikes) > 3, name
    assert not any(t.spikes["f"].any() for t in traces)
    assert max(sum(t.overflow.values()) for t in traces) > 100
    assert max(sum(t.saturation.values()) for t in traces) > 100


@pytest.mark.parametrize("kernel", ["numba", "torch"])
@pytest.mark.parametrize("kind", ["ternary", "graded"])
@pytest.mark.parametrize("seed", range(4))
def test_steps_equal_the_batch(seed: int, kind: str, kernel: Any) -> None:
    program, given = network(seed, kind)
    wanted = emulate(program, given, record=EVERYTHING)
    stepper = Stepper(program, SAMPLES, kernel=kernel)
    for t in range(STEPS):
        spikes = stepper.step({"x": given.codes["x"][:, t]})
        membrane = stepper.membrane()
        for name in wanted.spikes:
            np.testing.assert_array_equal(spikes[name], wanted.spikes[name][:, t], err_msg=name)
            np.testing.assert_array_equal(membrane[name], wanted.membrane[name][:, t])
    assert stepper.overflow == dict(wanted.overflow)
    assert stepper.saturation == dict(wanted.saturation)


@pytest.mark.parametrize("kernel", ["numba", "torch"])
def test_few_steps_and_few_rows_at_a_time_change_no_bit(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, given = network(1, "graded signed")
    wanted = emulate(program, given, record=EVERYTHING)
    monkeypatch.setattr("neurozsl.hardware.loihi.emulator.batched._LARGEST_SUMS", 200)
    monkeypatch.setattr(emulator_conv, "_PATCHES", 300)
    emulator_layers._layer_run.cache_clear()  # patches are counted when a layer is prepared
    assert_same(emulate(program, given, record=EVERYTHING, kernel=kernel), wanted)


def test_the_membrane_of_a_readout_is_recorded_without_asking() -> None:
    program, given = network(0, "binary")
    trace = emulate(program, given)
    assert set(trace.membrane) == {"f"}
    whole = emulate(program, given, record=EVERYTHING)
    np.testing.assert_array_equal(trace.membrane["f"], whole.membrane["f"])
    assert trace.membrane["f"].any()


def test_a_zero_threshold_sends_the_most_spikes() -> None:
    code = InputCode(1, "binary", 1, False, 1.0)
    rule = NeuronRule("subtract", 7, ">=")
    one = program_layer("a", "x", np.array([[2]]), dv=0, vth=0, rule=rule)
    program = Program("loihi2", {"x": code}, (one,), ("a",), 3, 1e-3, "frozen")
    given = ChipInput({"x": np.array([[[0], [1], [0]]])}, {"x": code})
    kernels: tuple[Kernel, ...] = ("numba", "torch")
    for kernel in kernels:
        trace = emulate(program, given, record=EVERYTHING, kernel=kernel)
        assert trace.spikes["a"].ravel().tolist() == [7, 7, 7]
        assert trace.membrane["a"].ravel().tolist() == [0, 128, 128]


# ---------------------------------------------------------------- exact convolutions


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255), (-128, 127), (0, 4000)])
@pytest.mark.parametrize("seed", range(6))
def test_both_convolutions_equal_int64(
    seed: int, low: int, high: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng([seed, high])
    synapse = conv_synapse(rng, "x", (6, 9, 8), 6)
    conv = synapse.link.conv
    assert conv is not None
    half = synapse.weight >> 1
    codes = rng.integers(low, high + 1, (5, 6 * 9 * 8))
    codes[0], codes[1] = low, high
    maps = torch.from_numpy(codes).to(emulator_products.smallest_type(low, high))
    maps = emulator_maps.Sent(maps[:, None], {}).maps((6, 9, 8))[:, 0]
    wanted = [slow_conv(conv, half.tolist(), row) for row in codes.tolist()]
    shape = conv.out_shape(half.shape)
    for allowed in (True, False):
        with monkeypatch.context() as patch:
            if not allowed:
                patch.setattr(emulator_conv, "_is_exact", lambda *rest: False)
            turned = np.asfortranarray(half) if seed % 2 else half  # any order in memory
            made = emulator_conv.conv_maps(turned, conv, low, high, "cpu")(maps)
        flat = emulator_maps.turned_flat(made.reshape(5, -1), shape)
        np.testing.assert_array_equal(flat.numpy(), wanted)


def test_a_convolution_that_rounds_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Conv((3, 6, 6), padding=(1, 1, 1, 1))
    right = emulator_conv.int8_conv

    def saturating(half: Any, conv: Conv, low: int) -> emulator_conv.Maps:
        convolve = right(half, conv, low)
        return lambda maps: convolve(maps).clamp(-(1 << 15), (1 << 15) - 1)

    monkeypatch.setattr(emulator_conv, "int8_conv", saturating)
    emulator_conv._is_exact.cache_clear()
    assert not emulator_conv._is_exact(conv, (4, 3, 3, 3), 0, 255)
    monkeypatch.setattr(emulator_conv, "int8_conv", lambda *rest: None)  # as an unknown operator
    emulator_conv._is_exact.cache_clear()
    assert not emulator_conv._is_exact(conv, (4, 3, 3, 3), 0, 255)
    emulator_conv._is_exact.cache_clear()
