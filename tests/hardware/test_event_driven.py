"""Speck event by event: against neurons worked out by hand and a slow reference in Python."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.network.neuron import Reset
from neurozsl.hardware.network.synapse import PLAIN, Conv, Link, Pool, Synapse, pooled, weigh
from neurozsl.hardware.speck import event_links
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.event_driven import (
    EventRun,
    OrderedEvents,
    random_order,
    run_event_driven,
)
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.inputs import binary, binary_code


def layer(
    name: str,
    source: str,
    weight: Any,
    *,
    bias: Any = None,
    threshold: int = 10,
    low: int = -32767,
    reset: Reset = "zero",
    link: Link = PLAIN,
    max_spikes: int = 1,
) -> SpeckLayer:
    kernel = np.asarray(weight, np.int16)
    size = Synapse(source, kernel, link).size_out
    given = np.zeros(size, np.int16) if bias is None else np.asarray(bias, np.int16)
    return SpeckLayer(
        name=name,
        source=source,
        weight=kernel,
        bias=given,
        threshold=threshold,
        low=low,
        unit=0.01,
        reset=reset,
        max_spikes=max_spikes,
        link=link,
    )


def program(*layers: SpeckLayer, inputs: dict[str, int], steps: int = 3) -> SpeckProgram:
    codes = {name: binary_code(size) for name, size in inputs.items()}
    return SpeckProgram("speck2f", codes, layers, (layers[-1].name,), steps, 1e-3, "fixed")


def events(*samples: list[tuple[int, int]], steps: int = 3) -> OrderedEvents:
    """Samples as lists of (step, place)."""
    flat = np.array([pair for sample in samples for pair in sample], np.int64).reshape(-1, 2)
    ends = np.cumsum([0, *(len(sample) for sample in samples)])
    ran = np.full(len(samples), steps)
    return OrderedEvents(flat[:, 0], flat[:, 1], ends, ran, steps)


# ---------------------------------------------------------------- the slow, obvious reference


def targets(synapse: Synapse, value: int) -> list[list[tuple[int, int]]]:
    """For each pooled sum that a value is in: (neuron, weight) by row, column and channel."""
    one = np.zeros((1, synapse.size_in), np.int64)
    one[0, value] = 1
    sums = pooled(synapse.link, one)
    found = []
    for place in np.flatnonzero(sums[0]).tolist():
        alone = np.zeros_like(sums)
        alone[0, place] = 1
        weights = np.asarray(synapse.weight, np.int64)
        reached = weigh(Synapse(synapse.source, np.ones_like(weights), synapse.link), alone)[0]
        added = weigh(Synapse(synapse.source, weights, synapse.link), alone)[0]
        shape = synapse.out_shape if len(synapse.out_shape) == 3 else (*synapse.out_shape, 1, 1)
        flat = np.arange(len(added)).reshape(shape).transpose(1, 2, 0).ravel().tolist()
        joined = [(n, int(added[n])) for n in flat if reached[n]]
        found += [joined] * int(sums[0, place])
    return found


class SlowChip:
    """States, a queue, and what was counted."""

    def __init__(self, made: SpeckProgram, steps: int) -> None:
        self.layers = {x.name: x for x in made.layers}
        self.state = {x.name: [0] * x.size for x in made.layers}
        self.spikes = {x.name: np.zeros((steps, x.size), np.int64) for x in made.layers}
        self.arrived = {x.name: np.zeros(steps, np.int64) for x in made.layers}
        self.operations = {x.name: np.zeros(steps, np.int64) for x in made.layers}
        self.clipped = dict.fromkeys(self.layers, 0)
        self.queue: deque[tuple[str, int]] = deque()

    def add(self, name: str, neuron: int, weight: int, t: int) -> None:
        its = self.layers[name]
        wanted = self.state[name][neuron] + weight
        v = max(-32768, min(32767, wanted))
        cut = v != wanted
        if v >= its.threshold:
            self.spikes[name][t, neuron] += 1
            self.queue.append((name, neuron))
            v = 0 if its.reset == "zero" else v - its.threshold
        self.state[name][neuron] = max(v, its.low)
        self.clipped[name] += cut or v < its.low

    def finish(self, t: int) -> None:
        while self.queue:
            source, value = self.queue.popleft()
            for name, its in self.layers.items():
                if its.source != source:
                    continue
                for joined in targets(its.synapses[0], value):
                    self.arrived[name][t] += 1
                    for neuron, weight in joined:
                        self.operations[name][t] += 1
                        self.add(name, neuron, weight, t)

    def tick(self, t: int) -> None:
        for name, its in self.layers.items():
            if np.any(its.bias):
                shape = its.shape if len(its.shape) == 3 else (its.size, 1, 1)
                order = np.arange(its.size).reshape(shape).transpose(1, 2, 0).ravel()
                for neuron in order.tolist():
                    self.add(name, neuron, int(its.bias[neuron]), t)
                self.finish(t)


def slow(made: SpeckProgram, given: OrderedEvents) -> list[SlowChip]:
    places = [(name, i) for name, code in made.inputs.items() for i in range(code.size)]
    chips = []
    for sample in range(given.samples):
        chip = SlowChip(made, given.steps)
        own = range(given.offsets[sample], given.offsets[sample + 1])
        for t in range(given.ran[sample]):
            for k in own:
                if given.step[k] == t:
                    chip.queue.append(places[given.index[k]])
                    chip.finish(t)
            chip.tick(t)
        chips.append(chip)
    return chips


def assert_like_the_reference(made: SpeckProgram, given: OrderedEvents) -> EventRun:
    found, truth = run_event_driven(made, given), slow(made, given)
    for name in found.spikes:
        for part in ("spikes", "arrived", "operations"):
            expected = np.stack([getattr(chip, part)[name] for chip in truth])
            np.testing.assert_array_equal(getattr(found, part)[name], expected, f"{part} {name}")
        assert found.clipped[name] == sum(chip.clipped[name] for chip in truth)
    return found


# ---------------------------------------------------------------- one neuron, by hand


def both(made: SpeckProgram, given: OrderedEvents) -> tuple[list[int], list[int]]:
    """Spikes of the last layer's first neuron a step: in steps, and event by event."""
    size = sum(code.size for code in made.inputs.values())
    codes = np.zeros((1, given.steps, size), np.int16)
    np.add.at(codes[0], (given.step, given.index), 1)
    chip_input = binary(np.random.default_rng(0), size, 1, given.steps, 0.0)
    chip_input.codes["x"][:] = codes
    clocked = emulate_speck(made, chip_input).spikes[made.outputs[0]][0, :, 0]
    free = run_event_driven(made, given).spikes[made.outputs[0]][0, :, 0]
    return clocked.tolist(), free.tolist()


def test_a_neuron_that_crosses_inside_a_step_and_falls_back_spikes_without_a_clock_only() -> None:
    made = program(layer("a", "x", [[12, -8]]), inputs={"x": 2})
    assert both(made, events([(1, 0), (1, 1)])) == ([0, 0, 0], [0, 1, 0])
    assert both(made, events([(1, 1), (1, 0)])) == ([0, 0, 0], [0, 0, 0])  # the other order


def test_a_neuron_can_spike_twice_in_a_step() -> None:
    made = program(layer("a", "x", [[10, 10, 3]]), inputs={"x": 3})
    assert both(made, events([(0, 0), (0, 1), (2, 2)])) == ([1, 0, 0], [2, 0, 0])


def test_what_comes_after_a_spike_counts_where_a_step_would_lose_it() -> None:
    made = program(layer("a", "x", [[9, 9, 3]]), inputs={"x": 3})
    # In steps 9 + 9 + 3 spikes, and 0 is left; without a clock 9, 18 -> 0, and 3 is left.
    assert both(made, events([(0, 0), (0, 1), (0, 2), (1, 0)])) == ([1, 0, 0], [1, 1, 0])


def test_what_a_subtraction_leaves_is_the_same_where_nothing_falls() -> None:
    made = program(layer("a", "x", [[9, 9, 3]], reset="subtract"), inputs={"x": 3})
    assert both(made, events([(0, 0), (0, 1), (1, 2)])) == ([1, 1, 0], [1, 1, 0])


def test_a_neuron_spikes_once_an_event_and_what_is_left_waits_for_the_next_one() -> None:
    made = program(layer("a", "x", [[35, 0]], reset="subtract"), inputs={"x": 2})
    found = run_event_driven(made, events([(0, 0), (1, 1), (2, 1)]))
    # 35 -> 25 | 25 + 0 -> 15 | 15 + 0 -> 5: an event of weight 0 is an event.
    assert found.spikes["a"][0, :, 0].tolist() == [1, 1, 1]
    quiet = run_event_driven(made, events([(0, 0)]))
    assert quiet.spikes["a"][0, :, 0].tolist() == [1, 0, 0]


def test_the_lower_bound_comes_after_every_event() -> None:
    made = program(layer("a", "x", [[-50, 10]], low=-5), inputs={"x": 2})
    assert both(made, events([(0, 0), (0, 1)])) == ([0, 0, 0], [0, 0, 0])
    found = run_event_driven(made, events([(0, 0), (0, 1), (0, 1)]))
    assert found.spikes["a"].sum() == 1  # -5, 5, 15
    assert found.clipped == {"a": 1}


def test_the_state_saturates_at_16_bits() -> None:
    made = program(layer("a", "x", [[-128]], low=-32768), inputs={"x": 1})
    found = run_event_driven(made, events([(0, 0)] * 258))
    assert found.clipped == {"a": 2}  # 256 x 128 is the last that fits


def test_the_bias_is_added_once_a_step_after_its_events() -> None:
    made = program(layer("a", "x", [[6]], bias=[4]), inputs={"x": 1})
    assert both(made, events([(1, 0)])) == ([0, 1, 0], [0, 1, 0])
    # 4 | 4 + 6 spikes at the event, before the tick: 4 is left where the step leaves 0.
    made = program(layer("a", "x", [[6]], bias=[3]), inputs={"x": 1})
    assert both(made, events([(1, 0), (2, 0)])) == ([0, 1, 0], [0, 1, 0])


def test_a_spike_reaches_the_next_layers_before_the_next_event_enters() -> None:
    first = layer("a", "x", [[10, 0], [0, 10]])
    second = layer("b", "a", [[12, -12]])
    made = program(first, second, inputs={"x": 2})
    assert run_event_driven(made, events([(0, 0), (0, 1)])).spikes["b"].sum() == 1
    assert run_event_driven(made, events([(0, 1), (0, 0)])).spikes["b"].sum() == 0


def test_events_and_operations_are_counted_where_they_arrive() -> None:
    conv = Conv((1, 3, 3), padding=(1, 1, 1, 1))
    kernel = np.full((2, 1, 3, 3), 10)
    made = program(
        layer("a", "x", kernel, link=Link(conv)),
        layer("b", "a", np.zeros((1, 2)), link=Link(None, (Pool((2, 3, 3), (2, 2), (2, 2)),))),
        inputs={"x": 9},
        steps=1,
    )
    found = run_event_driven(made, events([(0, 4)], steps=1))
    assert found.arrived["a"].tolist() == [[1]]
    assert found.operations["a"].tolist() == [[18]]  # the middle reaches all of 2 x 3 x 3
    assert found.spikes["a"].tolist() == [[[1] * 18]]
    assert found.arrived["b"].tolist() == [[8]]  # the rest of a 3 x 3 map is in no 2 x 2 window
    corner = run_event_driven(made, events([(0, 0)], steps=1))
    assert corner.operations["a"].tolist() == [[8]]  # 2 channels x 2 x 2


# ---------------------------------------------------------------- networks


def networks() -> dict[str, SpeckProgram]:
    rng = np.random.default_rng(5)

    def weight(*shape: int) -> Any:
        return rng.integers(-90, 128, shape)

    conv = Conv((2, 8, 8), padding=(1, 1, 1, 1))
    strided = Conv((4, 4, 4), stride=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 2))
    grouped = Conv((4, 5, 6), groups=2)
    overlapping = Pool((3, 6, 6), (3, 3), (2, 2), (1, 1))
    bias = np.repeat(rng.integers(-20, 40, 4), 64)
    return {
        "dense": program(
            layer("a", "x", weight(6, 5), threshold=100, bias=rng.integers(-50, 60, 6)),
            layer("b", "a", weight(4, 6), threshold=60, reset="subtract", low=-70),
            inputs={"x": 5},
            steps=4,
        ),
        "conv": program(
            layer("a", "x", weight(4, 2, 3, 3), threshold=120, link=Link(conv), bias=bias),
            layer(
                "b",
                "a",
                weight(3, 4, 2, 2),
                threshold=90,
                link=Link(strided, (Pool((4, 8, 8), (2, 2), (2, 2)),)),
                reset="subtract",
            ),
            layer("c", "b", weight(5, math.prod(strided.out_shape((3, 4, 2, 2)))), threshold=80),
            inputs={"x": 128},
            steps=2,
        ),
        "groups": program(
            layer("a", "x", weight(6, 2, 2, 3), threshold=50, link=Link(grouped)),
            inputs={"x": 120},
            steps=2,
        ),
        "overlapping pools": program(
            layer(
                "a",
                "x",
                weight(2, 3, 2, 2),
                threshold=70,
                link=Link(Conv((3, 1, 1), padding=(1, 1, 1, 1)), (overlapping, _again())),
            ),
            inputs={"x": 108},
            steps=2,
        ),
        "two inputs, one layer read twice": program(
            layer("a", "x", weight(4, 3), threshold=60),
            layer("b", "y", weight(4, 2), threshold=60),
            layer("c", "a", weight(3, 4), threshold=60, bias=[1, 2, 3]),
            layer("d", "a", weight(3, 4), threshold=60, reset="subtract"),
            inputs={"x": 3, "y": 2},
            steps=3,
        ),
    }


def _again() -> Pool:
    return Pool((3, 3, 3), (2, 2), (2, 2))


@pytest.mark.parametrize("name", list(networks()))
def test_the_compiled_loop_does_what_the_reference_does(name: str) -> None:
    made, rng = networks()[name], np.random.default_rng(7)
    size = sum(code.size for code in made.inputs.values())
    samples = []
    for count in (0, 9, 40):
        step = np.sort(rng.integers(0, made.steps, count))
        samples.append(list(zip(step.tolist(), rng.integers(0, size, count).tolist(), strict=True)))
    found = assert_like_the_reference(made, events(*samples, steps=made.steps))
    assert all(spikes.any() for spikes in found.spikes.values())  # every layer was tried


def test_random_orders_hold_every_event_once_and_stay_inside_their_step() -> None:
    made = networks()["two inputs, one layer read twice"]
    rng = np.random.default_rng(3)
    x, y = (binary(rng, size, 4, 3, 0.6).codes["x"] for size in (3, 2))
    chip_input = type(binary(rng, 3, 4, 3, 0.5))(
        {"x": x, "y": y}, dict(made.inputs), lengths=np.array([3, 2, 1, 3])
    )
    found = random_order(made, chip_input, seed=1)
    counts = np.zeros((4, 3, 5), np.int64)
    sample = np.repeat(np.arange(4), np.diff(found.offsets))
    np.add.at(counts, (sample, found.step, found.index), 1)
    wanted = np.concatenate([x, y], axis=2)
    wanted[1, 2:] = wanted[2, 1:] = 0  # stopped
    np.testing.assert_array_equal(counts, wanted)
    assert_like_the_reference(made, found)
    same, other = random_order(made, chip_input, seed=1), random_order(made, chip_input, seed=2)
    np.testing.assert_array_equal(found.index, same.index)
    assert not np.array_equal(found.index, other.index)
    alone = random_order(made, chip_input.take(slice(0, 2)), seed=1)
    np.testing.assert_array_equal(alone.index, found.take(0, 2).index)


def test_one_event_a_step_is_what_the_program_says() -> None:
    rng = np.random.default_rng(11)
    made = program(
        layer("a", "x", rng.integers(-60, 61, (20, 30)), threshold=60), inputs={"x": 30}, steps=200
    )
    places = rng.integers(0, 30, 200)
    codes = np.zeros((1, 200, 30), np.int16)
    codes[0, np.arange(200), places] = 1
    chip_input = binary(rng, 30, 1, 200, 0.0)
    chip_input.codes["x"][:] = codes
    clocked = emulate_speck(made, chip_input).spikes["a"]
    found = run_event_driven(made, random_order(made, chip_input))
    assert clocked.sum() > 50
    np.testing.assert_array_equal(found.spikes["a"], clocked)


def test_overlapping_pools_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_links, "LARGEST_MATRIX", 20)
    with pytest.raises(BadInput, match=r"layer 'a': its values are in .* at most 20; use windows"):
        run_event_driven(networks()["overlapping pools"], events([]))


def wrong(count: int, ran: Any) -> OrderedEvents:
    """That many events of one sample that says that it has one."""
    return OrderedEvents(np.zeros(count, int), np.zeros(count, int), np.array([0, 1]), ran, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            lambda: events([(2, 0), (1, 0)]),
            "event 1 of step 1 is before an earlier one of sample 0",
        ),
        (lambda: events([(3, 0)]), "event 0 of step 3 comes after the last step of sample 0"),
        (lambda: events([(0, -1)]), "index spans -1"),
        (lambda: wrong(2, np.array([1])), "rise"),
        (lambda: wrong(1, np.array([])), "type"),
        (lambda: wrong(1, np.array([2])), "runs 2 steps, at most 1"),
    ],
)
def test_events_out_of_order_are_refused(given: Any, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        given()


def test_an_event_beside_the_inputs_is_refused() -> None:
    made = program(layer("a", "x", [[1]]), inputs={"x": 1})
    with pytest.raises(BadInput, match="place 1, the inputs have 1 values"):
        run_event_driven(made, events([(0, 1)]))
