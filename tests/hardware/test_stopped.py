"""Samples that the host stops: the emulator, and every count, against runs of samples cut short."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.count.activity import count_with_activity
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.count.host_link import host_link
from neurozsl.hardware.count.traffic import traffic
from neurozsl.hardware.energy import estimate
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.synapse import Link, Synapse
from neurozsl.hardware.neurobench import neurobench
from neurozsl.hardware.place.place import place
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.networks import lowered_layer
from tests.factories.programs import program_layer

STEPS = 6
LENGTHS = np.array([3, 6, 1, 3, 5])
RECORD: tuple[Any, ...] = ("spikes", "membrane")
CODE = InputCode(12, "ternary", 1, True, 1.0)


def given(seed: int = 0, code: InputCode = CODE) -> ChipInput:
    rng = np.random.default_rng(seed)
    codes = rng.integers(code.low, code.high + 1, (len(LENGTHS), STEPS, code.size))
    theta = {name: rng.integers(40, 90, codes.shape[:2]).astype(float) for name in ("a", "b")}
    return ChipInput({"x": codes.astype(np.int16)}, {"x": code}, theta)


def loihi(policy: Any = "fixed") -> Program:
    """Two layers; the second reads the first, late, and itself."""
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> Any:
        kept = rng.random(shape) < 0.7
        return (2 * rng.integers(-40, 60, shape) * kept).astype(np.int16)

    table = {"vth_table": rng.integers(40, 90, STEPS)} if policy == "table" else {}
    first = program_layer("a", "x", weight(9, 12), vth=60, **table)
    back = (Synapse("b", weight(7, 7), Link(delay=1)),)
    second = program_layer("b", "a", weight(7, 9), vth=60, link=Link(delay=2), also=back, **table)
    return Program("loihi2", {"x": CODE}, (first, second), ("b",), STEPS, 1e-3, policy)


def alone(whole: ChipInput, sample: int) -> ChipInput:
    """One sample, as long as it runs."""
    return whole.take(slice(sample, sample + 1)).first_steps(int(LENGTHS[sample]))


@pytest.mark.parametrize("policy", ["fixed", "table", "dynamic"])
def test_a_stopped_sample_has_the_bits_of_the_whole_run_and_then_is_silent(policy: Any) -> None:
    program, whole = loihi(policy), given()
    full = emulate(program, whole, record=RECORD)
    found = emulate(program, whole.stopped(LENGTHS), record=RECORD)
    assert full.spikes["b"].any() and full.spikes["b"][2, 1:].any()
    for name in ("a", "b"):
        for sample, length in enumerate(LENGTHS):
            for had, has in (
                (full.spikes[name], found.spikes[name]),
                (full.membrane[name], found.membrane[name]),
            ):
                assert np.array_equal(has[sample, :length], had[sample, :length])
                assert not has[sample, length:].any()
    cut = full.stopped(LENGTHS)
    assert all(np.array_equal(found.spikes[n], cut.spikes[n]) for n in cut.spikes)
    assert all(np.array_equal(found.membrane[n], cut.membrane[n]) for n in cut.membrane)


def test_a_sample_that_is_cut_short_runs_as_the_one_that_is_stopped() -> None:
    program, whole = loihi("dynamic"), given()
    found = emulate(program, whole.stopped(LENGTHS), record=RECORD)
    wraps = clips = 0
    for sample, length in enumerate(LENGTHS):
        one = emulate(program, alone(whole, sample), record=RECORD)
        for name in one.spikes:
            assert np.array_equal(found.spikes[name][sample, :length], one.spikes[name][0])
            assert np.array_equal(found.membrane[name][sample, :length], one.membrane[name][0])
        wraps += sum(one.overflow.values())
        clips += sum(one.saturation.values())
    assert (sum(found.overflow.values()), sum(found.saturation.values())) == (wraps, clips)


def test_speck_stops_too() -> None:
    rng = np.random.default_rng(3)
    code = InputCode(12, "binary", 1, False, 1.0)
    weight = rng.integers(-60, 90, (9, 12)).astype(np.int16)
    layer = SpeckLayer("a", "x", weight, np.zeros(9, int), 60, -60, 1.0, "subtract", 9)
    program = SpeckProgram("speck2f", {"x": code}, (layer,), ("a",), STEPS, 1e-3, "fixed")
    whole = replace(given(code=code), theta=None)
    full = emulate(program, whole)
    found = emulate(program, whole.stopped(LENGTHS))
    assert np.array_equal(found.spikes["a"], full.stopped(LENGTHS).spikes["a"])
    assert found.spikes["a"].sum() < full.spikes["a"].sum()


def test_the_emulator_runs_no_step_after_the_last_stop() -> None:
    program, whole = loihi(), given()
    seen: list[tuple[int, int]] = []
    short = whole.stopped(np.array([1, 2, 2, 1, 2]))
    found = emulate(program, short, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(2, 5), (5, 5)]
    assert found.spikes["a"].shape == (5, STEPS, 9)
    assert found.spikes["a"][1:3, :2].any() and not found.spikes["a"][:, 2:].any()


def test_stopping_early_takes_less_time_than_running_through() -> None:
    wide = InputCode(400, "binary", 1, False, 1.0)
    rng = np.random.default_rng(0)
    weight = (2 * rng.integers(-40, 60, (500, 400))).astype(np.int16)
    layer = program_layer("a", "x", weight, vth=60)
    program = Program("loihi2", {"x": wide}, (layer,), ("a",), 40, 1e-3, "fixed")
    codes = (rng.random((400, 40, 400)) < 0.1).astype(np.int16)
    whole = ChipInput({"x": codes}, {"x": wide})

    def seconds(given: ChipInput) -> float:
        emulate(program, given.take(slice(0, 8)))  # compiled, weights prepared
        began = time.perf_counter()
        emulate(program, given)
        return time.perf_counter() - began

    stopped = whole.stopped(np.where(np.arange(400) % 2, 2, 4))
    assert seconds(stopped) < seconds(whole)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([1, 2, 3], "one whole number for each of 5"),
        ([1, 2, 3, 4, 7], "runs 1..6"),
        ([1, 2, 3, 4, 0], "runs 1..6"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], "one whole number"),
    ],
)
def test_lengths_that_are_none_are_refused(lengths: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        emulate(loihi(), given().stopped(np.array(lengths)))


def test_lengths_travel_with_their_samples() -> None:
    whole = given().stopped(LENGTHS)
    halves = whole.take(np.array([0, 1])), whole.take(np.array([2, 3, 4]))
    assert ChipInput.join(halves).ran.tolist() == LENGTHS.tolist()
    unstopped = replace(halves[0], lengths=None)
    assert ChipInput.join([unstopped, halves[1]]).ran.tolist() == [6, 6, 1, 3, 5]
    assert ChipInput.join([unstopped, unstopped]).lengths is None


# ---------------------------------------------------------------- counts


def networks() -> dict[str, tuple[Any, ChipInput, Trace]]:
    program, whole = loihi(), replace(given(), theta=None)
    rng = np.random.default_rng(5)
    code = InputCode(12, "graded", 3, True, 1.0)
    graded = replace(given(code=code), theta=None)
    back = Synapse("l", rng.normal(size=(8, 8)), Link(delay=1))
    # A bias drives the membrane after the input has ended.
    layer = lowered_layer("l", "x", rng.normal(size=(8, 12)), also=(back,), leak=0.2, bias=0.3)
    network = Lowered({"x": code}, (layer,), ("l",), 1e-3, STEPS, "fixed")
    return {
        "integers": (program, whole, emulate(program, whole)),
        "graded": (network, graded, simulate(network, graded)),
    }


@pytest.mark.parametrize("kind", ["integers", "graded"])
def test_counts_are_the_means_of_samples_counted_alone_and_cut_short(kind: str) -> None:
    network, whole, trace = networks()[kind]
    counts, rows = count_with_activity(network, whole.stopped(LENGTHS), trace, {"some": [0, 2]})
    assert counts == count(network, whole.stopped(LENGTHS), trace.stopped(LENGTHS))
    each = []
    for sample, length in enumerate(LENGTHS):
        spikes = {k: v[sample : sample + 1, :length] for k, v in trace.spikes.items()}
        each.append(count(network, alone(whole, sample), Trace(spikes)))
    assert counts.mean_steps == counts.ran == LENGTHS.mean() == np.mean([x.steps for x in each])
    assert counts.entering == pytest.approx(np.mean([x.entering for x in each]))
    assert counts.link_bytes == pytest.approx(np.mean([x.link_bytes for x in each]))
    keys = ("spikes", "input_events", "synops", "dense", "synops_weighted", "most_synops")
    for number, layer in enumerate(counts.layers):
        for key in (*keys, "active_updates", "inactive_updates", "neuron_updates"):
            slow = np.mean([getattr(x.layers[number], key) for x in each])
            assert getattr(layer, key) == pytest.approx(slow, rel=1e-12), key
        ran = int(LENGTHS.sum()) * layer.neurons
        assert layer.spike_rate == pytest.approx(layer.spikes * len(LENGTHS) / ran)
        assert layer.neuron_updates < layer.neurons * STEPS
    for row in rows:
        inside = LENGTHS[[0, 2]] if row.group == "some" else LENGTHS
        assert row.running == tuple(int((inside > t).sum()) for t in range(STEPS))
        assert row.spike_rate == sum(row.spike_sums) / (row.neurons * inside.sum())
    assert counts.total("synops") < count(network, whole, trace).total("synops")


@pytest.mark.parametrize("kind", ["integers", "graded"])
def test_full_lengths_change_no_count(kind: str) -> None:
    network, whole, trace = networks()[kind]
    every = whole.stopped(np.full(len(LENGTHS), STEPS))
    assert replace(count(network, every, trace), mean_steps=None) == count(network, whole, trace)
    assert neurobench(network, every, trace) == neurobench(network, whole, trace)


@pytest.mark.parametrize("kind", ["integers", "graded"])
def test_neurobench_s_metrics_are_those_of_samples_cut_short(kind: str) -> None:
    network, whole, trace = networks()[kind]
    found = neurobench(network, whole.stopped(LENGTHS), trace, batch=1)
    each = [
        neurobench(
            network,
            alone(whole, i),
            Trace({k: v[i : i + 1, : LENGTHS[i]] for k, v in trace.spikes.items()}),
            batch=1,
        )
        for i in range(len(LENGTHS))
    ]
    for key in ("MembraneUpdates", "Effective_MACs", "Effective_ACs", "Dense"):
        assert getattr(found, key) == pytest.approx(np.mean([getattr(x, key) for x in each])), key
    # The share of values that are 0, over the steps that ran.
    weight = LENGTHS / LENGTHS.sum()
    assert found.ActivationSparsity == pytest.approx(
        float(np.sum([w * x.ActivationSparsity for w, x in zip(weight, each, strict=True)]))
    )


def test_messages_and_bytes_of_later_steps_are_not_sent() -> None:
    network, whole, trace = networks()["integers"]
    mapping = place(network, "loihi1")
    found = traffic(network, whole.stopped(LENGTHS), trace, mapping)
    cut = traffic(network, whole, trace.stopped(LENGTHS), mapping)
    assert found is not None and cut is not None
    assert found.layers == cut.layers and 0 < found.input_messages < cut.input_messages
    link = host_link(network, whole.stopped(LENGTHS), trace)
    assert link.inputs[0].dense_bytes == 12 * 2 * LENGTHS.mean() / 8


def test_latency_static_energy_and_updates_follow_the_steps_that_ran() -> None:
    network, whole, trace = networks()["integers"]
    stopped = count(network, whole.stopped(LENGTHS), trace)
    row = estimate(stopped, "loihi1", step_s=1e-3)
    full = estimate(count(network, whole, trace), "loihi1", step_s=1e-3)
    assert row.latency_s == pytest.approx(LENGTHS.mean() * 1e-3)
    assert full.latency_s == pytest.approx(STEPS * 1e-3)
    assert row.static_joules is not None and full.static_joules is not None
    assert row.static_joules / full.static_joules == pytest.approx(LENGTHS.mean() / STEPS)
    assert row.joules < full.joules and "3.6 steps of 0.001 s" in row.latency_note
    updates = {t.name: t.count for t in row.terms}
    done = updates["neuron updates, active"] + updates["neuron updates, inactive"]
    assert done == pytest.approx(16 * LENGTHS.mean())
    one_pass = estimate(stopped, "cmos45_fp32", method="dense_pass")
    whole_pass = estimate(count(network, whole, trace), "cmos45_fp32", method="dense_pass")
    assert one_pass.joules == pytest.approx(whole_pass.joules)
