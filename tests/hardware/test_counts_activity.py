"""Counts per step and group of samples, against loops over every connection, and against counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.count.activity import LayerActivity, count_with_activity
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.networks import one_layer
from tests.factories.programs import program_layer
from tests.hardware.connection_loops import CONVS, paths_of, sparse

SAMPLES, STEPS = 5, 4
GROUPS: Mapping[str, Any] = {"seen": np.array([True, False, True, True, False]), "unseen": [1, 4]}


def slow_activity(
    synapses: tuple[Synapse, ...], values: Mapping[str, Any], rows: list[int], steps: int
) -> dict[str, list[int]]:
    """One sample, one step, one event, one connection at a time."""
    found: dict[str, list[int]] = {"spikes": [], "synops": [], "active": []}
    paths = [paths_of(synapse) for synapse in synapses]
    for t in range(steps):
        spikes = synops = active = 0
        for s in rows:
            spikes += sum(int(n) for n in values["a"][s, t])
            touched = set()
            for synapse, taps in zip(synapses, paths, strict=True):
                sent = t - synapse.link.delay
                for i in range(synapse.size_in):
                    if sent < 0 or values[synapse.source][s, sent, i] == 0:
                        continue
                    for neuron, place in taps[i]:
                        if synapse.weight[place] != 0:
                            synops += 1
                            touched.add(neuron)
            active += len(touched)
        found["spikes"].append(spikes)
        found["synops"].append(synops)
        found["active"].append(active)
    return found


def rows_of(found: tuple[LayerActivity, ...]) -> dict[str, LayerActivity]:
    return {row.group: row for row in found}


def nets() -> dict[str, tuple[tuple[Synapse, ...], dict[str, Any]]]:
    """Synapses of a layer `a`, and what its inputs send."""
    rng = np.random.default_rng(5)

    def binary(size: int) -> Any:
        return (rng.random((SAMPLES, STEPS, size)) < 0.3).astype(int)

    shape, conv = CONVS["groups"]
    pool = Pool((4, 13, 10), (2, 2), (2, 2))
    full = rng.normal(size=(6, 8))
    return {
        "dense": ((Synapse("x", full),), {"x": binary(8)}),
        "sparse": ((Synapse("x", sparse(rng, 6, 8)),), {"x": binary(8)}),
        "conv": ((Synapse("x", sparse(rng, *shape), Link(conv)),), {"x": binary(120)}),
        "pooled": ((Synapse("x", sparse(rng, *shape), Link(conv, (pool,))),), {"x": binary(520)}),
        "recurrent": (
            (Synapse("x", sparse(rng, 6, 8)), Synapse("a", sparse(rng, 6, 6), Link(delay=1))),
            {"x": binary(8)},
        ),
        "graded and late": (
            (Synapse("x", sparse(rng, 6, 8), Link(delay=2)), Synapse("y", sparse(rng, 6, 3))),
            {"x": binary(8), "y": rng.integers(-7, 8, (SAMPLES, STEPS, 3))},
        ),
    }


@pytest.mark.parametrize("kind", nets())
def test_every_step_and_group_counts_as_a_loop_over_its_events_does(kind: str) -> None:
    synapses, inputs = nets()[kind]
    layer, rng = one_layer(*synapses), np.random.default_rng(2)
    several = rng.integers(1, 4, (SAMPLES, STEPS, layer.size))  # spikes of a neuron in one step
    spikes = (several * (rng.random(several.shape) < 0.3)).astype(np.uint8)
    codes = {name: InputCode(x.shape[2], "graded", 4, True, 1.0) for name, x in inputs.items()}
    network = Lowered(codes, (layer,), ("a",), 1e-3, STEPS, "fixed")
    given, trace = ChipInput(inputs, codes), Trace({"a": spikes})
    found = rows_of(count_with_activity(network, given, trace, GROUPS)[1])
    assert list(found) == ["all", "seen", "unseen"]
    for group, rows in {"all": list(range(SAMPLES)), "seen": [0, 2, 3], "unseen": [1, 4]}.items():
        slow = slow_activity(synapses, {**inputs, "a": spikes}, rows, STEPS)
        row = found[group]
        assert row.samples == len(rows)
        assert list(row.spike_sums) == slow["spikes"]
        assert list(row.synop_sums) == slow["synops"]
        assert list(row.active_sums) == slow["active"]
        assert row.synops == tuple(x / len(rows) for x in slow["synops"])
        assert row.spikes == tuple(x / len(rows) for x in slow["spikes"])
        assert row.active_updates == tuple(x / len(rows) for x in slow["active"])
        assert row.spike_rate == sum(slow["spikes"]) / (len(rows) * STEPS * layer.size)
    check_the_sums(network, given, trace)


def check_the_sums(network: Any, given: ChipInput, trace: Trace) -> None:
    """Over steps the figures of `count`, over groups those of all, to the last digit."""
    counts, rows = count_with_activity(network, given, trace, GROUPS)
    assert counts == count(network, given, trace)
    assert len(rows) == 3 * len(network.layers)
    for layer in counts.layers:
        found = rows_of(tuple(row for row in rows if row.layer == layer.name))
        every, seen, unseen = (found[group] for group in ("all", "seen", "unseen"))
        assert sum(every.spike_sums) / SAMPLES == layer.spikes
        acs, macs = (round(x * SAMPLES) for x in (layer.effective_acs, layer.effective_macs))
        assert (acs / SAMPLES, macs / SAMPLES) == (layer.effective_acs, layer.effective_macs)
        assert sum(every.synop_sums) == acs + macs
        assert sum(every.active_sums) / SAMPLES == layer.active_updates
        assert every.spike_rate == layer.spike_rate
        assert sum(every.synops) == pytest.approx(layer.synops, rel=1e-12)
        for key in ("spike_sums", "synop_sums", "active_sums"):
            parts = zip(getattr(seen, key), getattr(unseen, key), strict=True)
            assert getattr(every, key) == tuple(a + b for a, b in parts)


def test_programs_of_both_chips_add_up_too() -> None:
    rng = np.random.default_rng(4)
    code = InputCode(50, "binary", 1, False, 1.0)
    x = (rng.random((SAMPLES, STEPS, 50)) < 0.4).astype(np.int16)
    given, link = ChipInput({"x": x}, {"x": code}), Link(Conv((2, 5, 5)))
    kernel = 2 * rng.integers(-20, 40, (3, 2, 3, 3)).astype(np.int16)
    loihi = program_layer("a", "x", kernel, vth=60, link=link)
    program = Program("loihi2", {"x": code}, (loihi,), ("a",), STEPS, 1e-3, "fixed")
    trace = emulate(program, given)
    assert 0 < trace.spikes["a"].sum() < trace.spikes["a"].size
    check_the_sums(program, given, trace)
    speck = SpeckLayer("a", "x", kernel, np.zeros(27, int), 60, -60, 1.0, "subtract", 9, link)
    other = SpeckProgram("speck2f", {"x": code}, (speck,), ("a",), STEPS, 1e-3, "fixed")
    trace = emulate_speck(other, given)
    assert trace.spikes["a"].max() > 1
    check_the_sums(other, given, trace)


def small() -> tuple[Lowered, ChipInput, Trace]:
    code = InputCode(3, "binary", 1, False, 1.0)
    network = Lowered(
        {"x": code}, (one_layer(Synapse("x", np.ones((2, 3)))),), ("a",), 1e-3, 2, "fixed"
    )
    x = np.zeros((4, 2, 3), int)
    x[1, 0, 2] = x[3, 1, :] = 1
    return network, ChipInput({"x": x}, {"x": code}), Trace({"a": np.zeros((4, 2, 2), np.uint8)})


def test_without_groups_there_is_one_row_a_layer() -> None:
    [row] = count_with_activity(*small())[1]
    assert (row.layer, row.group, row.samples, row.neurons) == ("a", "all", 4, 2)
    assert (row.synop_sums, row.active_sums, row.spike_sums) == ((2, 6), (2, 2), (0, 0))
    assert row.active_updates == (0.5, 0.5)
    assert row.spikes == (0.0, 0.0)


def test_groups_may_overlap_leave_samples_out_or_be_empty() -> None:
    found = rows_of(count_with_activity(*small(), {"late": [3], "some": [1, 3], "none": []})[1])
    assert list(found) == ["all", "late", "some"]
    assert (found["late"].synop_sums, found["some"].synop_sums) == ((0, 6), (2, 6))
    assert found["some"].synops == (1.0, 3.0)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ([4], "numbers 0..3"),
        ([-1], "numbers 0..3"),
        ([True, False], "a mask of 4 samples"),
        ([0.5], "a mask of 4 samples"),
        ([1, 1], "names a sample twice"),
    ],
)
def test_a_group_of_other_samples_is_refused(group: list[Any], said: str) -> None:
    with pytest.raises(BadInput, match=f"group 'seen' .*{said}"):
        count_with_activity(*small(), {"seen": group})


def test_the_name_of_all_samples_is_taken() -> None:
    with pytest.raises(BadInput, match="'all'"):
        count_with_activity(*small(), {"all": [0]})


def test_a_run_without_samples_has_counts_of_zero_and_no_groups() -> None:
    network, given, trace = small()
    nothing = slice(0, 0)
    counts, rows = count_with_activity(
        network, given.take(nothing), Trace({"a": trace.spikes["a"][nothing]}), {"seen": []}
    )
    assert (counts.samples, counts.total("synops"), rows) == (0, 0.0, ())


def test_small_pieces_give_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    synapses, inputs = nets()["recurrent"]
    layer = one_layer(*synapses)
    code = InputCode(8, "binary", 1, False, 1.0)
    network = Lowered({"x": code}, (layer,), ("a",), 1e-3, STEPS, "fixed")
    spikes = (np.random.default_rng(1).random((SAMPLES, STEPS, 6)) < 0.3).astype(np.uint8)
    given, trace = ChipInput(inputs, {"x": code}), Trace({"a": spikes})
    whole = count_with_activity(network, given, trace, GROUPS)
    for piece in (1, 6 * 7):  # one row at a time, and seven, which leave a rest of 20
        monkeypatch.setattr("neurozsl.hardware.count.tally.PIECE", piece)
        assert count_with_activity(network, given, trace, GROUPS) == whole
