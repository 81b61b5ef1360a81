"""Bytes over the link to the host: definitions by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.count.host_link import host_link
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Synapse
from neurozsl.hardware.neurobench import neurobench
from tests.factories.networks import one_layer
from tests.factories.programs import program_layer

STEPS = 4
CODES = {
    "binary": InputCode(5, "binary", 1, False, 1.0),
    "ternary": InputCode(5, "ternary", 1, True, 1.0),
    "graded": InputCode(5, "graded", 6, True, 1.0),
}


def a_run(code: InputCode, rule: NeuronRule | None = None) -> tuple[Lowered, ChipInput, Trace]:
    """Two samples; six codes that are not 0, five spikes, two of them of one neuron in one step."""
    layer = one_layer(Synapse("x", np.ones((9, 5))))
    layer = replace(layer, rule=rule or NeuronRule(max_spikes=3))
    x, z = np.zeros((2, STEPS, 5), int), np.zeros((2, STEPS, 9), np.uint8)
    x[0, 0] = x[1, 2, 3] = 1
    z[0, 1, 4], z[1, 3, :3] = 2, 1
    network = Lowered({"x": code}, (layer,), ("a",), 1e-3, STEPS, "fixed")
    return network, ChipInput({"x": x}, {"x": code}), Trace({"a": z})


@pytest.mark.parametrize(
    ("kind", "bits", "event_bits"), [("binary", 1, 3), ("ternary", 2, 4), ("graded", 6, 9)]
)
def test_codes_take_their_bits_in_a_picture_and_address_and_payload_in_a_list(
    kind: str, bits: int, event_bits: int
) -> None:
    found = host_link(*a_run(CODES[kind]))
    [stream] = found.inputs
    assert (stream.name, stream.events) == ("x", 3)
    assert stream.dense_bytes == 5 * STEPS * bits / 8
    assert stream.sparse_bytes == 3 * event_bits / 8  # five channels: three bits of address


def test_spikes_of_the_outputs_come_back() -> None:
    found = host_link(*a_run(CODES["binary"]))
    [stream] = found.outputs
    assert (stream.name, stream.events) == ("a", 2.5)
    assert stream.dense_bytes == 9 * STEPS * 2 / 8  # 0..3 spikes: two bits
    assert stream.sparse_bytes == 2.5 * 4 / 8
    assert found.thresholds == ()
    assert found.dense_bytes == 9 * STEPS * 2 / 8 + 5 * STEPS / 8
    assert found.sparse_bytes == 2.5 * 4 / 8 + 3 * 3 / 8


def test_a_layer_that_does_not_spike_sends_every_membrane() -> None:
    network, given, trace = a_run(CODES["binary"], NeuronRule(spiking=False))
    silent = Trace({"a": np.zeros_like(trace.spikes["a"])})
    [stream] = host_link(network, given, silent).outputs
    assert stream.events == 9 * STEPS
    assert stream.dense_bytes == stream.sparse_bytes == 9 * STEPS * 4
    assert host_link(replace(network, outputs=()), given, silent).outputs == ()


def test_dynamic_thresholds_are_sent_once_a_layer_and_step() -> None:
    code = CODES["binary"]
    layer = program_layer("a", "x", np.full((9, 5), 2), vth=20)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), STEPS, 1e-3, "dynamic")
    network, given, trace = a_run(code)
    [sent] = host_link(program, given, trace).thresholds
    assert (sent.name, sent.events) == ("a", STEPS)
    assert sent.dense_bytes == sent.sparse_bytes == STEPS * 17 / 8
    assert host_link(replace(program, policy="frozen"), given, trace).thresholds == ()
    [in_float] = host_link(replace(network, policy="dynamic"), given, trace).thresholds
    assert in_float.dense_bytes == STEPS * 4
    both, without = (
        host_link(x, given, trace) for x in (program, replace(program, policy="frozen"))
    )
    assert both.dense_bytes - without.dense_bytes == STEPS * 17 / 8
    assert both.sparse_bytes - without.sparse_bytes == STEPS * 17 / 8


@pytest.mark.parametrize(("channels", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_an_address_takes_the_bits_that_count_the_channels(channels: int, bits: int) -> None:
    code = InputCode(channels, "binary", 1, False, 1.0)
    layer = one_layer(Synapse("x", np.ones((1, channels))))
    network = Lowered({"x": code}, (layer,), (), 1e-3, 1, "fixed")
    given = ChipInput({"x": np.ones((1, 1, channels), int)}, {"x": code})
    [stream] = host_link(network, given, Trace({"a": np.zeros((1, 1, 1))})).inputs
    assert stream.sparse_bytes == channels * bits / 8


def test_an_event_of_a_single_channel_takes_a_bit() -> None:
    code = InputCode(1, "binary", 1, False, 1.0)
    layer = one_layer(Synapse("x", np.ones((1, 1))))
    network = Lowered({"x": code}, (layer,), (), 1e-3, 2, "fixed")
    given = ChipInput({"x": np.array([[[1], [1]]])}, {"x": code})
    [stream] = host_link(network, given, Trace({"a": np.zeros((1, 2, 1))})).inputs
    assert (stream.sparse_bytes, stream.dense_bytes) == (2 / 8, 2 / 8)


def test_an_input_that_no_layer_reads_neither_enters_nor_has_to_be_there() -> None:
    network, given, trace = a_run(CODES["binary"])
    plain = host_link(network, given, trace)
    both = replace(network, inputs={**network.inputs, "idle": CODES["graded"]})
    codes = {**given.codes, "idle": np.ones((2, STEPS, 5), int)}
    full = ChipInput(codes, {**given.code, "idle": CODES["graded"]})
    for either in (full, given):
        assert host_link(both, either, trace) == plain
        assert count(both, either, trace).entering == 3
        assert neurobench(both, either, trace) == neurobench(network, given, trace)


def test_an_input_that_a_layer_reads_is_named_where_it_is_missing() -> None:
    network, given, trace = a_run(CODES["binary"])
    with pytest.raises(BadInput, match="layer 'a': 'x' is missing"):
        host_link(network, ChipInput({"y": given.codes["x"]}, {"y": CODES["binary"]}), trace)
