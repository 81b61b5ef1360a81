from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.loihi.program import (
    LayerLoss,
    Program,
    ProgramLayer,
    accumulator_bound,
    threshold_codes,
)
from neurozsl.hardware.network.ranges import value_ranges

CODE = InputCode(3, "graded", 4, True, 0.5)
LOSS = LayerLoss("b", 8, 7.99, 1.0, 0, 1, 0.01, 0, 0.001, -0.02, 0.0, 0.0, 4000, 131072, 0.99)


def layer(**changes: Any) -> ProgramLayer:
    values: dict[str, Any] = {
        "name": "a",
        "source": "x",
        "weight": np.array([[2, -4, 254], [-256, 0, 6]], np.int16),
        "weight_bits": 8,
        "weight_exp": 0,
        "bias_mant": np.array([-4096, 4095], np.int32),
        "bias_exp": 7,
        "du": 4095,
        "dv": 2048,
        "vth": 131071,
        "unit": 0.1,
    }
    return ProgramLayer(**{**values, **changes})


def program(**changes: Any) -> Program:
    second = layer(
        name="b",
        source="a",
        weight=np.array([[32, -224]], np.int16),
        weight_bits=4,
        weight_exp=1,
        bias_mant=np.array([5], np.int32),
        du=100,
        vth_table=np.arange(6, dtype=np.int32),
    )
    values: dict[str, Any] = {
        "chip": "loihi2",
        "inputs": {"x": CODE},
        "layers": (layer(), second),
        "outputs": ("b",),
        "steps": 6,
        "dt_s": 1e-3,
        "policy": "frozen",
        "loss": (LOSS,),
    }
    return Program(**{**values, **changes})


def test_a_saved_program_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    before = program()
    before.save(tmp_path / "program.npz")
    after = Program.load(tmp_path / "program.npz")
    for a, b in zip(before.layers, after.layers, strict=True):
        for key in ProgramLayer.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(a, key), getattr(b, key))
            assert type(getattr(a, key)) is type(getattr(b, key))
    assert (after.inputs, after.loss, after.outputs) == (before.inputs, before.loss, ("b",))
    assert (after.steps, after.dt_s, after.policy, after.chip) == (6, 1e-3, "frozen", "loihi2")
    assert [p.name for p in tmp_path.iterdir()] == ["program.npz"], "no temporary file stays"


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    program().save(tmp_path / "a.npz")
    program().save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program.npz"
    program().save(path)
    old = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        program().save(path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["program.npz"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.array([[3, 0, 0], [0, 0, 0]])}, "not multiples of 2"),
        ({"weight": np.array([[258, 0, 0], [0, 0, 0]])}, r"spans 0\.\.258, expected -256\.\.255"),
        ({"weight": np.ones((2, 3))}, "type float64, expected integers"),
        ({"weight": np.zeros((6,), int)}, r"shape \(6,\)"),
        ({"weight_bits": 9}, "weight_bits is 9"),
        ({"weight_bits": 4}, "not multiples of 32"),
        ({"bias_mant": np.array([4096, 0])}, r"expected -4096\.\.4095"),
        ({"bias_mant": np.array([0])}, r"bias_mant has shape \(1,\)"),
        ({"bias_exp": 8}, "bias_exp is 8"),
        ({"du": 4096}, "du is 4096"),
        ({"dv": -1}, "dv is -1"),
        ({"dv": 0.5}, "dv is 0.5, expected an integer"),
        ({"vth": 131072}, "vth is 131072"),
        ({"vth_table": np.array([131072])}, "vth_table spans"),
        ({"unit": 0.0}, "unit is 0.0"),
        ({"bias_to": "soma"}, "bias_to 'soma'"),
        ({"bias_to": "current", "bias_exp": 3}, "multiple of 2 weight units"),
    ],
)
def test_integers_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=f"program layer 'a'.*{message}"):
        layer(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (layer(source="y"),)}, "source 'y'"),
        ({"layers": (layer(), layer())}, "used twice"),
        ({"layers": (layer(name="a/b"),)}, "holds '/'"),
        ({"inputs": {"x": replace(CODE, size=4)}}, "3 columns, 'x' is 4 wide"),
        ({"outputs": ("x",)}, "output 'x' is not a layer"),
        ({"policy": "table"}, "layer 'a': policy table needs a vth_table of 6 steps"),
        ({"policy": "sometimes"}, "policy 'sometimes'"),
        ({"layers": ()}, "at least one input and one layer"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        program(**changes)


def test_a_sum_beyond_the_adder_of_the_reference_is_refused() -> None:
    wide = layer(weight=np.full((1, 600), 254), bias_mant=np.zeros(1, int), weight_exp=0)
    code = InputCode(600, "graded", 8, False, 1.0)
    with pytest.raises(BadInput, match=r"can sum to 38862000 .*the adder ends at 33554432"):
        Program("loihi2", {"x": code}, (wide,), ("a",), 1, 1e-3, "frozen")


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif how == "other":
        np.savez(path, a=np.zeros(3))
    elif how == "text":
        path.write_text("hello")
    elif how == "pickle":
        np.savez(path, json=np.array([{"schema": 1}], dtype=object))
    else:
        content = dict(np.load(path))
        text = str(content["json"])
        content["json"] = np.array(text.replace('"dv": 2048', '"dv": 5000', 1))
        np.savez(path, **content)


@pytest.mark.parametrize(
    "how", ["missing", "truncated", "other", "text", "pickle", "integer out of range"]
)
def test_a_damaged_file_gives_one_clear_error(how: str, tmp_path: Path) -> None:
    path = tmp_path / "program.npz"
    program().save(path)
    damage(path, how)
    with pytest.raises(BadInput, match=r"program\.npz.*(export the run again|dv)"):
        Program.load(path)


def chip_input(codes: Any, code: InputCode = CODE) -> ChipInput:
    return ChipInput({"x": np.asarray(codes)}, {"x": code})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ChipInput({"y": np.zeros((1, 6, 3))}, {"y": CODE}), "'x' is missing"),
        (chip_input(np.full((1, 6, 3), 8)), "leave -7..7"),
        (chip_input(np.full((1, 6, 3), 0.5)), "not integers"),
        (chip_input(np.zeros((1, 6, 2))), r"expected \(batch, time, 3\)"),
        (chip_input(np.zeros((1, 6, 3)), replace(CODE, scale=1.0)), "at scale 1, the network"),
    ],
)
def test_a_program_refuses_input_that_is_not_its_own(given: ChipInput, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        program().check(given)


def test_the_range_is_that_of_the_program_not_of_the_caller() -> None:
    wider = replace(CODE, bits=8)
    with pytest.raises(BadInput, match=r"leave -7..7"):
        program().check(chip_input(np.full((1, 6, 3), 100), wider))


def test_dynamic_programs_need_a_threshold_per_layer_sample_and_step() -> None:
    dynamic = program(policy="dynamic")
    zeros = np.zeros((2, 6, 3))
    with pytest.raises(BadInput, match="theta of layer 'a' is missing"):
        dynamic.check(chip_input(zeros))
    theta = {"a": np.ones((2, 6)), "b": np.ones((2, 5))}
    with pytest.raises(BadInput, match=r"theta of layer 'b' is \(2, 5\), expected \(2, 6\)"):
        dynamic.check(ChipInput({"x": zeros}, {"x": CODE}, theta))


def test_frozen_programs_ignore_the_thresholds_of_the_host() -> None:
    theta = {"a": np.ones((2, 6)), "b": np.ones((2, 6))}
    assert program().check(ChipInput({"x": np.zeros((2, 6, 3))}, {"x": CODE}, theta)).theta is None


def test_threshold_codes_round_to_the_unit_of_the_layer() -> None:
    made = layer(unit=0.25)
    assert threshold_codes(made, [[0.0, 0.3, 32767.75]]).tolist() == [[0, 1, 131071]]
    for bad in (-1.0, 32768.0, np.nan, np.inf):
        with pytest.raises(BadInput, match=r"layer 'a': threshold .* expected 0\.\.131071"):
            threshold_codes(made, [1.0, bad])


def test_accumulator_bound_is_reached_by_the_worst_input() -> None:
    made = layer(weight=np.array([[2, -4, 254], [-256, 0, 6]]))
    # Signed 4-bit codes: -7..7, so each weight adds 7 |w|.
    assert accumulator_bound(made, value_ranges({"x": CODE})) == 7 * 262
    # Spikes: positive weights 256, negative 4; second row 6 and 256.
    assert accumulator_bound(made, {}) == 256
    unsigned = InputCode(3, "graded", 4, False, 1.0)
    assert accumulator_bound(made, value_ranges({"x": unsigned})) == 15 * 256
    into_current = replace(made, bias_to="current")
    assert accumulator_bound(into_current, {}) == 256 + 2 * 4096
