"""Counts against slow loops and against values that NeuroBench 2.3.0 printed for one network."""

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.export.network.inspection import layer_rows
from neurozsl.hardware.count.counts import LayerCounts, count
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer, lower
from neurozsl.hardware.network.connections import reached
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse, matrix
from neurozsl.hardware.neurobench import neurobench
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.networks import lowered_layer, one_layer
from tests.factories.programs import program_layer
from tests.hardware.connection_loops import CONVS, paths_of, paths_of_a_kernel, sparse
from tests.hardware.neurobench_golden import leaky_like_snntorch, neurobench_network

Floats = npt.NDArray[np.float64]


def lowered(*weights: Any, code: InputCode, steps: int) -> Lowered:
    layers, source = [], "x"
    for i, weight in enumerate(weights):
        layers.append(lowered_layer(f"l{i}", source, weight))
        source = f"l{i}"
    return Lowered({"x": code}, tuple(layers), (source,), 1e-3, steps, "frozen")


@pytest.mark.parametrize(
    ("reset", "acs", "sparsity"),
    [("subtract", 910.916667, 0.5198412698), ("zero", 873.333333, 0.6220238095)],
)
def test_the_golden_values_of_neurobench_are_reproduced(
    reset: str, acs: float, sparsity: float
) -> None:
    w1, w2, x = neurobench_network()
    assert (w1.sum(), w2.sum(), x.sum()) == (27.8125, 8.3125, 700)
    z1 = leaky_like_snntorch(x, w1, reset)[0]
    z2 = leaky_like_snntorch(z1, w2, reset)[0]
    if reset == "subtract":
        assert (int(z1.sum()), int(z2.sum())) == (705, 263)
    code = InputCode(20, "binary", 1, False, 1.0)
    found = count(
        lowered(w1, w2, code=code, steps=8),
        ChipInput({"x": x}, {"x": code}),
        Trace({"l0": z1, "l1": z2}),
    )
    # What enters: 700 events of 12 samples at 5 bits each; what leaves: the spikes of 5 outputs.
    assert found.entering == pytest.approx(700 / 12)
    assert found.link_bytes == pytest.approx((700 * 5 + int(z2.sum()) * 3) / 8 / 12)
    assert found.total("effective_acs") == pytest.approx(acs, abs=1e-6)
    assert found.total("effective_macs") == 0
    assert found.total("dense") == 3200
    assert found.total("parameters") == 400
    zeros = 1 - (z1.sum() + z2.sum()) / (z1.size + z2.size)
    assert zeros == pytest.approx(sparsity, abs=1e-9)
    assert 1 - sum(layer.nonzero_weights for layer in found.layers) / 400 == pytest.approx(0.2575)
    if reset == "subtract":
        assert [layer.effective_acs * 12 for layer in found.layers] == pytest.approx([8296, 2635])


def test_one_graded_value_turns_the_step_of_the_whole_batch_into_multiplies() -> None:
    w1, w2, x = neurobench_network()
    x = x.copy()
    x[5, 2, np.flatnonzero(x[5, 2])[0]] = 2
    code = InputCode(20, "graded", 2, False, 1.0)
    z1 = leaky_like_snntorch(x, w1, "subtract")[0]
    z2 = leaky_like_snntorch(z1, w2, "subtract")[0]
    found = count(
        lowered(w1, w2, code=code, steps=8),
        ChipInput({"x": x}, {"x": code}),
        Trace({"l0": z1, "l1": z2}),
    )
    step = sum(int(np.sum(w1[:, x[s, 2] != 0] != 0)) for s in range(12))
    assert found.layers[0].effective_macs * 12 == step
    assert found.layers[0].synops * 12 == 8296
    assert found.layers[1].effective_macs == 0


def slow_counts(weight: Floats, arriving: Any, spikes: Any) -> dict[str, float]:
    """One event at a time."""
    found = dict.fromkeys(
        ("events", "synops", "weighted", "active", "inactive", "spikes", "dense"), 0.0
    )
    samples, steps, width = arriving.shape
    for s in range(samples):
        for t in range(steps):
            touched = [False] * len(weight)
            for i in range(width):
                value = int(arriving[s, t, i])
                found["events"] += value != 0
                found["weighted"] += abs(value) * len(weight)
                for o in range(len(weight)):
                    found["dense"] += 1
                    if value != 0 and weight[o, i] != 0:
                        found["synops"] += 1
                        touched[o] = True
            found["active"] += sum(touched)
            found["inactive"] += len(weight) - sum(touched)
            found["spikes"] += int(spikes[s, t].sum())
    return {key: value / samples for key, value in found.items()}


@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_counts_equal_a_loop_over_events(zeros: float) -> None:
    rng = np.random.default_rng(4)
    code = InputCode(6, "graded", 3, True, 1.0)
    weight = rng.normal(0, 1, (5, 6)) * (rng.random((5, 6)) >= zeros)
    weight[0, 0] = 0.0 if zeros else weight[0, 0]
    x = rng.integers(-3, 4, (7, 4, 6)) * (rng.random((7, 4, 6)) < 0.3)
    z = (rng.random((7, 4, 5)) < 0.2).astype(np.uint8)
    found = count(
        lowered(weight, code=code, steps=4), ChipInput({"x": x}, {"x": code}), Trace({"l0": z})
    ).layers[0]
    slow = slow_counts(weight, x, z)
    fast = {
        "events": found.input_events,
        "synops": found.synops,
        "weighted": found.synops_weighted,
        "active": found.active_updates,
        "inactive": found.inactive_updates,
        "spikes": found.spikes,
        "dense": found.dense,
    }
    assert fast == pytest.approx(slow)
    assert found.neuron_updates == 5 * 4
    assert found.spike_rate == pytest.approx(z.mean())


# ---------------------------------------------------------------- maps, loops, delays


def slow_layer_counts(synapses: tuple[Synapse, ...], values: dict[str, Any]) -> dict[str, float]:
    """One event, one window, one connection at a time; per sample."""
    samples, steps = next(iter(values.values())).shape[:2]
    keys = ("events", "acs", "macs", "weighted", "dense", "active", "conv", "most")
    found = dict.fromkeys(keys, 0)
    touched: set[tuple[int, int, int]] = set()
    for synapse in synapses:
        found["dense"] += samples * steps * sum(map(len, paths_of_a_kernel(synapse)))
        paths = paths_of(synapse)
        source = values[synapse.source]
        for t in range(steps):
            sent = t - synapse.link.delay
            if sent < 0:
                continue
            graded = any(abs(int(v)) > 1 for v in source[:, sent].reshape(-1))
            every = [place for taps in paths for _, place in taps]
            found["most"] += samples * sum(synapse.weight[place] != 0 for place in every)
            for s in range(samples):
                for j, taps in enumerate(paths):
                    value = int(source[s, sent, j])
                    found["events"] += value != 0
                    found["weighted"] += abs(value) * len(taps)
                    for neuron, place in taps:
                        if value != 0 and synapse.weight[place] != 0:
                            found["macs" if graded else "acs"] += 1
                            found["conv"] += synapse.link.conv is not None
                            touched.add((s, t, neuron))
    found["active"] = len(touched)
    return {key: value / samples for key, value in found.items()}


@pytest.mark.parametrize("pool", ["none", "2 x 2", "overlapping", "twice"])
@pytest.mark.parametrize("kind", CONVS)
def test_a_convolution_counts_as_a_loop_over_its_connections_does(kind: str, pool: str) -> None:
    shape, conv = CONVS[kind]
    c, h, w = conv.shape
    pools = {
        "none": (),
        "2 x 2": (Pool((c, 2 * h + 1, 2 * w), (2, 2), (2, 2)),),
        "overlapping": (Pool(conv.shape, (3, 3), (1, 1), (1, 1)),),
        "twice": (Pool((c, 4 * h, 2 * w), (2, 1), (2, 1)), Pool((c, 2 * h, 2 * w), (2, 2), (2, 2))),
    }[pool]
    rng = np.random.default_rng(len(kind) + len(pool))
    synapse = Synapse("x", sparse(rng, *shape), Link(conv, pools, delay=1))
    layer = one_layer(synapse)
    x = rng.integers(0, 3, (2, 3, synapse.size_in)) * (rng.random((2, 3, synapse.size_in)) < 0.1)
    x[:, 1] = np.minimum(x[:, 1], 1)  # one step of plain spikes
    check_against_the_loop(layer, {"x": x}, rng)


def check_against_the_loop(
    layer: LoweredLayer, inputs: dict[str, Any], rng: np.random.Generator, spikes: Any = None
) -> LayerCounts:
    samples, steps = next(iter(inputs.values())).shape[:2]
    if spikes is None:
        spikes = (rng.random((samples, steps, layer.size)) < 0.2).astype(np.uint8)
    codes = {name: InputCode(x.shape[2], "graded", 3, True, 1.0) for name, x in inputs.items()}
    network = Lowered(codes, (layer,), ("a",), 1e-3, steps, "fixed")
    found = count(network, ChipInput(inputs, codes), Trace({"a": spikes})).layers[0]
    slow = slow_layer_counts(layer.synapses, {**inputs, "a": spikes})
    fast = {
        "events": found.input_events,
        "acs": found.effective_acs,
        "macs": found.effective_macs,
        "weighted": found.synops_weighted,
        "dense": found.dense,
        "active": found.active_updates,
        "conv": found.conv_synops,
        "most": found.most_synops,
    }
    assert {k: v * samples for k, v in fast.items()} == {k: v * samples for k, v in slow.items()}
    assert found.neuron_updates == layer.size * steps
    assert found.spikes * samples == int(spikes.sum())
    return found


def test_several_synapses_and_a_recurrence_are_summed() -> None:
    rng = np.random.default_rng(8)
    conv = Conv((2, 5, 5), stride=(2, 2), padding=(1, 1, 1, 1))
    layer = one_layer(
        Synapse("x", sparse(rng, 3, 2, 3, 3), Link(conv)),
        Synapse("y", sparse(rng, 27, 4)),
        Synapse("a", sparse(rng, 27, 27), Link(delay=2)),
    )
    spikes = rng.integers(0, 4, (2, 6, 27)) * (rng.random((2, 6, 27)) < 0.1)  # several in a step
    inputs = {"x": (rng.random((2, 6, 50)) < 0.05).astype(int), "y": rng.integers(-1, 2, (2, 6, 4))}
    found = check_against_the_loop(layer, inputs, rng, spikes.astype(np.uint8))
    assert found.source == "x, y, a"
    assert (found.fan_in, found.parameters) == (18 + 4 + 27, 54 + 27 * 4 + 27 * 27)
    assert found.effective_macs > 0 and found.effective_acs > 0
    assert found.spike_rate == pytest.approx(found.spikes / (27 * 6)) != np.mean(spikes > 0)


def test_a_flattened_pool_counts_as_its_matrix_does() -> None:
    rng = np.random.default_rng(3)
    pool = Pool((3, 4, 6), (2, 2), (2, 2))
    folded = Synapse("x", sparse(rng, 5, 18), Link(pools=(pool,)))
    plain = Synapse("x", matrix(folded))
    x = (rng.random((2, 4, 72)) < 0.2).astype(int)
    first, second = (check_against_the_loop(one_layer(s), {"x": x}, rng) for s in (folded, plain))
    for key in ("effective_acs", "input_events", "active_updates", "synops_weighted"):
        assert getattr(first, key) == getattr(second, key)
    # `Dense` is of the 18 sums, as NeuroBench sees them.
    assert (first.dense, second.dense) == (4 * 5 * 18, 4 * 5 * 72)


def test_padded_taps_are_not_counted_as_neurobench_has_it() -> None:
    weight, conv = np.ones((2, 1, 3, 3)), Conv((1, 5, 5), padding=(1, 1, 1, 1))
    layer = one_layer(Synapse("x", weight, Link(conv)))
    found = check_against_the_loop(layer, {"x": np.ones((1, 1, 25), int)}, np.random.default_rng(0))
    assert found.dense == found.synops == 338
    assert found.active_updates == 50


def test_weighted_operations_behind_a_pool_are_those_of_sinabs() -> None:
    torch = pytest.importorskip("torch")
    hooks = pytest.importorskip("sinabs.hooks")
    rng = np.random.default_rng(6)
    pool, conv = Pool((3, 8, 8), (2, 2), (2, 2)), Conv((3, 4, 4), (2, 2), (1, 1, 1, 1))
    synapse = Synapse("x", sparse(rng, 5, 3, 3, 3), Link(conv, (pool,)))
    x = (rng.random((2, 3, 192)) < 0.3).astype(int)
    layer = torch.nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)
    sums = torch.tensor(x.reshape(6, 3, 8, 8), dtype=torch.float32)
    sums = 4 * torch.nn.functional.avg_pool2d(sums, 2)
    fan_outs = hooks.conv_connection_map(layer, sums.shape[1:], layer(sums).shape[1:])
    found = check_against_the_loop(one_layer(synapse), {"x": x}, rng)
    assert found.synops_weighted * 2 == float((sums * fan_outs).sum())


def test_biases_of_a_map_are_stored_once_per_channel() -> None:
    conv = Conv((2, 5, 5))
    layer = one_layer(Synapse("x", np.ones((4, 2, 3, 3)), Link(conv)))
    code = InputCode(50, "binary", 1, False, 1.0)
    given = ChipInput({"x": np.zeros((1, 2, 50))}, {"x": code})
    along, down = np.tile([1.0, 2.0, 3.0], 12), np.tile(np.repeat([1.0, 2.0, 3.0], 3), 4)
    cases = ((np.repeat(np.arange(4.0), 9), 4), (np.arange(36.0), 36), (along, 36), (down, 36))
    for bias, stored in (*cases, (np.zeros(36), 0)):
        network = Lowered({"x": code}, (replace(layer, bias=bias),), ("a",), 1e-3, 2, "fixed")
        found = count(network, given, Trace({"a": np.zeros((1, 2, 36))})).layers[0]
        assert found.parameters == 72 + stored


def test_pieces_of_rows_give_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    synapse = Synapse("x", sparse(rng, 3, 2, 3, 3), Link(Conv((2, 6, 6))))
    event = rng.random((50, 72)) < 0.05
    whole = reached(synapse, synapse.weight != 0, event)
    monkeypatch.setattr("neurozsl.hardware.network.connections.PIECE", 1 << 13)
    assert np.array_equal(reached(synapse, synapse.weight != 0, event), whole)
    arrived = event.astype(float) @ (matrix(synapse) != 0).T
    assert np.array_equal(whole, arrived > 0)


def test_a_program_counts_its_integer_weights() -> None:
    code = InputCode(3, "ternary", 1, False, 1.0)
    layer = program_layer("a", "x", np.array([[2, 0, -4]]), bias_mant=np.array([7]), vth=1)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 2, 1e-3, "frozen")
    given = ChipInput({"x": np.array([[[1, 1, -1], [0, 1, 0]]])}, {"x": code})
    found = count(program, given, emulate(program, given))
    only: LayerCounts = found.layers[0]
    assert (only.synops, only.active_updates, only.inactive_updates) == (2, 1, 1)
    assert (only.parameters, only.nonzero_weights, only.effective_macs) == (4, 2, 0)
    assert found.leaky
    assert not count(
        lowered([[1.0, 0, 1]], code=code, steps=2), given, Trace({"l0": np.zeros((1, 2, 1))})
    ).leaky


@pytest.mark.parametrize(
    ("leak", "syn_leak", "leaks"),
    [(0.0, 1.0, False), (0.1, 1.0, True), (0.0, 0.9, True), (0.1, 0.9, True), (1.0, 1.0, True)],
)
def test_a_layer_leaks_where_its_membrane_or_its_current_decays(
    leak: float, syn_leak: float, leaks: bool
) -> None:
    code, given = InputCode(1, "binary", 1, False, 1.0), np.ones((1, 2, 1))
    network = lowered([[1.0], [1.0]], code=code, steps=2)
    one = np.array([0.0, 1.0])  # one of two neurons is enough
    layer = replace(
        network.layers[0], leak=leak * one, syn_leak=np.array([1.0, syn_leak]), bias=0 * one
    )
    chip = ChipInput({"x": given}, {"x": code})
    trace = Trace({"l0": np.zeros((1, 2, 2))})
    assert count(replace(network, layers=(layer,)), chip, trace).leaky is leaks
    du, dv = round(4095 * syn_leak), round(4096 * min(leak, 0.9))  # 4095: the current is gone
    weight, none = np.array([[2], [2]]), np.zeros(2, int)
    chip_layer = program_layer("l0", "x", weight, du=du, dv=dv, vth=1)
    program = Program("loihi2", {"x": code}, (chip_layer,), ("l0",), 2, 1e-3, "frozen")
    assert count(program, chip, trace).leaky is leaks
    speck = SpeckLayer("l0", "x", weight, none, 2, -2, 1.0)
    still = SpeckProgram("speck2f", {"x": code}, (speck,), ("l0",), 2, 1e-3, "fixed")
    assert not count(still, chip, trace).leaky


def test_counts_are_per_sample_so_a_repeated_batch_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    code = InputCode(6, "binary", 1, False, 1.0)
    x = (rng.random((3, 4, 6)) < 0.4).astype(int)
    z = (rng.random((3, 4, 5)) < 0.2).astype(np.uint8)
    network = lowered(rng.normal(0, 1, (5, 6)), code=code, steps=4)
    once = count(network, ChipInput({"x": x}, {"x": code}), Trace({"l0": z}))
    twice = count(
        network,
        ChipInput({"x": np.concatenate([x, x])}, {"x": code}),
        Trace({"l0": np.concatenate([z, z])}),
    )
    assert (once.samples, twice.samples) == (3, 6)
    for key in ("synops", "spikes", "active_updates", "dense", "input_events"):
        assert once.total(key) == pytest.approx(twice.total(key))


def test_a_trace_of_another_run_is_refused() -> None:
    code = InputCode(2, "binary", 1, False, 1.0)
    network = lowered([[1.0, 1.0]], code=code, steps=2)
    given = ChipInput({"x": np.zeros((3, 2, 2))}, {"x": code})
    with pytest.raises(BadInput, match=r"'l0' is \(4, 2, 1\), expected \(3, 2, 1\)"):
        count(network, given, Trace({"l0": np.zeros((4, 2, 1))}))
    with pytest.raises(BadInput, match="'l0' is missing"):
        count(network, given, Trace({}))


def test_values_that_arrive_at_different_times_are_counted_once() -> None:
    """A NIR Delay with an entry per channel; by hand, an event has one delay and 4 targets."""
    delay, ones = np.array([0.0, 2e-3, 0.0]), np.ones(4)
    graph = nir.NIRGraph(
        nodes={
            "in": nir.Input({"input": np.array([3])}),
            "d": nir.Delay(delay),
            "fc": nir.Linear(np.ones((4, 3))),
            "if": nir.IF(r=ones, v_threshold=2.5 * ones),
            "out": nir.Output({"output": np.array([4])}),
        },
        edges=[("in", "d"), ("d", "fc"), ("fc", "if"), ("if", "out")],
    )
    lowered = lower(graph, dt_s=1e-3, steps=5)
    codes = np.random.default_rng(3).integers(0, 2, (2, 5, 3)).astype(np.int16)
    chip = ChipInput({"in": codes}, lowered.inputs)
    events = int(codes[:, :, [0, 2]].sum() + codes[:, :3, 1].sum()) / 2
    [layer] = count(lowered, chip, simulate(lowered, chip)).layers
    assert (layer.input_events, layer.synops, layer.synops_weighted) == (
        events,
        4 * events,
        4 * events,
    )
    assert (layer.fan_in, layer.parameters, layer.dense) == (3, 12, 5 * 12)
    assert layer.most_synops == 4 * (5 + 3 + 5)
    [row] = layer_rows(lowered)
    assert (row.parameters, row.connections) == (12, 12)


def test_a_graded_value_multiplies_only_in_the_synapse_that_it_comes_through() -> None:
    """By hand: channel 0 at once, binary; channel 1 two steps late, graded. A synapse is a call."""
    graph = nir.NIRGraph(
        nodes={
            "in": nir.Input({"input": np.array([2])}),
            "d": nir.Delay(np.array([0.0, 2e-3])),
            "fc": nir.Linear(np.ones((4, 2))),
            "if": nir.IF(r=np.ones(4), v_threshold=np.full(4, 99.0)),
            "out": nir.Output({"output": np.array([4])}),
        },
        edges=[("in", "d"), ("d", "fc"), ("fc", "if"), ("if", "out")],
    )
    lowered = lower(graph, dt_s=1e-3, steps=5)
    codes = np.zeros((1, 5, 2), np.int16)
    codes[0, [0, 1, 4], 0] = 1
    codes[0, [0, 1, 4], 1] = 3  # that of the last step never arrives
    chip = ChipInput({"in": codes}, {"in": InputCode(2, "graded", 3, True, 1.0)})
    network = replace(lowered, inputs=chip.code)
    trace = Trace({"if": np.zeros((1, 5, 4), np.uint8)})
    [layer] = count(network, chip, trace).layers
    assert (layer.effective_acs, layer.effective_macs) == (3 * 4, 2 * 4)
    theirs = neurobench(network, chip, trace)
    assert (theirs.Effective_ACs, theirs.Effective_MACs) == (3 * 4, 2 * 4)
    assert not any("Effective" in row.metric for row in theirs.differences)
