"""Both readings of Speck beside each other: figures worked out by hand, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.bundle.accuracy import accuracy, drop
from neurozsl.export.network.order import InOrder, OrderOfEvents, compare_orders
from neurozsl.export.network.task import task_of
from neurozsl.hardware.speck.event_driven import OrderedEvents, random_order
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from neurozsl.hardware.speck.quantize import dequantize_speck
from tests.factories.inputs import binary_code

# Two outputs: the first crosses 10 only where event 0 comes before event 1; the second never.
WEIGHT = np.array([[12, -8, 0], [3, 3, 11]], np.int16)


def made(steps: int = 2) -> SpeckProgram:
    layer = SpeckLayer("a", "x", WEIGHT, np.zeros(2, np.int16), 10, -32767, 0.01)
    return SpeckProgram("speck2f", {"x": binary_code(3)}, (layer,), ("a",), steps, 1e-3, "fixed")


def codes(*samples: list[list[int]]) -> ChipInput:
    return ChipInput({"x": np.array(samples, np.int16)}, {"x": binary_code(3)})


def ordered(*samples: list[tuple[int, int]], steps: int = 2) -> OrderedEvents:
    flat = np.array([pair for sample in samples for pair in sample], np.int64).reshape(-1, 2)
    ends = np.cumsum([0, *(len(sample) for sample in samples)])
    return OrderedEvents(flat[:, 0], flat[:, 1], ends, np.full(len(samples), steps), steps)


BOTH = codes([[1, 1, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 0]], [[1, 1, 0], [0, 0, 1]])
EVENTS = ordered([(0, 0), (0, 1)], [(0, 2)], [(0, 1), (0, 0), (1, 2)])


def given(events: OrderedEvents = EVENTS, step_s: float = 0.01) -> InOrder:
    return InOrder(events, "by hand", np.full(events.samples, step_s))


def compared(labels: list[int] | None = None) -> OrderOfEvents:
    program = made()
    lowered = dequantize_speck(program)
    task = None if labels is None else task_of(lowered, np.array(labels))
    return compare_orders(program, lowered, BOTH, given(), task=task)


def test_spikes_equal_steps_and_neurons_are_those_worked_out_by_hand() -> None:
    [layer] = compared().layers
    # In steps: the second neuron in samples 1 and 2. By event: the first one too, in sample 0.
    assert (layer.clocked, layer.event_driven) == (2, 3)
    assert layer.ratio == 1.5
    assert layer.equal == pytest.approx(11 / 12)  # one of 3 samples x 2 steps x 2 neurons
    assert layer.differing == 1


def test_rates_are_events_and_operations_over_the_seconds_of_the_steps() -> None:
    [layer] = compared().layers
    assert layer.events_per_s == pytest.approx(6 / 0.06)  # 6 events in 3 samples of 2 x 10 ms
    assert layer.events_per_s_peak == pytest.approx(2 / 0.01)
    assert layer.operations_per_s == pytest.approx(12 / 0.06)
    assert layer.operations_per_s_peak == pytest.approx(4 / 0.01)
    assert (layer.core, layer.limit_per_s, layer.is_over) == (0, 1e8, False)
    assert replace(layer, operations_per_s_peak=1.1e8).is_over
    assert not replace(layer, operations_per_s_peak=1.1e8, limit_per_s=None).is_over


def test_accuracy_is_told_of_both_and_paired() -> None:
    found = compared([0, 1, 1])
    # Sample 0: silent in steps, so class 0 by the tie, and class 0 by its spike.
    assert (found.clocked, found.event_driven) == (accuracy(3, 3), accuracy(3, 3))
    assert (found.drop, found.same_class, found.readout) == (drop(0, 0, 3), 3, "count")
    assert compared().clocked is None


def test_blocks_of_samples_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compared([0, 1, 1])
    monkeypatch.setattr("neurozsl.export.network.order._HELD", 1)
    split = compared([0, 1, 1])
    assert replace(split, seconds=whole.seconds) == whole


def test_samples_that_stop_are_silent_in_both() -> None:
    program = made()
    stopped = BOTH.stopped(np.array([1, 2, 1]))
    found = compare_orders(
        program, dequantize_speck(program), stopped, given(random_order(program, stopped))
    )
    assert found.layers[0].clocked == 1  # sample 2 would spike in its second step
    assert found.layers[0].event_driven <= 3
    assert found.events == 5


def test_a_network_that_does_not_fit_has_no_limit_and_says_why() -> None:
    layers = [
        SpeckLayer(
            f"a{i}", f"a{i - 1}" if i else "x", np.ones((3, 3), np.int16), np.zeros(3, np.int16),
            10, -99, 0.1,
        )
        for i in range(10)
    ]  # fmt: skip
    program = SpeckProgram(
        "speck2f", {"x": binary_code(3)}, tuple(layers), ("a9",), 2, 1e-3, "fixed"
    )
    found = compare_orders(program, dequantize_speck(program), BOTH, given())
    assert {(x.core, x.limit_per_s, x.is_over) for x in found.layers} == {(None, None, False)}
    assert "no core is known, and no limit" in found.notes[0]


def test_events_that_are_not_those_of_the_codes_are_refused() -> None:
    program = made()
    lowered = dequantize_speck(program)
    other = ordered([(0, 0), (0, 1)], [(0, 2)], [(0, 1), (0, 0), (0, 2)])
    with pytest.raises(BadInput, match="the events of sample 2 are not the codes of the input"):
        compare_orders(program, lowered, BOTH, given(other))
    every = replace(given(other), is_coded=False)
    assert compare_orders(program, lowered, BOTH, every).events == 6
    with pytest.raises(BadInput, match="2 samples of 2 steps, the input has 3 of 2"):
        compare_orders(program, lowered, BOTH, given(EVENTS.take(0, 2)))
    with pytest.raises(BadInput, match="each needs seconds above 0"):
        given(step_s=0.0)


def test_a_membrane_is_not_read_event_by_event() -> None:
    program = made()
    lowered = dequantize_speck(program)
    task = task_of(lowered, np.array([0, 1, 1]), readout="membrane")
    with pytest.raises(BadInput, match="no membrane is kept; use count or first"):
        compare_orders(program, lowered, BOTH, given(), task=task)
