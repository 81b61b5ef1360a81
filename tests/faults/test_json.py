"""Every JSON file is read by `core/reading.py`: in bounds, and each damage has its words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import MAX_DEPTH, Kind, parse_json, read_json, read_object

GOOD = {"schema": 1, "name": "A", "step_s": 0.2, "counts": {"train": 3}, "meta": {"list": [1, "é"]}}
KEYS: dict[str, Kind] = {"schema": int, "name": str, "step_s": float, "counts": dict}


def read(path: Path) -> dict[str, object]:
    return read_object(path, remedy="make it again", keys=KEYS, max_bytes=10_000)


def changed(**more: object) -> bytes:
    return json.dumps(GOOD | more).encode()


DAMAGES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not readable JSON"),
    "cut short": (changed()[:-9], "is not readable JSON"),
    "two documents": (changed() * 2, "is not readable JSON"),
    "too large": (b" " * 10_001, "10001 bytes, limit 10000"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "byte 0 is not UTF-8"),
    "Latin-1": ('{"name": "é"}'.encode("latin-1"), "byte 10 is not UTF-8"),
    "binary": (bytes(range(256)), "is not UTF-8"),
    "lone surrogate": (b'{"name": "\\ud800"}', "surrogates not allowed"),
    "lists in lists": (b"[" * 9_000, f"nest deeper than {MAX_DEPTH}"),
    "closed lists in lists": (b"[" * 900 + b"]" * 900, f"nest deeper than {MAX_DEPTH}"),
    "objects in objects": (b'{"a":' * 1_500 + b"1" + b"}" * 1_500, f"nest deeper than {MAX_DEPTH}"),
    "a list": (b"[1, 2]", "holds a list of 2, expected an object"),
    "a number": (b"17", "holds 17, expected an object"),
    "null": (b"null", "holds null, expected an object"),
    "missing keys": (b'{"name": "A", "other": 1}', "'schema', 'step_s', 'counts' missing"),
    "no key": (b"{}", "it holds no key"),
    "a key twice": (b'{"name": "A", "name": "B"}', "key 'name' stands twice"),
    "NaN": (changed(step_s=float("nan")), "NaN is not JSON"),
    "infinity": (changed(step_s=float("-inf")), "-Infinity is not JSON"),
    "above float64": (b'{"step_s": 1e999}', "Infinity is not JSON"),
    "5000 digits": (b'{"step_s": ' + b"1" * 5_000 + b"}", "is not readable JSON"),
    "400 digits": (changed(step_s=10**400), "expected a finite number"),
    "text as number": (changed(step_s="0.2"), "'step_s' is \"0.2\", expected a finite number"),
    "true as number": (changed(step_s=True), "'step_s' is true, expected a finite number"),
    "true as whole number": (changed(schema=True), "'schema' is true, expected a whole number"),
    "real as whole number": (changed(schema=1.5), "'schema' is 1.5, expected a whole number"),
    "null as text": (changed(name=None), "'name' is null, expected text"),
    "list as object": (changed(counts=[3]), "'counts' is a list of 1, expected an object"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_of_a_json_file_has_its_words(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    content, said = DAMAGES[damage]
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and said in message and message.endswith("; make it again")
    assert "\n" not in message and len(message) < 400 + len(str(path))


def test_a_sound_file_is_read_as_json_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(changed())
    assert read(path) == GOOD
    assert parse_json(b"[NaN, 1e999]", "log", remedy="", allow_nan=True)[1] == np.inf
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(deepest, "text", remedy="") == json.loads(deepest)


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe", "loop", "long name", "zero byte"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "long name":
        path = tmp_path / ("x" * 300)
    elif kind == "zero byte":
        path = tmp_path / "a\0b"
    with pytest.raises(BadInput, match=r"does not exist|is no file|cannot be read"):
        read_json(path, remedy="make it again")


def test_flipped_bits_are_refused_or_read_as_json_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    sound, rng, refused = changed(), np.random.default_rng(0), 0
    for _ in range(400):
        content = bytearray(sound)
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(
            bytes(content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.2 else content)
        )
        try:
            found = read(path)
        except BadInput as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert found == json.loads(path.read_bytes().decode())
    assert 100 < refused < 400
