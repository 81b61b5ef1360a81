"""`program.npz` and `golden.npz`: whatever is changed in them is refused by name, or harmless."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.network import archive
from neurozsl.hardware.network.golden import read_golden

CODE = InputCode(3, "graded", 4, True, 0.5)


def program() -> Program:
    weight = np.arange(-6, 6, 2, dtype=np.int16).reshape(2, 3) * 2
    layer = ProgramLayer(
        name="a",
        source="x",
        weight=weight,
        weight_bits=8,
        weight_exp=0,
        bias_mant=np.array([1, -2], np.int32),
        bias_exp=1,
        du=4095,
        dv=2048,
        vth=20,
        unit=0.25,
    )
    return Program("loihi2", {"x": CODE}, (layer,), ("a",), 6, 1e-3, "frozen")


ODD: tuple[Any, ...] = (None, True, -1, 10**12, 0.5, float("nan"), "", "x", [], {}, [[]], {"a": 1})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside a document."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def test_every_wrong_value_of_the_header_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "program.npz"
    program().save(path)
    header, arrays = archive.read(path)
    del arrays["json"]
    text = json.dumps(header)
    count = sum(1 for _ in places(header))
    accepted: list[Any] = []
    refused = 0
    for i in range(count):
        for odd in ODD:
            changed = json.loads(text)
            holder, key = list(places(changed))[i]
            before, holder[key] = holder[key], odd
            archive.write(path, changed, arrays)
            try:
                Program.load(path)
            except BadInput as error:
                refused += 1
                assert str(path) in str(error)
            else:  # a value that a program may have
                both = {type(odd), type(before)}
                if not (len(both) == 1 or both == {int, float} or before is None):
                    accepted.append((key, before, odd))
    assert sorted({str(x) for x in accepted}) == []
    assert refused > 8 * count


@pytest.mark.parametrize("key", ["chip", "inputs", "layers", "outputs", "steps", "dt_s", "kind"])
def test_a_header_without_a_key_is_refused_by_name(key: str, tmp_path: Path) -> None:
    path = tmp_path / "program.npz"
    program().save(path)
    header, arrays = archive.read(path)
    archive.write(path, {**header, key: None}, arrays)
    with pytest.raises(BadInput, match=rf"program\.npz.*'{key}' is null, expected"):
        Program.load(path)
    del header[key]
    archive.write(path, header, arrays)
    with pytest.raises(BadInput, match=rf"program\.npz.*'{key}' missing.*export the run again"):
        Program.load(path)


def test_flipped_bits_of_a_program_are_refused_or_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "program.npz"
    program().save(path)
    sound, rng, wanted = path.read_bytes(), np.random.default_rng(3), archive.read(path)
    refused = 0
    for _ in range(200):
        content = bytearray(sound)
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            Program.load(path)
        except BadInput as error:
            refused += 1
            assert str(path) in str(error)
        else:
            header, arrays = archive.read(path)
            assert header == wanted[0]
            for name in ("a/weight", "a/bias_mant"):
                np.testing.assert_array_equal(arrays[name], wanted[1][name])
    assert 100 < refused < 200


GOLDEN: dict[str, Any] = {
    "codes/x": np.ones((2, 6, 3), np.int16),
    "spikes/a": np.ones((2, 6, 2), np.uint8),
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"codes/x": None}, "codes of nothing and spikes of 1 layers, expected codes of x"),
        ({"spikes/a": None}, "codes of x and spikes of 0 layers"),
        ({"codes/y": GOLDEN["codes/x"]}, "codes of x, y"),
        ({"other": np.ones(2)}, "array 'other' .* is no part of a golden file"),
        ({"codes/x": np.array("walk")}, r"array 'codes/x' \(<U4, 0 axes\)"),
        ({"codes/x": np.ones((2, 6, 3), complex)}, r"array 'codes/x' \(complex128"),
        ({"codes/x": np.full((2, 6, 3), 100)}, "leave -7..7"),
    ],
)
def test_a_golden_file_of_other_arrays_is_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "golden.npz"
    arrays: dict[str, Any] = {name: x for name, x in (GOLDEN | changes).items() if x is not None}
    np.savez(path, **arrays)
    with pytest.raises(BadInput, match=said):
        read_golden(path, {"x": CODE})


def test_a_golden_file_with_damaged_data_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez_compressed(path, **GOLDEN)
    with zipfile.ZipFile(path) as file:
        [at] = [x.header_offset for x in file.infolist() if x.filename == "codes/x.npy"]
    content = bytearray(path.read_bytes())
    content[at + 62 : at + 70] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"golden\.npz: array 'codes/x' cannot be read"):
        read_golden(path, {"x": CODE})
