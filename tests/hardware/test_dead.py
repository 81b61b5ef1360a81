"""Dead neurons of small networks that can be followed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurozsl.hardware.network.dead import View, find_dead, without
from neurozsl.hardware.network.lowered import LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Link, Pool, Synapse
from tests.factories.networks import lowered_layer

Rows = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def dead(*layers: LoweredLayer, outputs: tuple[str, ...] = ("out",), **woken: Any) -> Rows:
    """Silent and unread neurons per layer; woken: 1 for neurons that their bias alone wakes."""
    flags = {x.name: np.array(woken.get(x.name, np.zeros(x.size)), bool) for x in layers}
    return {x.layer: (x.silent, x.unread) for x in find_dead([View(layers, flags)], outputs)}


OUT = lowered_layer("out", "b", np.ones((2, 3)))


def test_a_neuron_without_weights_and_what_reads_it_alone_is_silent() -> None:
    a = lowered_layer("a", "in", [[1, 1], [0, 0], [0, 1]])
    b = lowered_layer("b", "a", [[1, 0, 0], [0, 5, 0], [0, 9, 1]])
    assert dead(a, b, OUT) == {"a": ((1,), ()), "b": ((1,), ())}


def test_a_neuron_that_its_bias_wakes_stays_and_keeps_its_readers() -> None:
    a = lowered_layer("a", "in", [[1, 1], [0, 0], [0, 1]])
    b = lowered_layer("b", "a", [[1, 0, 0], [0, 5, 0], [0, 9, 1]])
    assert dead(a, b, OUT, a=[0, 1, 0]) == {}


def test_a_neuron_that_spikes_by_its_bias_goes_where_nobody_reads_it() -> None:
    a = lowered_layer("a", "in", [[1, 1], [0, 0], [0, 1]])
    b = lowered_layer("b", "a", [[1, 0, 0], [1, 0, 1], [0, 0, 1]])
    assert dead(a, b, OUT, a=[0, 1, 0]) == {"a": ((), (1,))}


def test_what_feeds_unread_neurons_alone_is_unread() -> None:
    a = lowered_layer("a", "in", np.ones((3, 2)))
    b = lowered_layer("b", "a", [[1, 0, 0], [0, 1, 0], [0, 1, 1]])
    out = lowered_layer("out", "b", [[1, 0, 0], [1, 0, 0]])
    assert dead(a, b, out) == {"a": ((), (1, 2)), "b": ((), (1, 2))}


def test_outputs_keep_their_size_and_a_layer_keeps_one_neuron() -> None:
    a = lowered_layer("a", "in", np.zeros((3, 2)))
    b = lowered_layer("b", "a", np.ones((3, 3)))
    assert dead(a, b, OUT) == {"a": ((1, 2), ()), "b": ((1, 2), ())}
    assert dead(lowered_layer("out", "in", np.zeros((3, 2)))) == {}


def test_a_layer_that_nobody_reads_keeps_one_neuron_and_what_that_reads() -> None:
    a = lowered_layer("a", "in", np.ones((3, 2)))
    b = lowered_layer("b", "a", [[0, 1, 0], [1, 1, 1], [0, 0, 1]])
    out = lowered_layer("out", "b", np.zeros((2, 3)))
    assert dead(a, b, out) == {"a": ((), (0, 2)), "b": ((), (1, 2))}


def test_neurons_that_read_each_other_and_are_read_by_nobody_else_go() -> None:
    loop = Synapse("a", np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 0]]), Link(delay=1))
    a = lowered_layer("a", "in", np.ones((3, 2)), also=(loop,))
    out = lowered_layer("out", "a", [[1, 0, 0], [1, 0, 0]])
    assert dead(a, out) == {"a": ((), (1, 2))}


def test_a_silent_loop_is_silent() -> None:
    loop = Synapse("a", np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 0]]), Link(delay=1))
    a = lowered_layer("a", "in", [[1, 1], [0, 0], [0, 0]], also=(loop,))
    out = lowered_layer("out", "a", np.ones((2, 3)))
    assert dead(a, out) == {"a": ((1, 2), ())}


def test_what_does_not_spike_or_is_read_through_a_pool_stays() -> None:
    quiet = lowered_layer("a", "in", np.zeros((4, 2)))
    pooled = Link(pools=(Pool((1, 2, 2), (2, 2), (2, 2)),))
    assert dead(quiet, lowered_layer("out", "a", [[1.0]], link=pooled)) == {}
    reads = lowered_layer("a", "in", np.zeros((4, 2)), rule=NeuronRule(spiking=False))
    assert dead(reads, lowered_layer("out", "in", np.ones((1, 2)))) == {}


def test_a_neuron_goes_only_where_every_description_allows_it() -> None:
    def layers(weight: Any) -> tuple[LoweredLayer, ...]:
        return lowered_layer("a", "in", weight), lowered_layer("out", "a", np.ones((2, 3)))

    first, second = layers([[0, 0], [0, 0], [1, 0]]), layers([[0, 0], [1, 0], [1, 0]])
    still = {"a": np.zeros(3, bool), "out": np.zeros(2, bool)}
    (row,) = find_dead([View(first, still), View(second, still)], ("out",))
    assert (row.silent, row.unread, list(row.kept)) == ((0,), (), [1, 2])


def test_rows_columns_and_values_of_the_neurons_leave_together() -> None:
    a = lowered_layer("a", "in", [[1, 2], [3, 4], [5, 6]], bias=np.array([1.0, 2, 3]))
    b = lowered_layer("b", "a", [[1, 2, 3], [4, 5, 6]])
    new_a, new_b = without((a, b), {"a": np.array([0, 2])})
    assert new_a.weight.tolist() == [[1, 2], [5, 6]]
    assert new_a.bias.tolist() == [1, 3] and new_a.size == len(new_a.threshold) == 2
    assert new_b.weight.tolist() == [[1, 3], [4, 6]] and new_b.size == 2
