"""A small chip's file that is right, and the check of a message about one that is not."""

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import parse_chip

# Line 1 is empty; the figure stands on line 8.
MINIMAL = """
schema = 1
name = "Synthetic"
scope = "per_term"
[source]
paper = "Author, Title, 2020, Table 1"
[energy]
synop = { value = 2e-12, unit = "J", kind = "measured", grade = "T", source = "paper" }
"""


def figure(key: str, value: str = "1e-12", unit: str = "J") -> str:
    return (
        f'{key} = {{ value = {value}, unit = "{unit}", kind = "measured", grade = "T", '
        'source = "paper" }\n'
    )


def check(text: str, line: int, *parts: str) -> None:
    """The message holds the file, the line, every part, and the line as it stands in the text."""
    with pytest.raises(BadInput) as caught:
        parse_chip("mine", text)
    message = str(caught.value)
    assert message.startswith(f"chip file 'mine', line {line}: "), message
    for part in parts:
        assert part in message
    assert message.endswith(f"\n    {line} | {text.split(chr(10))[line - 1].strip()}")
