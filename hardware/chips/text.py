"""A chip's TOML text: its table, and refusals that show the line to mend.

    chip file 'my.toml', line 12: energy.synop.unit is 'pJ'; expected 'J', joules; write ...
        12 | synop = { value = 23.6, unit = "pJ", kind = "measured", ...

tomllib keeps no positions. A header, or a key with its value, is a TOML text by itself, so tomllib
reads each statement alone, and what it finds there stands on that line.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from neurozsl.core.errors import BadInput

Place = tuple[str | int, ...]
"""Where something stands: ("energy", "synop", "unit"), ("measurement", 2, "power_w")."""

_LONG_VALUE: Final = 200  # lines of one value, beyond which no line number is looked for
_SHOWN: Final = 160  # characters of a line that a message repeats


@dataclass(frozen=True)
class ChipText:
    """The text of one file and its table; `name` starts every message."""

    name: str
    text: str
    table: Mapping[str, Any]

    def refuse(self, place: Place, found: str, allowed: str, remedy: str) -> BadInput:
        """An error about one place: file, line, key, what is there, what is allowed, what to do."""
        lines = dict(_positions(self.text))
        # A missing key has no line; the line it belongs to is that of its figure or table.
        number = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1)
        shown = ".".join(part for part in place if isinstance(part, str))
        return BadInput(
            f"{self.name}, line {number}: {shown} {found}; {allowed}; {remedy}"
            + _quoted(self.text, number)
        )


def read_toml(name: str, text: str) -> ChipText:
    """The text as a table.

    Raises:
        BadInput: it is not TOML.
    """
    try:
        return ChipText(name, text, tomllib.loads(text))
    except RecursionError:
        raise BadInput(f"{name}: not TOML (nested too deep); write tables of figures") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        # tomllib tells its position in words only, and of what is never closed not even that.
        told = re.search(r"\(at line (\d+), column \d+\)", str(error))
        number = next((line for line, _, read in _statements(text) if read is None), 1)
        quoted = _quoted(text, int(told[1]) if told else number)
        raise BadInput(f"{name}: not TOML ({error}); mend this line{quoted}") from None


def is_line(said: object) -> bool:
    """One printable line that is not blank; a terminal would obey an escape in it."""
    return isinstance(said, str) and said.isprintable() and bool(said.strip())


def closest(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """What to do about an unknown key."""
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else "delete the line, or use one of these"


def shorten(value: object) -> str:
    """A value as a message shows it."""
    try:
        shown = repr(value)
    except ValueError:  # an integer of thousands of digits, written as hexadecimal
        return "a number of thousands of digits"
    return shown if len(shown) <= 60 else shown[:57] + "..."


def found(table: Mapping[str, Any], key: str) -> str:
    """What a message says of a key: its value, or that it is missing."""
    return f"is {shorten(table[key])}" if key in table else "is missing"


def _quoted(text: str, number: int) -> str:
    """The line, under the message; unprintable characters are shown as '?'."""
    lines = text.split("\n")
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    line = "".join(c if c.isprintable() else "?" for c in line.replace("\t", " "))
    return f"\n    {number} | {line[:_SHOWN]}{'...' if len(line) > _SHOWN else ''}"


def _positions(text: str) -> Iterator[tuple[Place, int]]:
    """(place, line) of every table header and key."""
    header: Place = ()
    counts: dict[Place, int] = {}
    for line, statement, found in _statements(text):
        if found is None:
            return
        if statement.startswith("["):
            header = _header(found, counts, opens_row=statement.startswith("[["))
            yield header, line
        else:
            for place in _keys(found):
                yield header + place, line


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any] | None]]:
    """(first line, text, table) of every header and key; None for one that is no TOML alone."""
    lines = text.replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        start, statement = at, lines[at].strip()
        at += 1
        if not statement or statement.startswith("#"):
            continue
        found = _read_alone(statement)
        while found is None and at < len(lines) and at - start < _LONG_VALUE:
            statement += "\n" + lines[at]
            at += 1
            found = _read_alone(statement)
        yield start + 1, statement, found


def _read_alone(statement: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(statement)
    except (ValueError, RecursionError):
        return None


def _header(found: Mapping[str, Any], counts: dict[Place, int], *, opens_row: bool) -> Place:
    """The place that a header opens; rows of an array of tables carry their number."""
    names: list[str] = []
    inner: Any = found
    while isinstance(inner, dict) and inner:
        (name,) = inner
        names.append(name)
        inner = inner[name]
    place: Place = ()
    for depth, name in enumerate(names, start=1):
        place += (name,)
        if opens_row and depth == len(names):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place += (counts[place],)
    return place


def _keys(table: Mapping[str, Any]) -> Iterator[Place]:
    for name, inner in table.items():
        yield (name,)
        if isinstance(inner, dict):
            for place in _keys(inner):
                yield (name, *place)
