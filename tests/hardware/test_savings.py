"""Each saving against the run counted again without it: weights, neurons, channels, steps gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.count.activity import count_with_activity
from neurozsl.hardware.count.counts import Counts, count
from neurozsl.hardware.count.measures import largest
from neurozsl.hardware.count.savings import Measure, Savings, savings
from neurozsl.hardware.energy import estimate
from neurozsl.hardware.energy.saved import saved_joules
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from tests.factories.inputs import binary, binary_code
from tests.factories.networks import lowered, lowered_layer
from tests.hardware.connection_loops import sparse

GRADED = InputCode(6, "graded", 4, True, 1.0)
Run = tuple[Lowered, ChipInput, Trace]


def ranked(network: Any, given: ChipInput, trace: Trace, **more: Any) -> Savings:
    _, activity = count_with_activity(network, given, trace)
    return savings(network, given, trace, activity, **more)


def by_key(found: Savings) -> dict[str, Measure]:
    assert len({x.key for x in found.measures}) == len(found.measures)
    return {x.key: x for x in found.measures}


def with_layer(network: Lowered, name: str, **changes: Any) -> Lowered:
    layers = (replace(x, **changes) if x.name == name else x for x in network.layers)
    return replace(network, layers=tuple(layers))


def runs() -> dict[str, Run]:
    """Networks that spike, and what they did on random codes; all with leak-free neurons."""
    rng = np.random.default_rng(7)

    def of(network: Lowered, given: ChipInput) -> Run:
        network = replace(network, inputs=given.code)
        trace = simulate(network, given)
        assert all(x.any() for x in trace.spikes.values())
        return network, given, trace

    few = binary(rng, 6, 5, 7, 0.4)
    codes = rng.integers(-7, 8, (5, 7, 6)) * (rng.random((5, 7, 6)) < 0.6)
    codes[:, :, 2] = 3  # a channel that never changes
    codes[:, 3:5, :] = codes[:, 2:3, :]
    chain = (
        lowered_layer("a", "x", rng.normal(0.3, 1, (12, 6))),
        lowered_layer("b", "a", sparse(rng, 9, 12) + 0.2 * (rng.random((9, 12)) < 0.3)),
    )
    loop = Synapse("a", sparse(rng, 12, 12), Link(delay=1))
    late = Synapse("x", sparse(rng, 9, 6), Link(delay=2))
    recurrent = (replace(chain[0], also=(loop,)), replace(chain[1], also=(late,)))
    conv, pool = Conv((2, 6, 6), padding=(1, 1, 1, 1)), Pool((4, 6, 6), (3, 3), (2, 2))
    second = Conv((4, 2, 2), groups=2)
    maps = (
        lowered_layer("a", "x", sparse(rng, 4, 2, 3, 3) + 0.1, link=Link(conv)),
        lowered_layer("b", "a", sparse(rng, 6, 2, 2, 2) + 0.2, link=Link(second, (pool,))),
        lowered_layer("c", "b", rng.normal(0.5, 1, (5, 6))),
    )
    graded = ChipInput({"x": codes}, {"x": GRADED})
    return {
        "chain": of(lowered(*chain, code=few.code["x"], steps=7), few),
        "graded": of(lowered(*chain, code=GRADED, steps=7), graded),
        "recurrent": of(lowered(*recurrent, code=few.code["x"], steps=7), few),
        "graded and recurrent": of(lowered(*recurrent, code=GRADED, steps=7), graded),
        "conv": of(lowered(*maps, code=binary_code(72), steps=6), binary(rng, 72, 4, 6, 0.2)),
    }


RUNS = runs()
each_run = pytest.mark.parametrize("kind", RUNS)


def check(measure: Measure | None, before: Counts, after: Counts, *, updates: float = 0.0) -> None:
    """The SynOps of a measure are the difference of two counts; absent where there is none."""
    gone = before.total("synops") - after.total("synops")
    if measure is None:
        assert gone <= 1e-9 and not updates
        return
    assert measure.synops == pytest.approx(gone, rel=1e-12, abs=1e-9)
    assert measure.share == pytest.approx(gone / before.total("synops"), rel=1e-12)
    convs = before.total("conv_synops") - after.total("conv_synops")
    assert measure.conv_synops == pytest.approx(convs, rel=1e-12, abs=1e-9)
    assert measure.updates == updates


@each_run
def test_totals_and_shares_are_those_of_the_counts(kind: str) -> None:
    network, given, trace = RUNS[kind]
    found, counts = ranked(network, given, trace), count(network, given, trace)
    assert found.synops == pytest.approx(counts.total("synops"), rel=1e-12)
    assert found.updates == counts.total("neuron_updates")
    layers = {x.name: x for x in counts.layers}
    assert {x.layer for x in found.layers} == set(layers)
    for layer in found.layers:
        assert layer.synops == pytest.approx(layers[layer.layer].synops, rel=1e-12)
        assert layer.synops_share == pytest.approx(layer.synops / found.synops)
        assert layer.updates == layers[layer.layer].neuron_updates
        assert layer.updates_share == pytest.approx(layer.updates / found.updates)
        events = sum(x.events for x in layer.arriving)
        assert events == pytest.approx(layers[layer.layer].input_events)
        for x in layer.arriving:
            assert x.events * x.fan_out == pytest.approx(x.synops)
    assert [x.synops for x in found.layers] == sorted(x.synops for x in found.layers)[::-1]
    assert [x.synops for x in found.measures] == sorted(x.synops for x in found.measures)[::-1]
    assert all(x.synops or x.updates for x in found.measures)


def pruned(layer: LoweredLayer) -> LoweredLayer:
    """A tenth of the weights, one after the other from the largest on."""
    weights = [np.array(x.weight) for x in layer.synapses]
    places = [(-abs(w[i]), k, i) for k, w in enumerate(weights) for i in np.ndindex(w.shape)]
    for _, k, i in sorted(places)[-(-len(places) // 10) :]:
        weights[k][i] = 0.0
    also = (replace(x, weight=w) for x, w in zip(layer.also, weights[1:], strict=True))
    return replace(layer, weight=weights[0], also=tuple(also))


@each_run
def test_pruning_saves_what_a_count_with_the_mask_is_lower(kind: str) -> None:
    network, given, trace = RUNS[kind]
    before, found = count(network, given, trace), by_key(ranked(network, given, trace))
    for layer in network.layers:
        cut = tuple(pruned(x) if x is layer else x for x in network.layers)
        after = count(replace(network, layers=cut), given, trace)
        assert after.total("synops") < before.total("synops")
        check(found.get(f"prune/{layer.name}"), before, after)
        assert found[f"prune/{layer.name}"].holds == "needs training"
    every = replace(network, layers=tuple(map(pruned, network.layers)))
    check(found["prune/all layers"], before, count(every, given, trace))


def test_equal_weights_are_kept_in_their_order_and_zeros_never() -> None:
    first, second = largest([np.array([[2.0, -2.0], [0.0, 2.0]]), np.array([[3.0, 0.0]])], 3)
    assert first.tolist() == [[True, True], [False, False]]
    assert second.tolist() == [[True, False]]
    [mask] = largest([np.array([[0, 1, 0, 0]], np.int16)], 3)
    assert mask.tolist() == [[False, True, False, False]]
    [least] = largest([np.array([[-32768, 32767]], np.int16)], 1)
    assert least.tolist() == [[True, False]]


@each_run
def test_changes_save_what_a_count_of_the_changed_codes_is_lower(kind: str) -> None:
    network, given, trace = RUNS[kind]
    before, found = count(network, given, trace), by_key(ranked(network, given, trace))
    codes = np.asarray(given.codes["x"])
    moved = np.zeros_like(codes)
    for s, t, i in np.ndindex(codes.shape):
        moved[s, t, i] = codes[s, t, i] != (codes[s, t - 1, i] if t else 0)
    after = count(network, ChipInput({"x": moved}, given.code), trace)
    check(found.get("changes/x"), before, after)
    assert ("changes/x" in found) == (after.total("synops") < before.total("synops"))
    assert ("changes/x" in found) == kind.startswith("graded")


@each_run
def test_half_the_events_save_the_mean_of_a_thinning_and_of_its_rest(kind: str) -> None:
    network, given, trace = RUNS[kind]
    before, found = count(network, given, trace), by_key(ranked(network, given, trace))
    rng = np.random.default_rng(1)
    for source in ("x", "a"):
        thinned = []
        codes, spikes = np.asarray(given.codes["x"]), dict(trace.spikes)
        keep = rng.random((codes if source == "x" else spikes["a"]).shape) < 0.5
        for mask in (keep, ~keep):
            given_ = ChipInput({"x": codes * mask}, given.code) if source == "x" else given
            trace_ = Trace({**spikes, "a": spikes["a"] * mask}) if source == "a" else trace
            thinned.append(count(network, given_, trace_))
        one = found[f"half_events/{source}"]
        gone = [before.total("synops") - x.total("synops") for x in thinned]
        assert one.synops == pytest.approx(np.mean(gone), rel=1e-12) and one.synops > 0
        sent = [before.total("spikes") - x.total("spikes") for x in thinned]
        assert one.spikes == pytest.approx(np.mean(sent), rel=1e-12)
        assert (one.updates, one.holds) == (0, "needs training")


@each_run
def test_half_the_steps_save_what_a_shorter_run_is_lower(kind: str) -> None:
    network, given, trace = RUNS[kind]
    before, found = count(network, given, trace), by_key(ranked(network, given, trace))
    kept = -(-given.steps // 2)
    codes = {name: x[:, :kept] for name, x in given.codes.items()}
    short = Trace({name: x[:, :kept] for name, x in trace.spikes.items()})
    after = count(replace(network, steps=kept), ChipInput(codes, given.code), short)
    updates = before.total("neuron_updates") - after.total("neuron_updates")
    one = found["half_steps/all layers"]
    check(one, before, after, updates=updates)
    for key in ("spikes", "active_updates"):
        assert getattr(one, key) == pytest.approx(before.total(key) - after.total(key), rel=1e-12)
    assert one.text == f"stop after {kept} of {given.steps} steps"


@each_run
def test_the_dearest_channels_save_what_a_count_without_them_is_lower(kind: str) -> None:
    network, given, trace = RUNS[kind]
    before, found = count(network, given, trace), by_key(ranked(network, given, trace))
    codes, saved = np.asarray(given.codes["x"]), []
    for channel in range(codes.shape[2]):
        without = codes.copy()
        without[:, :, channel] = 0
        after = count(network, ChipInput({"x": without}, given.code), trace)
        saved.append(before.total("synops") - after.total("synops"))
    number = -(-len(saved) // 10)
    assert found["channels/x"].synops == pytest.approx(sum(sorted(saved)[-number:]), rel=1e-9)
    assert f"leave out the {number} of {len(saved)} channels" in found["channels/x"].text


@pytest.mark.parametrize("kind", ["graded", "chain"])
def test_a_channel_of_one_code_saves_its_operations_as_a_bias(kind: str) -> None:
    network, given, trace = RUNS[kind]
    found = by_key(ranked(network, given, trace))
    if kind == "chain":  # each of its channels is 0 at some time
        assert "constant/x" not in found
        return
    codes = np.array(given.codes["x"])
    codes[:, :, 2] = 0
    after = count(network, ChipInput({"x": codes}, given.code), trace)
    check(found["constant/x"], count(network, given, trace), after)
    assert found["constant/x"].holds == "on this run"
    # The same spikes from a bias, to the last bit: the code is 3 in every step.
    first = network.layers[0]
    folded = with_layer(network, "a", bias=first.bias + 3 * first.weight[:, 2])
    again = simulate(folded, ChipInput({"x": codes}, given.code))
    for name, spikes in trace.spikes.items():
        assert np.array_equal(again.spikes[name], spikes)


def test_a_channel_that_arrives_late_is_no_bias() -> None:
    network, given, trace = RUNS["graded and recurrent"]
    assert (np.asarray(given.codes["x"])[:, :, 2] == 3).all()
    assert "constant/x" not in by_key(ranked(network, given, trace))


# --- neurons ----------------------------------------------------------------------------------


def idle_network() -> Lowered:
    """By hand: 4 inputs, 6 neurons, 4 neurons, 2 outputs.

    a: 0 is read; 1 is read by b2 alone, which nothing reads; 2 has no weights; 3 none but a bias
    that spikes every second step; 4 is inhibited alone; 5 reads and is read.
    """
    first = np.zeros((6, 4))
    first[0, :2] = first[1, 1:3] = 2.0
    first[4] = -1.0
    first[5, 3] = 2.0
    bias = np.array([0, 0, 0.001, 0.6, 0, 0])
    second = np.zeros((4, 6))
    second[0, [0, 3, 5]] = second[1, [0, 2, 4]] = 2.0
    second[2, [0, 1, 5]] = 2.0  # read by nobody
    second[3, 2] = 2.0  # reads what cannot spike
    third = np.zeros((2, 4))
    third[0, [0, 1, 3]] = third[1, 1] = 2.0
    return lowered(
        lowered_layer("a", "x", first, bias=bias),
        lowered_layer("b", "a", second),
        lowered_layer("c", "b", third),
        code=binary_code(4),
        steps=6,
    )


def without(network: Lowered, gone: Mapping[str, Any]) -> Lowered:
    """The network whose layers lose neurons; sources are wired anew."""
    layers = []
    for layer in network.layers:
        kept = [i for i in range(layer.size) if i not in gone.get(layer.name, ())]
        fields = {x: getattr(layer, x)[kept] for x in ("bias", "leak", "syn_leak", "threshold")}
        weight = np.delete(layer.weight[kept], list(gone.get(layer.source, ())), axis=1)
        layers.append(replace(layer, weight=weight, **fields))
    return replace(network, layers=tuple(layers))


def idle_run() -> Run:
    network, given = idle_network(), binary(np.random.default_rng(3), 4, 5, 6, 0.5)
    return network, given, simulate(network, given)


@pytest.mark.parametrize(
    ("key", "gone", "holds"),
    [
        ("unread/a", {"a": {1}, "b": {2}}, "exact"),
        ("unread/b", {"b": {2}}, "exact"),
        ("never/a", {"a": {2}}, "exact"),
        ("never/b", {"b": {3}}, "exact"),
        ("silent/a", {"a": {4}}, "on this run"),
    ],
)
def test_neurons_that_go_save_what_a_run_without_them_is_lower(
    key: str, gone: dict[str, Any], holds: str
) -> None:
    network, given, trace = idle_run()
    found = by_key(ranked(network, given, trace))
    # What unread neurons of a feed must be gone already; the rest is the measure's own.
    layer = key.partition("/")[2]
    first = {name: numbers for name, numbers in gone.items() if name != layer}
    before, after = without(network, first), without(network, gone)
    runs = [(x, simulate(x, given)) for x in (before, after)]
    counts = [count(x, given, spikes) for x, spikes in runs]
    number = len(gone[layer])
    check_removed(found[key], *counts, updates=number * 6)
    assert found[key].holds == holds
    assert np.array_equal(runs[1][1].spikes["c"], trace.spikes["c"])
    assert trace.spikes["c"].any()


def check_removed(found: Measure, before: Counts, after: Counts, *, updates: int) -> None:
    for key in ("synops", "spikes", "active_updates"):
        gone = before.total(key) - after.total(key)
        assert getattr(found, key) == pytest.approx(gone, rel=1e-12, abs=1e-12), key
    assert (
        found.updates == updates == before.total("neuron_updates") - after.total("neuron_updates")
    )


def test_of_the_idle_network_exactly_the_idle_neurons_are_found() -> None:
    found = by_key(ranked(*idle_run()))
    removed = {k for k in found if k.partition("/")[0] in ("unread", "never", "silent")}
    assert removed == {"unread/a", "unread/b", "never/a", "never/b", "silent/a"}
    assert found["never/a"].text == "remove 1 of 6 neurons that cannot spike"
    assert found["never/a"].synops == 0 and found["never/a"].updates == 6


def test_neurons_that_cannot_spike_stay_silent_on_any_input() -> None:
    network, given, trace = idle_run()
    never = {"a": 2, "b": 3}
    assert "never/a" in by_key(ranked(network, given, trace))
    ones = ChipInput({"x": np.ones((1, 6, 4), int)}, given.code)
    for other in (ones, binary(np.random.default_rng(9), 4, 50, 6, 0.7)):
        spikes = simulate(network, other).spikes
        assert not any(spikes[name][:, :, i].any() for name, i in never.items())
    # With a bias that crosses in the last step it spikes, and is not called so.
    late = with_layer(network, "a", bias=np.array([0, 0, 0.19, 0.6, 0, 0]))
    trace = simulate(late, given)
    assert trace.spikes["a"][:, :5, 2].sum() == 0 and trace.spikes["a"][:, 5, 2].all()
    assert "never/a" not in by_key(ranked(late, given, trace))


def test_where_thresholds_follow_the_input_nothing_is_proved_by_a_run() -> None:
    network, given, trace = idle_run()
    for policy, unread in (("dynamic", "exact"), ("closed", "on this run")):
        found = by_key(ranked(network, given, trace, policy=policy))
        assert not any(key.startswith("never/") for key in found)
        assert found["silent/a"].text.startswith("remove 2 of 6 neurons")
        assert found["unread/a"].holds == unread


def test_two_neurons_that_only_excite_each_other_cannot_spike() -> None:
    loop = Synapse("a", np.array([[0, 0, 0], [0, 0, 5.0], [0, 5.0, 0]]), Link(delay=1))
    layers = (
        lowered_layer("a", "x", np.array([[2.0], [0.0], [0.0]]), also=(loop,)),
        lowered_layer("b", "a", np.ones((2, 3))),
    )
    network = lowered(*layers, code=binary_code(1), steps=4)
    given = ChipInput({"x": np.ones((1, 4, 1), int)}, network.inputs)
    found = by_key(ranked(network, given, simulate(network, given)))
    assert found["never/a"].text.startswith("remove 2 of 3")
    fed = replace(layers[0], weight=np.array([[2.0], [0.0], [0.5]]))  # one of them reads the input
    network = replace(network, layers=(fed, layers[1]))
    quiet = ChipInput({"x": np.zeros((1, 4, 1), int)}, network.inputs)
    assert not any(
        key.startswith("never/") for key in by_key(ranked(network, quiet, simulate(network, quiet)))
    )


def test_of_a_map_whole_channels_leave() -> None:
    """Channel 1 has a silent corner only; channel 2 has no weights at all; channel 3 is unread."""
    kernel = np.zeros((4, 1, 1, 1))
    kernel[[0, 1, 3]] = 2.0
    head = np.zeros((2, 4, 2, 2))
    head[:, :3] = 2.0
    layers = (
        lowered_layer("a", "x", kernel, link=Link(Conv((1, 2, 2)))),
        lowered_layer("b", "a", head, link=Link(Conv((4, 2, 2)))),
    )
    network = lowered(*layers, code=binary_code(4), steps=3)
    codes = np.ones((2, 3, 4), int)
    codes[:, :, 3] = 0
    given = ChipInput({"x": codes}, network.inputs)
    trace = simulate(network, given)
    found = by_key(ranked(network, given, trace))
    assert {k for k in found if "/a" in k and k[0] in "uns"} == {"unread/a", "never/a"}
    assert (found["never/a"].updates, found["never/a"].synops) == (4 * 3, 0)
    assert (found["unread/a"].updates, found["unread/a"].synops) == (4 * 3, 3 * 3)
    assert found["unread/a"].spikes == trace.spikes["a"][:, :, 12:].sum() / 2
    assert found["unread/a"].active_updates == 3 * 3


# --- programs, nothing to save, joules --------------------------------------------------------


def test_the_integers_of_a_chip_are_ranked_by_their_own_zeros() -> None:
    network, given, _ = RUNS["chain"]
    small = network.layers[0].weight.copy()
    small[:, 1:4] *= 1e-6  # rounded to 0
    network = with_layer(network, "a", weight=small)
    program = quantize(network, "loihi2")
    trace = emulate(program, given)
    found, counts = ranked(program, given, trace), count(program, given, trace)
    assert found.synops == pytest.approx(counts.total("synops"), rel=1e-12)
    assert found.synops < count(network, given, trace).total("synops")
    layer = program.layers[0]
    kept = largest([layer.weight], -(-layer.weight.size // 10))[0]
    cut = replace(layer, weight=np.where(kept, layer.weight, 0).astype(layer.weight.dtype))
    after = count(replace(program, layers=(cut, *program.layers[1:])), given, trace)
    check(by_key(found).get("prune/a"), counts, after)
    assert by_key(found)["prune/a"].synops > 0


def test_a_silent_run_has_no_operations_to_save_and_a_single_step_no_half() -> None:
    network = lowered(lowered_layer("a", "x", [[1.0]]), code=binary_code(1), steps=1)
    given = ChipInput({"x": np.zeros((3, 1, 1), int)}, network.inputs)
    found = ranked(network, given, simulate(network, given))
    assert (found.synops, found.updates, found.measures) == (0, 1, ())
    assert found.layers[0].arriving[0].never_active == 1


def test_a_run_without_samples_gives_no_measures() -> None:
    network, given, trace = RUNS["chain"]
    none = slice(0, 0)
    empty = Trace({name: x[none] for name, x in trace.spikes.items()})
    with_none = savings(network, given.take(none), empty, ())
    assert (with_none.synops, with_none.measures) == (0, ())


def test_a_trace_of_other_samples_is_refused() -> None:
    network, given, trace = RUNS["chain"]
    with pytest.raises(BadInput, match="same run"):
        savings(network, given.take(slice(0, 2)), trace, ())


@pytest.mark.parametrize("chip", ["loihi1", "loihi1_sanafe", "speck2f"])
def test_joules_of_a_measure_are_the_difference_of_two_rows(chip: str) -> None:
    network, given, trace = idle_run()
    found = by_key(ranked(network, given, trace))["unread/b"]
    after = without(network, {"b": {2}})
    rows = [estimate(count(x, given, simulate(x, given)), chip) for x in (network, after)]
    gone = rows[0].joules - rows[1].joules
    assert found.spikes > 0 and found.synops > 0
    assert saved_joules(found, chip, 6) == pytest.approx(gone, rel=1e-9)


def test_samples_that_stop_save_no_step_that_did_not_run() -> None:
    network, given, trace = runs()["chain"]
    lengths = np.array([1, 2, 6, 3, 5])
    found = ranked(network, given.stopped(lengths), trace.stopped(lengths))
    neurons = sum(x.size for x in network.layers)
    kept = (given.steps + 1) // 2
    assert found.updates == pytest.approx(neurons * lengths.mean())
    assert sum(x.updates for x in found.layers) == pytest.approx(found.updates)
    late = np.maximum(lengths - kept, 0).mean()
    assert by_key(found)["half_steps/all layers"].updates == pytest.approx(neurons * late)


def test_a_neuron_is_proved_silent_only_where_a_sample_ran_all_steps() -> None:
    dead = np.array([[1.0, 1.0], [0.0, 0.0]])
    network = lowered(
        lowered_layer("a", "x", dead),
        lowered_layer("b", "a", np.ones((1, 2))),
        steps=4,
        code=binary_code(2),
    )
    given = ChipInput({"x": np.ones((2, 4, 2), np.int64)}, {"x": binary_code(2)})
    trace = simulate(network, given)
    for lengths, holds in (([4, 1], "exact"), ([3, 1], "on this run")):
        at = np.array(lengths)
        assert (
            by_key(ranked(network, given.stopped(at), trace.stopped(at)))["never/a"].holds == holds
        )
