"""Codes of inputs that files bring are whole, or refused by name."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.core.stored_codes import read_codes

CODE = InputCode(64, "graded", 4, False, 0.25)


def test_what_is_written_is_read_back() -> None:
    assert read_codes({"video": asdict(CODE)}, "f", remedy="r") == {"video": CODE}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "f: codes of inputs: holds a list"),
        ({"video": 3}, "input 'video': holds 3"),
        ({"video": {**asdict(CODE), "gain": 1}}, "unknown gain"),
        ({"video": {"size": 64}}, "missing bits, kind, scale, signed"),
        ({"video": {**asdict(CODE), "bits": "4"}}, "bits '4'"),
        ({"video": {**asdict(CODE), "encoder": ["direct"]}}, r"encoder \['direct'\]"),
    ],
)
def test_anything_else_is_refused_with_file_input_and_remedy(value: object, said: str) -> None:
    with pytest.raises(BadInput, match=f"{said}.*; mend it"):
        read_codes(value, "f", remedy="mend it")
