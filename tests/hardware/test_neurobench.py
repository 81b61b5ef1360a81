"""NeuroBench's metrics: what NeuroBench 2.3.0 printed for one network, loops, and itself."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse, pooled, shifted
from neurozsl.hardware.neurobench import NeuroBench, neurobench
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.networks import lowered, lowered_layer, one_layer
from tests.factories.programs import program_layer
from tests.hardware.connection_loops import paths_of, paths_of_a_kernel, sparse
from tests.hardware.neurobench_golden import leaky_like_snntorch, neurobench_network

# ---------------------------------------------------------------- golden values of NeuroBench 2.3.0


def golden(
    reset: str = "subtract", *, bias: bool = False, x: Any = None, scale: float = 1.0
) -> Any:
    """The network, its input and its run; x in codes, of which `scale` makes the real values."""
    w1, w2, own = neurobench_network()
    x = own if x is None else x
    b1, b2 = (0.125, 0.0625) if bias else (0.0, 0.0)
    z1, m1 = leaky_like_snntorch(x * scale, w1, reset, b1)
    z2, m2 = leaky_like_snntorch(z1, w2, reset, b2)
    code = InputCode(20, "graded", 3, True, scale)
    layers = []
    for name, source, weight, b in (("fc1", "x", w1, b1), ("fc2", "fc1", w2, b2)):
        layers.append(lowered_layer(name, source, weight, bias=b, leak=1 / 8))
    network = lowered(*layers, code=code, steps=8)
    trace = Trace({"fc1": z1, "fc2": z2}, membrane={"fc1": m1, "fc2": m2})
    return network, ChipInput({"x": x}, {"x": code}), trace


@pytest.mark.parametrize(
    ("reset", "bias", "acs", "sparsity", "updates", "footprint"),
    [
        ("subtract", False, 910.916667, 0.5198412698, 167.833333, 1640),
        ("subtract", True, 957.416667, 0.4126984127, 168, 1724),
        ("zero", False, 873.333333, 0.6220238095, 162.166667, 1640),
    ],
)
@pytest.mark.parametrize("batch", [None, 12, 5, 1])
def test_golden_values_are_reproduced_to_their_last_digit(
    reset: str,
    bias: bool,
    acs: float,
    sparsity: float,
    updates: float,
    footprint: int,
    batch: int | None,
) -> None:
    run = golden(reset, bias=bias)
    found = neurobench(*run, batch=batch)
    assert found.Effective_ACs == pytest.approx(acs, abs=5e-7)
    assert (found.Effective_MACs, found.Dense) == (0, 3200)
    assert found.ActivationSparsity == pytest.approx(sparsity, abs=5e-11)
    assert found.MembraneUpdates == pytest.approx(updates, abs=5e-7)
    assert (found.Footprint, found.ConnectionSparsity) == (footprint, 0.2575)
    # On a binary net the operations are the counts of the report, to the last digit.
    assert found.Effective_ACs == sum(x.synops * 12 for x in count(*run).layers) / 12
    assert {row.metric for row in found.differences} == {"Footprint", "MembraneUpdates"}
    [memory] = [row for row in found.differences if row.metric == "Footprint"]
    assert memory.exact == footprint - 40
    assert "buffers of snnTorch" in memory.why


def test_the_sparsity_of_a_layer_is_that_of_its_column() -> None:
    network, given, trace = golden()
    first = replace(network, layers=network.layers[:1], outputs=("fc1",))
    assert neurobench(first, given, trace).ActivationSparsity == 0.541015625


@pytest.mark.parametrize(
    ("batch", "acs", "macs"), [(12, 809.42, 100.83), (5, 859.75, 50.50), (1, 902.42, 7.83)]
)
def test_one_value_of_a_half_turns_its_call_into_multiplications(
    batch: int, acs: float, macs: float
) -> None:
    _, _, x = neurobench_network()
    halves = 2 * x
    halves[0, 0, 0] = 1
    found = neurobench(*golden(x=halves, scale=0.5), batch=batch)
    assert found.Effective_ACs == pytest.approx(acs, abs=5e-3)
    assert found.Effective_MACs == pytest.approx(macs, abs=5e-3)


def test_spikes_of_minus_one_add_and_inputs_of_a_half_multiply() -> None:
    _, _, x = neurobench_network()
    minus = neurobench(*golden(x=-x))
    assert minus.Effective_ACs == pytest.approx(691.33, abs=5e-3)
    assert minus.Effective_MACs == 0
    half = neurobench(*golden(x=x, scale=0.5))
    assert half.Effective_MACs == pytest.approx(691.33, abs=5e-3)
    assert half.Effective_ACs == pytest.approx(92.25, abs=5e-3)
    reasons = {row.metric: row for row in half.differences}
    assert reasons["Effective_MACs"].exact == 0
    assert reasons["Effective_ACs"].exact == half.Effective_ACs + half.Effective_MACs
    assert "input 'x' as code x 0.5" in reasons["Effective_ACs"].why
    assert "per call" not in reasons["Effective_ACs"].why


# ---------------------------------------------------------------- loops


def slow_operations(network: Lowered, values: dict[str, Any], batch: int) -> dict[str, float]:
    """One call, one value, one weight at a time; and one event at a time."""
    found = dict.fromkeys(("acs", "macs", "exact acs", "exact macs"), 0)
    for layer in network.layers:
        for synapse in layer.synapses:
            scale = network.inputs[synapse.source].scale if synapse.source in network.inputs else 1
            behind, kernel = paths_of(synapse), paths_of_a_kernel(synapse)
            late = shifted(values[synapse.source], synapse.link.delay).astype(int)
            samples, steps = late.shape[:2]
            sums = pooled(synapse.link, late.reshape(samples * steps, -1))
            seen = sums.reshape(samples, steps, -1) * scale
            for start in range(0, samples, batch):
                for t in range(steps):
                    call = seen[start : start + batch, t]
                    kind = "acs" if all(float(v) in (-1, 0, 1) for v in call.ravel()) else "macs"
                    for row in call:
                        for value, taps in zip(row, kernel, strict=True):
                            if value != 0:
                                found[kind] += sum(bool(synapse.weight[p]) for _, p in taps)
            for value, taps in zip(late.reshape(-1, synapse.size_in).T, behind, strict=True):
                each = sum(bool(synapse.weight[p]) for _, p in taps)
                found["exact acs"] += each * int(np.sum(np.abs(value) == 1))
                found["exact macs"] += each * int(np.sum(np.abs(value) > 1))
    return {key: value / samples for key, value in found.items()}


def loop_nets() -> dict[str, tuple[tuple[Synapse, ...], float, int]]:
    """Synapses of layer `a`, the scale of its input, and the largest code."""
    rng = np.random.default_rng(6)
    conv = Conv((2, 4, 4), padding=(1, 1, 1, 1))
    pool = Pool((2, 8, 8), (2, 2), (2, 2))
    back = Synapse("a", sparse(rng, 6, 6), Link(delay=1))
    return {
        "dense": ((Synapse("x", sparse(rng, 6, 9)),), 1.0, 1),
        "conv": ((Synapse("x", sparse(rng, 3, 2, 3, 3), Link(conv)),), 1.0, 1),
        "pooled": ((Synapse("x", sparse(rng, 3, 2, 3, 3), Link(conv, (pool,))),), 1.0, 1),
        "recurrent": ((Synapse("x", sparse(rng, 6, 9)), back), 1.0, 1),
        "graded": ((Synapse("x", sparse(rng, 6, 9)), back), 1.0, 3),
        "scaled": ((Synapse("x", sparse(rng, 6, 9)),), 0.5, 3),
    }


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("kind", loop_nets())
def test_operations_are_those_of_a_loop_over_calls(kind: str, batch: int | None) -> None:
    synapses, scale, most = loop_nets()[kind]
    rng, layer = np.random.default_rng(3), one_layer(*synapses)
    code = InputCode(synapses[0].size_in, "graded", 3, True, scale)
    network = Lowered({"x": code}, (layer,), ("a",), 1e-3, 4, "fixed")
    x = rng.integers(1, most + 1, (5, 4, code.size)) * rng.choice(
        [-1, 0, 0, 0, 1], (5, 4, code.size)
    )
    if kind == "pooled":
        x = np.abs(x)
    spikes = (rng.random((5, 4, layer.size)) < 0.3).astype(np.uint8)
    run = network, ChipInput({"x": x}, {"x": code}), Trace({"a": spikes})
    found = neurobench(*run, batch=batch)
    slow = slow_operations(network, {"x": x, "a": spikes}, batch or 5)
    assert found.Effective_ACs == slow["acs"]
    assert found.Effective_MACs == slow["macs"]
    rows = {row.metric: row for row in found.differences}
    assert ("Effective_ACs" in rows) is (slow["acs"] != slow["exact acs"])
    assert ("Effective_MACs" in rows) is (slow["macs"] != slow["exact macs"])
    exact = {
        key: rows[metric].exact if metric in rows else slow[short]
        for key, metric, short in (
            ("exact acs", "Effective_ACs", "acs"),
            ("exact macs", "Effective_MACs", "macs"),
        )
    }
    assert exact == {key: slow[key] for key in exact}
    assert sum(exact.values()) == pytest.approx(count(*run).total("synops"), rel=1e-12)
    assert "SynapticOperations" not in rows  # a code is one event, and no neuron sent several
    binary = kind in ("dense", "conv", "recurrent")
    assert binary is not any("Effective" in metric for metric in rows)
    if binary:
        assert found.Effective_ACs == count(*run).total("synops")
    words = {"pooled": "behind a pool", "graded": "per call", "scaled": "code x 0.5"}
    if not binary:
        assert words[kind] in rows["Effective_ACs"].why


def slow_updates(membrane: Any) -> int:
    """One neuron and one step at a time."""
    samples, steps, size = membrane.shape
    return sum(
        t == 0 or membrane[s, t, n] != membrane[s, t - 1, n]
        for s in range(samples)
        for t in range(steps)
        for n in range(size)
    )


RULES = {
    "zero": NeuronRule(),
    "subtract": NeuronRule("subtract"),
    "several, bounded": NeuronRule("subtract", 3, ">=", -0.5),
}


@pytest.mark.parametrize("leak", [0.0, 0.25])
@pytest.mark.parametrize("rule", RULES)
def test_membranes_that_were_not_recorded_are_computed_from_the_spikes(
    rule: str, leak: float
) -> None:
    rng, n = np.random.default_rng(2), 7
    codes = {"x": InputCode(6, "graded", 3, True, 0.25)}
    first, ones = rng.integers(-8, 9, (n, 6)) / 8, np.ones(n)
    layers = (
        LoweredLayer(
            "a",
            "x",
            first,
            ones * 0,
            leak * ones,
            0.5 * ones,
            ones,
            also=(Synapse("a", rng.integers(-4, 5, (n, n)) / 8, Link(delay=1)),),
            rule=RULES[rule],
        ),
        LoweredLayer(
            "b", "a", np.eye(n), ones * 0, leak * ones, ones, 0.5 * ones, rule=RULES[rule]
        ),
    )
    network = Lowered(codes, layers, ("b",), 1e-3, 6, "fixed")
    x = rng.integers(-3, 4, (4, 6, 6)) * (rng.random((4, 6, 6)) < 0.5)
    given = ChipInput({"x": x}, codes)
    full = simulate(network, given, record=("spikes", "membrane"))
    assert full.spikes["a"].any() and full.spikes["b"].any()
    updates = sum(slow_updates(full.membrane[name]) for name in ("a", "b"))
    assert 4 * 2 * n < updates < 4 * 6 * 2 * n
    half = Trace(full.spikes, membrane={"a": full.membrane["a"]})  # one layer alone was recorded
    for trace in (full, half, Trace(full.spikes)):
        assert neurobench(network, given, trace).MembraneUpdates * 4 == updates


def test_pieces_of_samples_count_the_same_membranes(monkeypatch: pytest.MonkeyPatch) -> None:
    network, given, trace = golden()
    bare = Trace(trace.spikes)
    whole = neurobench(network, given, bare)
    monkeypatch.setattr("neurozsl.hardware.neurobench.membranes._HELD", 1)
    monkeypatch.setattr("neurozsl.hardware.neurobench.calls.PIECE", 1)
    assert neurobench(network, given, bare) == whole


# ---------------------------------------------------------------- programs and differences


def programs() -> tuple[Program, SpeckProgram, ChipInput]:
    rng = np.random.default_rng(0)
    code = InputCode(50, "binary", 1, False, 1.0)
    kernel = (2 * rng.integers(-20, 40, (3, 2, 3, 3)) * (rng.random((3, 2, 3, 3)) < 0.6)).astype(
        np.int16
    )
    conv = Link(Conv((2, 5, 5), padding=(1, 0, 0, 1)))
    bias = np.repeat(np.array([3, 0, 1]), 16).astype(np.int16)
    weight = (2 * rng.integers(-9, 20, (4, 48))).astype(np.int16)
    loihi = Program(
        "loihi2",
        {"x": code},
        (
            program_layer("a", "x", kernel, bias_mant=bias, dv=600, vth=60, link=conv),
            program_layer("b", "a", weight // 32 * 32, weight_bits=4, dv=0, vth=20),
        ),
        ("b",),
        4,
        1e-3,
        "fixed",
    )
    speck = SpeckProgram(
        "speck2f",
        {"x": code},
        (
            SpeckLayer("a", "x", kernel, bias, 60, -60, 1.0, "subtract", 9, conv),
            SpeckLayer("b", "a", weight, np.zeros(4, np.int16), 90, -90, 1.0),
        ),
        ("b",),
        4,
        1e-3,
        "fixed",
    )
    x = (rng.random((3, 4, 50)) < 0.4).astype(np.int16)
    return loihi, speck, ChipInput({"x": x}, {"x": code})


def test_a_loihi_program_runs_again_and_its_bytes_are_those_of_its_integers() -> None:
    program, _, given = programs()
    full = emulate(program, given, record=("spikes", "membrane"))
    assert full.spikes["a"].any() and full.spikes["b"].any()
    found = neurobench(program, given, emulate(program, given))
    assert found.MembraneUpdates * 3 == sum(slow_updates(x) for x in full.membrane.values())
    rows = {row.metric: row for row in found.differences}
    # A kernel of 54 weights of 8 bits, 192 weights of 4, and a bias of 13 for each of 3 channels.
    assert rows["Footprint"].exact == -(-(54 * 8 + 192 * 4 + 3 * 13) // 8)
    assert found.Footprint == 4 * (54 + 192 + 3) + 40
    assert "4 and 8 bits" in rows["Footprint"].why
    assert not {"Effective_ACs", "Effective_MACs", "SynapticOperations"} & set(rows)
    # At the border of a map some weights of the kernel meet nothing.
    assert rows["ConnectionSparsity"].exact != rows["ConnectionSparsity"].neurobench
    joined, every = 0, 0
    for layer in program.layers:
        for taps in paths_of(layer.synapses[0]):
            every += len(taps)
            joined += sum(layer.weight[place] != 0 for _, place in taps)
    assert rows["ConnectionSparsity"].exact == round(1 - joined / every, 4)


def test_a_speck_program_stores_weights_and_biases_of_eight_bits() -> None:
    _, program, given = programs()
    found = neurobench(program, given, emulate_speck(program, given))
    rows = {row.metric: row for row in found.differences}
    # A kernel of 54 weights and 192 weights, and a bias for each of 3 channels: a byte each.
    assert rows["Footprint"].exact == 54 + 192 + 3
    assert found.Footprint == 4 * (54 + 192 + 3) + 40


def test_dynamic_thresholds_are_needed_to_run_again_and_not_for_recorded_membranes() -> None:
    program, _, given = programs()
    dynamic = replace(program, policy="dynamic")
    theta = {layer.name: np.full((3, 4), 30.0) for layer in program.layers}
    full = emulate(dynamic, replace(given, theta=theta), record=("spikes", "membrane"))
    assert not np.array_equal(full.spikes["a"], emulate(program, given).spikes["a"])
    bare = Trace(full.spikes)
    found = neurobench(dynamic, given, full)
    assert found == neurobench(dynamic, replace(given, theta=theta), bare)
    assert found.MembraneUpdates * 3 == sum(slow_updates(x) for x in full.membrane.values())
    with pytest.raises(BadInput, match="theta of layer 'a' is missing"):
        neurobench(dynamic, given, bare)


def test_several_spikes_in_a_step_are_one_activation_and_one_operation() -> None:
    _, program, given = programs()
    trace = emulate_speck(program, given)
    spikes = trace.spikes["a"]
    assert spikes.max() > 1
    found = neurobench(program, given, trace)
    rows = {row.metric: row for row in found.differences}
    size = trace.spikes["a"].size + trace.spikes["b"].size
    assert (
        rows["ActivationSparsity"].exact
        == 1 - (int(spikes.sum()) + int(trace.spikes["b"].sum())) / size
    )
    assert f"up to {spikes.max()}" in rows["ActivationSparsity"].why
    nonzero = np.count_nonzero(program.layers[1].weight, axis=0)
    more = int(((spikes.astype(int) - (spikes > 0)).sum(axis=(0, 1)) * nonzero).sum())
    row = rows["SynapticOperations"]
    assert (row.exact - row.neurobench) * 3 == pytest.approx(more)
    assert row.neurobench == pytest.approx(found.Effective_ACs + found.Effective_MACs)
    assert rows["Effective_ACs"].why.startswith("NeuroBench decides per call")
    full = emulate_speck(program, given, record=("spikes", "membrane"))
    assert found.MembraneUpdates * 3 == sum(slow_updates(x) for x in full.membrane.values())


def test_a_read_out_is_no_activation() -> None:
    network, given, trace = golden()
    silent = replace(network.layers[1], rule=NeuronRule(spiking=False))
    network = replace(network, layers=(network.layers[0], silent))
    nothing = Trace(
        {**trace.spikes, "fc2": np.zeros_like(trace.spikes["fc2"])}, membrane=trace.membrane
    )
    found = neurobench(network, given, nothing)
    assert found.ActivationSparsity == 0.541015625
    assert found.Footprint == 1620
    assert found.MembraneUpdates * 12 == slow_updates(trace.membrane["fc1"])


def test_counts_that_are_known_are_taken_and_the_document_holds_the_metrics() -> None:
    run = golden()
    found = neurobench(*run, counts=count(*run))
    assert found == neurobench(*run)
    assert isinstance(found, NeuroBench)
    document = TypeAdapter(NeuroBench)
    assert document.validate_json(document.dump_json(found)) == found
    assert [row.metric for row in found.differences] == ["Footprint", "MembraneUpdates"]


# ---------------------------------------------------------------- NeuroBench itself


@pytest.mark.filterwarnings("ignore")  # theirs, when they are imported
@pytest.mark.parametrize("batch", [12, 5])
@pytest.mark.parametrize(
    ("reset", "bias"), [("subtract", False), ("subtract", True), ("zero", False)]
)
def test_neurobench_itself_prints_the_same(reset: str, bias: bool, batch: int) -> None:
    reason = "the `bench` extra (neurobench, snntorch) is not installed; golden values stand in"
    for name in ("neurobench", "snntorch"):
        pytest.importorskip(name, reason=reason, exc_type=ImportError)
    torch: Any = importlib.import_module("torch")
    snn: Any = importlib.import_module("snntorch")
    bench: Any = importlib.import_module("neurobench.benchmarks")
    models: Any = importlib.import_module("neurobench.models")
    static: Any = importlib.import_module("neurobench.metrics.static")
    workload: Any = importlib.import_module("neurobench.metrics.workload")
    w1, w2, x = neurobench_network()
    modules = []
    for weight, b in ((w1, 0.125), (w2, 0.0625)):
        linear = torch.nn.Linear(weight.shape[1], len(weight), bias=bias)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            if bias:
                linear.bias.fill_(b)
        last = weight is w2
        modules += [linear, snn.Leaky(0.875, init_hidden=True, reset_mechanism=reset, output=last)]
    labels = torch.arange(12) % 5
    data = torch.utils.data.TensorDataset(torch.from_numpy(x).float(), labels)
    metrics = [
        [static.Footprint, static.ConnectionSparsity],
        [workload.ActivationSparsity, workload.SynapticOperations, workload.MembraneUpdates],
    ]
    theirs = bench.Benchmark(
        models.SNNTorchModel(torch.nn.Sequential(*modules)),
        torch.utils.data.DataLoader(data, batch_size=batch, shuffle=False),
        [],
        [lambda spikes: spikes.sum(dim=1).argmax(dim=1)],
        metrics,
    ).run(quiet=True)
    ours = neurobench(*golden(reset, bias=bias), batch=batch)
    assert theirs["Footprint"] == ours.Footprint
    assert theirs["ConnectionSparsity"] == ours.ConnectionSparsity
    assert theirs["ActivationSparsity"] == pytest.approx(ours.ActivationSparsity, abs=1e-8)
    assert theirs["MembraneUpdates"] == ours.MembraneUpdates
    for key in ("Effective_ACs", "Effective_MACs", "Dense"):
        assert theirs["SynapticOperations"][key] == getattr(ours, key)
