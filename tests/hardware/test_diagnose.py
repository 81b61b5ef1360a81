from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.count.diagnose import diagnose, integrating_layers, membrane_thresholds
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.network.neuron import NeuronRule
from tests.factories.programs import program_layer


def test_rates_of_zero_and_above_ninety_percent_are_named() -> None:
    z = np.zeros((10, 10, 1), np.uint8)
    almost, full = z.copy(), z.copy()
    almost.reshape(-1)[:90] = 1
    full.reshape(-1)[:91] = 1
    found = diagnose(Trace({"dead": z, "almost": almost, "full": full}))
    assert [(x.layer, x.state, x.threshold_scale) for x in found] == [
        ("dead", "dead", 0.5),
        ("almost", "ok", None),
        ("full", "saturated", 2.0),
    ]
    assert [x.silent_neurons for x in found] == [1, 0, 0]
    assert found[1].rate == pytest.approx(0.9)


def dead_program(vth: int, sign: int) -> tuple[Program, ChipInput]:
    rng = np.random.default_rng(0)
    code = InputCode(20, "graded", 4, False, 1.0)
    weight = (sign * 2 * rng.integers(1, 60, (30, 20))).astype(np.int16)
    layer = program_layer("a", "x", weight, vth=vth)
    program = Program("loihi2", {"x": code}, (layer,), ("a",), 8, 1e-3, "frozen")
    return program, ChipInput({"x": rng.integers(0, 16, (40, 8, 20))}, {"x": code})


def test_the_suggested_scale_revives_a_dead_layer_at_the_stated_rate() -> None:
    program, given = dead_program(60000, 1)
    trace = emulate(program, given, record=("spikes", "membrane"))
    found = diagnose(trace, thresholds=membrane_thresholds(program))[0]
    assert found.state == "dead"
    assert found.threshold_scale is not None
    assert found.threshold_scale < 1
    revived, _ = dead_program(round(60000 * found.threshold_scale), 1)
    rate = emulate(revived, given).rates()["a"]
    assert 0.01 < rate <= 0.06  # at most 5 %: a reset takes the membrane away


def test_no_threshold_helps_a_layer_that_is_inhibited() -> None:
    program, given = dead_program(100, -1)
    trace = emulate(program, given, record=("spikes", "membrane"))
    found = diagnose(trace, thresholds=membrane_thresholds(program))[0]
    assert (found.state, found.threshold_scale) == ("dead", None)
    assert "weights" in found.advice


def test_several_spikes_in_a_step_are_one_step_with_a_spike() -> None:
    z = np.zeros((10, 10, 1), np.uint8)
    many, every = z.copy(), z.copy()
    many.reshape(-1)[:60] = 200
    every.reshape(-1)[:91] = 2
    found = diagnose(Trace({"many": many, "every": every}))
    assert [(x.state, x.rate) for x in found] == [("ok", 0.6), ("saturated", 0.91)]


def test_a_layer_that_only_integrates_is_not_dead() -> None:
    program, _ = dead_program(60000, 1)
    (layer,) = program.layers
    readout = replace(program, layers=(replace(layer, rule=NeuronRule(spiking=False)),))
    assert (integrating_layers(program), integrating_layers(readout)) == ((), ("a",))
    trace = Trace({"a": np.zeros((2, 8, 30), np.uint8)})
    (found,) = diagnose(trace, readouts=integrating_layers(readout))
    assert (found.state, found.silent_neurons, found.threshold_scale) == ("ok", 0, None)
    assert found.advice == "reads its membrane"
    assert diagnose(trace)[0].state == "dead"
