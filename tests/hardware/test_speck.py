"""The Speck program: what it holds, what it refuses, and its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.count.diagnose import integrating_layers, membrane_thresholds
from neurozsl.hardware.energy import estimate
from neurozsl.hardware.floatsim.rules import FloatState, fire
from neurozsl.hardware.network import archive
from neurozsl.hardware.speck.emulator import emulate_speck, run_speck_neurons
from neurozsl.hardware.speck.program import SpeckLayer, SpeckLoss, SpeckProgram


def layer(**options: Any) -> SpeckLayer:
    values: dict[str, Any] = {
        "name": "a.0",
        "source": "a",
        "weight": np.arange(-6, 6).reshape(3, 4),
        "bias": np.array([-128, 0, 127]),
        "threshold": 5,
        "low": -32767,
        "unit": 0.25,
    }
    return SpeckLayer(**(values | options))


def program(*layers: SpeckLayer, **options: Any) -> SpeckProgram:
    values: dict[str, Any] = {
        "chip": "speck2f",
        "inputs": {"a": InputCode(4, "binary", 1, False, 1.0, "on_off")},
        "layers": layers or (layer(),),
        "outputs": ("a.0",),
        "steps": 3,
        "dt_s": 1e-3,
        "policy": "fixed",
    }
    return SpeckProgram(**(values | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": np.full((3, 4), 128)}, r"weight spans 128\.\.128, expected -128\.\.127"),
        ({"weight": np.full((3, 4), -129)}, r"weight spans -129"),
        ({"weight": np.ones((3, 4))}, "weight has type float64, expected integers"),
        ({"bias": np.array([0, 0, 128])}, r"bias spans 0\.\.128"),
        ({"bias": np.zeros(4, int)}, r"bias has shape"),
        ({"threshold": 0}, r"threshold spans 0\.\.0, expected 1\.\.32767"),
        ({"threshold": 32768}, "threshold spans 32768"),
        ({"threshold": 1.5}, "threshold has type float64"),
        ({"low": 1}, r"low spans 1\.\.1, expected -32768\.\.0"),
        ({"low": -32769}, "low spans -32769"),
        ({"max_spikes": 0}, "max_spikes spans 0"),
        ({"max_spikes": 256}, r"max_spikes spans 256\.\.256, expected 1\.\.255"),
        ({"reset": "half"}, "reset 'half', expected zero or subtract"),
        ({"unit": 0.0}, "unit is 0.0, expected a positive float"),
        ({"name": "a/0"}, "holds '/'"),
    ],
)
def test_integers_out_of_the_chips_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        layer(**options)


@pytest.mark.parametrize(
    "options", [{"threshold": 1, "low": 0}, {"threshold": 32767, "low": -32768}]
)
def test_the_ends_of_the_ranges_are_legal(options: dict[str, Any]) -> None:
    assert layer(**options).threshold == options["threshold"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ()}, "at least one input and one layer"),
        ({"policy": "dynamic"}, "one constant threshold per layer; export with --threshold frozen"),
        ({"policy": "table"}, "policy 'table'"),
        ({"inputs": {"a": InputCode(4, "ternary", 1, True, 1.0)}}, "ternary, expected binary"),
        ({"inputs": {"a": InputCode(5, "binary", 1, False, 1.0)}}, "4 columns, 'a' is 5 wide"),
        ({"layers": (layer(source="b"),)}, "source 'b' is no input or earlier layer"),
        ({"layers": (layer(), layer())}, "the name is used twice"),
        ({"outputs": ("a",)}, "output 'a' is not a layer"),
    ],
)
def test_a_program_that_does_not_fit_together_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        program(**options)


def test_a_code_of_two_is_refused() -> None:
    made = program()
    codes = np.full((1, 3, 4), 2, np.int16)
    with pytest.raises(BadInput, match=r"codes 2\.\.2 leave 0\.\.1"):
        made.check(ChipInput({"a": codes}, made.inputs))


def test_a_program_file_gives_the_same_program_with_its_spike_code_and_loss(tmp_path: Path) -> None:
    loss = SpeckLoss("a.0", 8, "bias", 5.0, 1, 0.1, 0.2, 0.3, 0.9)
    made = program(layer(reset="subtract", max_spikes=7), loss=(loss,))
    made.save(tmp_path / "program.npz")
    again = SpeckProgram.load(tmp_path / "program.npz")
    assert again.loss == (loss,)
    assert again.inputs == made.inputs and again.inputs["a"].encoder == "on_off"
    for key in ("chip", "outputs", "steps", "dt_s", "policy"):
        assert getattr(again, key) == getattr(made, key)
    for key in ("name", "source", "threshold", "low", "unit", "reset", "max_spikes"):
        assert getattr(again.layers[0], key) == getattr(made.layers[0], key)
    assert np.array_equal(again.layers[0].weight, made.layers[0].weight)
    assert np.array_equal(again.layers[0].bias, made.layers[0].bias)
    assert [p.name for p in tmp_path.iterdir()] == ["program.npz"]


@pytest.mark.parametrize(
    "options", [{}, {"reset": "subtract", "max_spikes": 3, "low": -2}, {"max_spikes": 255}]
)
def test_the_rule_of_a_layer_is_what_the_emulator_computes(options: dict[str, Any]) -> None:
    made = layer(**options)
    assert made.rule.spiking and made.rule.compare == ">="
    assert integrating_layers(program(made)) == ()
    sums = np.random.default_rng(0).integers(-20, 40, (50, 1, 3))
    run = run_speck_neurons(made, sums, keep_membrane=True)
    start = (sums[:, 0] + made.bias).astype(np.float64)
    state = FloatState(*(np.zeros(start.shape) for _ in range(3)))
    sent = fire(made.rule, state, start, np.full(start.shape, float(made.threshold)))
    assert np.array_equal(sent, run.spikes[:, 0])
    assert np.array_equal(state.v, run.membrane[:, 0])


def test_a_program_file_holds_the_fields_of_a_layer_and_no_rule_of_its_own(tmp_path: Path) -> None:
    program().save(tmp_path / "program.npz")
    header, arrays = archive.read(tmp_path / "program.npz")
    [row] = header["layers"]
    fields = {"name", "source", "threshold", "low", "unit", "reset", "max_spikes"}
    assert set(row) == fields | {"link", "also"}
    assert set(arrays) == {"a.0/weight", "a.0/bias", "json"}


def test_a_damaged_or_foreign_program_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "program.npz"
    program().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"cannot be read .*export the run again"):
        SpeckProgram.load(path)
    np.savez(path, json=np.array('{"kind": "fixed", "schema": 1}'))
    with pytest.raises(BadInput, match="kind fixed schema 1, expected speck schema"):
        SpeckProgram.load(path)


def test_counts_and_energy_read_a_speck_program_and_find_no_leak() -> None:
    made = program()
    codes = (np.random.default_rng(0).random((5, 3, 4)) < 0.5).astype(np.int16)
    chip_input = ChipInput({"a": codes}, made.inputs)
    counts = count(made, chip_input, emulate_speck(made, chip_input))
    assert not counts.leaky
    assert counts.layers[0].nonzero_weights == 11
    assert counts.total("synops") > 0
    assert not estimate(counts, "speck2f").warnings
    assert membrane_thresholds(made) == {"a.0": 5.0}
