"""Every readout on traces whose answer is known by looking, ties and silence among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.network.readout import NO_ANSWER, answers, answers_of, output_layer, readout_of
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.network.neuron import NeuronRule
from tests.factories.inputs import binary_code
from tests.factories.networks import lowered, lowered_layer

SPIKING = lowered_layer("d", "in", np.eye(3))
READ_OUT = lowered_layer("d", "in", np.eye(3), rule=NeuronRule("none", spiking=False))


def trace(*samples: str, membrane: Any = None) -> Trace:
    """A sample is one word a step, a digit a neuron: "010 200"."""
    spikes = np.array([[list(map(int, step)) for step in x.split()] for x in samples], np.uint8)
    kept = {} if membrane is None else {"d": np.array(membrane, float)}
    return Trace({"d": spikes}, membrane=kept)


def test_count_takes_the_most_spikes_the_lower_class_of_equals_and_tells_ties_and_silence() -> None:
    found = answers(
        trace("010 010 001", "001 100 000", "000 000 000", "002 110 000"), SPIKING, "count"
    )
    assert found.predicted.tolist() == [1, 0, 0, 2]
    assert (found.ties, found.silent) == (2, 1)  # 1 : 1 and 0 : 0


def test_first_takes_the_earliest_then_the_more_frequent_then_the_lower_class() -> None:
    found = answers(
        trace("000 001 110", "011 010 000", "011 000 000", "000 000 000", "000 000 020"),
        SPIKING,
        "first",
    )
    assert found.predicted.tolist() == [2, 1, 1, NO_ANSWER, 1]
    assert (found.ties, found.silent) == (1, 1)  # the third sample; silence is no tie


def test_membrane_takes_the_largest_value_over_time_and_last_that_of_the_last_step() -> None:
    v = [[[0, 5, 1], [4, 0, 2]], [[-3, -1, -2], [-1, -5, -0.5]], [[1, 1, 0], [0, 0, 0]]]
    read = trace("000 000", "000 000", "000 000", membrane=v)
    highest = answers(read, READ_OUT, "membrane")
    assert highest.predicted.tolist() == [1, 2, 0] and (highest.ties, highest.silent) == (1, 0)
    last = answers(read, READ_OUT, "last")
    assert last.predicted.tolist() == [0, 2, 0] and last.ties == 1


def test_last_of_a_layer_that_spikes_is_its_spikes_in_the_last_step() -> None:
    found = answers(trace("110 001", "110 000", "001 220"), SPIKING, "last")
    assert found.predicted.tolist() == [2, 0, 0]
    assert (found.ties, found.silent) == (2, 0)


def test_the_maximum_over_time_does_not_depend_on_silence_around_a_sample() -> None:
    leaky = lowered_layer(
        "d", "in", np.eye(3), leak=np.full(3, 0.25), rule=NeuronRule("none", spiking=False)
    )
    net = lowered(leaky, code=binary_code(3))
    codes = np.zeros((2, 20, 3), np.int16)
    codes[0, 3:7, 1], codes[1, 12:16, 1], codes[:, 4:6, 0] = 1, 1, 1
    ran = simulate(net, ChipInput({next(iter(net.inputs)): codes}, net.inputs))
    assert answers(ran, leaky, "membrane").predicted.tolist() == [1, 1]


def test_a_readout_follows_the_output_and_what_it_has_not_is_refused() -> None:
    assert readout_of(SPIKING, None) == "count" and readout_of(READ_OUT, None) == "membrane"
    with pytest.raises(BadInput, match="'rate' is unknown; use count, first, membrane, last"):
        readout_of(SPIKING, "rate")
    for word in ("count", "first"):
        with pytest.raises(BadInput, match="output layer 'd' never spikes; use membrane or last"):
            readout_of(READ_OUT, word)
    with pytest.raises(BadInput, match="keeps no membrane of layer 'd'; use count or first"):
        answers(trace("010"), SPIKING, "membrane")


def test_a_network_of_two_outputs_is_refused_by_their_names() -> None:
    other = lowered_layer("e", "in", np.eye(3))
    net = replace(lowered(SPIKING, other, code=binary_code(3)), outputs=("d", "e"))
    with pytest.raises(BadInput, match=r"x.nir: 2 output layers \(d, e\), accuracy reads 1"):
        output_layer(net, "x.nir")


def test_samples_that_run_some_at_a_time_answer_as_all_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = lowered(SPIKING, code=binary_code(3))
    codes = np.random.default_rng(0).integers(0, 2, (23, 5, 3)).astype(np.int16)
    given = ChipInput({next(iter(net.inputs)): codes}, net.inputs)

    def run(part: ChipInput) -> Trace:
        return simulate(net, part)

    whole, steps = answers_of(run, given, net, SPIKING, "first"), list[tuple[int, int]]()
    monkeypatch.setattr("neurozsl.export.network.readout._HELD", 4 * 5 * 3)
    parts = answers_of(run, given, net, SPIKING, "first", lambda a, b: steps.append((a, b)))
    assert np.array_equal(whole.predicted, parts.predicted)
    assert (whole.ties, whole.silent) == (parts.ties, parts.silent)
    assert steps == [(4, 23), (8, 23), (12, 23), (16, 23), (20, 23), (23, 23)]
