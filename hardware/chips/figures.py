"""One figure of a chip, read and checked: number, bounds, unit, kind, grade, source.

    synop = { value = 2.4e-11, unit = "J", kind = "measured", grade = "T", source = "paper" }

What is absent is unknown and stays None; nothing is filled in, converted or rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from neurozsl.hardware.chips.keys import KEYS, UNIT_NAMES, Group, Key, Unit
from neurozsl.hardware.chips.text import ChipText, Place, closest, found, is_line, shorten

Kind = Literal[
    "architectural",
    "simulated",
    "measured",
    "fitted",
    "derived",
    "datasheet",
    "modelled",
    "peak_bound",
]
# V read in source code or run, T read on the primary page, Q quoted by a third party, D arithmetic.
Grade = Literal["V", "T", "Q", "D"]

_MOST: Final = 1e30  # in SI units no figure of a chip comes near; counts times it stay finite
_MOST_JOULES: Final = 1e-6  # of one operation; the dearest one that is published takes 26e-9
_PREFIXES: Final[Mapping[str, float]] = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
}


@dataclass(frozen=True)
class Figure:
    """One number about a chip, in SI units.

    low, high: published bounds; None where only a point is published. unit: that of its key.
    kind: how the number came about. grade: how it was read. source: the reference in full.
    """

    value: float
    low: float | None
    high: float | None
    unit: Unit
    kind: Kind
    grade: Grade
    source: str
    note: str = ""

    @property
    def span(self) -> tuple[float, float]:
        """Both bounds; the value itself where one is unpublished."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high

    def times(self, number: float) -> tuple[float | None, float, float | None]:
        """Low, value and high of so many; None where a bound is unpublished."""
        low = None if self.low is None else number * self.low
        return low, number * self.value, None if self.high is None else number * self.high


_FIGURE_KEYS: Final = (*Figure.__dataclass_fields__, "scope")
_NUMBERS: Final = ("value", "low", "high")


def read_figures(file: ChipText, group: Group, scope: str) -> dict[str, Figure]:
    """All figures of one table, e.g. [energy], each checked."""
    figures = file.table.get(group, {})
    if not isinstance(figures, dict):
        raise file.refuse(
            (group,), f"is {shorten(figures)}", "expected a table of figures", f"write [{group}]"
        )
    return {key: _figure(file, group, key, raw, scope) for key, raw in figures.items()}


def _figure(file: ChipText, group: Group, key: str, raw: object, scope: str) -> Figure:
    place = (group, key)
    known = KEYS[group]
    if key not in known:
        allowed, remedy = f"[{group}] knows {', '.join(known)}", closest(key, known)
        raise file.refuse(place, "is no figure that this version reads", allowed, remedy)
    if not isinstance(raw, dict):
        raise file.refuse(
            place,
            f"is {shorten(raw)}",
            "expected a table with value, unit, kind, grade and source",
            f'write {{ value = ..., unit = "{known[key].unit}", kind = ..., grade = ..., '
            "source = ... }",
        )
    for name in raw:
        if name not in _FIGURE_KEYS:
            allowed, remedy = f"parts are {', '.join(_FIGURE_KEYS)}", closest(name, _FIGURE_KEYS)
            raise file.refuse((*place, name), "is no part of a figure", allowed, remedy)
    unit = known[key].unit
    _check_numbers(file, place, raw)
    _check_unit(file, place, raw, unit)
    for name in (name for name in _NUMBERS if name in raw):
        if fault := _fault(group, known[key], name, raw[name]):
            raise file.refuse((*place, name), *fault)
    if key == "relative_error" and raw["value"] >= 1:
        raise file.refuse(
            (*place, "value"),
            f"is {shorten(raw['value'])}",
            "expected a fraction below 1: the lower end of the energy would be 0 or less",
            "write 11.7 % as 0.117",
        )
    _check_word(file, place, raw, "kind", get_args(Kind), "came about")
    check_grade(file, place, raw)
    if raw.get("scope", scope) != scope:
        raise file.refuse(
            (*place, "scope"),
            f"is {shorten(raw['scope'])}",
            f"the scope of this file is '{scope}': all-in and per-term figures cannot be mixed, "
            "since the one holds what the other adds",
            "move the figure to a file of its own scope",
        )
    return Figure(
        raw["value"],
        raw.get("low"),
        raw.get("high"),
        unit,
        raw["kind"],
        raw["grade"],
        _reference(file, place, raw),
        _note(file, place, raw),
    )


def check_grade(file: ChipText, place: Place, raw: Mapping[str, Any]) -> None:
    """How the number, or the table, was read."""
    _check_word(file, place, raw, "grade", get_args(Grade), "was read, D for arithmetic")


def _check_word(
    file: ChipText, place: Place, raw: Mapping[str, Any], name: str, words: Sequence[str], how: str
) -> None:
    if raw.get(name) not in words:
        allowed, remedy = f"allowed are {', '.join(words)}", f"say in {name} how the number {how}"
        raise file.refuse((*place, name), found(raw, name), allowed, remedy)


def _note(file: ChipText, place: Place, raw: Mapping[str, Any]) -> str:
    note = raw.get("note", "")
    if not isinstance(note, str) or not note.isprintable():
        allowed, remedy = "expected one line of printable text", 'write note = "..."'
        raise file.refuse((*place, "note"), found(raw, "note"), allowed, remedy)
    return note


def _check_numbers(file: ChipText, place: Place, raw: Mapping[str, Any]) -> None:
    for name in _NUMBERS:
        if name in raw or name == "value":
            check_number(file, (*place, name), raw.get(name))
    value, low, high = raw["value"], raw.get("low"), raw.get("high")
    if (low is not None and low > value) or (high is not None and high < value):
        raise file.refuse(
            place,
            f"has value {value}, low {low}, high {high}",
            "expected low <= value <= high",
            "mend the bound, or leave it out where only a point is published",
        )


def check_number(file: ChipText, place: Place, number: object) -> None:
    """A finite number that is not negative, or a refusal."""
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= _MOST:
        return
    raise file.refuse(
        place,
        "is missing" if number is None else f"is {shorten(number)}",
        "expected a finite number >= 0 in SI units",
        "write it plain, e.g. 2.4e-11",
    )


def _fault(group: Group, key: Key, name: str, number: float) -> tuple[str, str, str] | None:
    """What is wrong with a number that this figure cannot be: found, allowed, remedy."""
    shown, unit = shorten(number), key.unit
    # A limit is counted: whole, and with room for one unless the key says that none is a limit.
    if group == "limit" and (number < key.least or number != int(number)):
        return (
            f"is {shown}",
            f"expected a whole number >= {key.least}: {key.meaning}",
            "write the number in full, or leave the line out where it is unpublished",
        )
    # No operation takes a microjoule: such a number is in picojoules and calls itself joules.
    if group == "energy" and unit == "J" and number > _MOST_JOULES:
        return (
            f"is {shown} J",
            f"{key.meaning} takes less than {_MOST_JOULES:g} J on every chip",
            f"if {shown} pJ are meant, write {float(f'{number * 1e-12:.12g}')!r}",
        )
    if number == 0 and unit == "1/s":
        bounded = key.meaning.removesuffix(", at most")
        allowed = f"an upper bound of 0 on {bounded} would let nothing through"
        return "is 0", allowed, "delete the line where none is published"
    if number == 0 and unit in ("J", "W", "s"):
        remedy = "leave the bound out where none is published"
        if name == "value":
            remedy = "delete the line where no figure is published"
        return "is 0", f"a 0 would say that {key.meaning} is free; absent means unknown", remedy
    return None


def _check_unit(file: ChipText, place: Place, raw: Mapping[str, Any], unit: Unit) -> None:
    said = raw.get("unit")
    if said == unit:
        return
    remedy = f'write unit = "{unit}" and the value in {UNIT_NAMES[unit]}'
    if isinstance(said, str) and said[1:] == unit and said[0] in _PREFIXES:
        value = float(f"{raw['value'] * _PREFIXES[said[0]]:.12g}")
        remedy = f'write value = {value!r}, unit = "{unit}" (low and high in the same way)'
    allowed = f"expected '{unit}', {UNIT_NAMES[unit]}"
    raise file.refuse((*place, "unit"), found(raw, "unit"), allowed, remedy)


def cited(file: ChipText, place: Place, row: object) -> Mapping[str, Any]:
    """A table whose source key is replaced by the reference in full; an empty one stays empty."""
    if not isinstance(row, dict):
        raise file.refuse(place, f"is {shorten(row)}", "expected a table", f"write [{place[0]}]")
    return {**row, "source": _reference(file, place, row)} if row else {}


def _reference(file: ChipText, place: Place, raw: Mapping[str, Any]) -> str:
    sources = _sources(file)
    reference = sources.get(str(raw.get("source")))
    if reference is None:
        allowed = f"[source] holds {', '.join(sources) or 'no line'}"
        remedy = "add the reference in full to [source] and cite its key"
        raise file.refuse((*place, "source"), found(raw, "source"), allowed, remedy)
    return reference


def _sources(file: ChipText) -> Mapping[str, str]:
    """Key -> reference in full."""
    sources = file.table.get("source", {})
    if not isinstance(sources, dict):
        raise file.refuse(
            ("source",), f"is {shorten(sources)}", "expected a table", "write [source]"
        )
    for key, text in sources.items():
        if not is_line(text):
            allowed = "expected the reference as one line of printable text"
            remedy = "write author, title or journal, year and table"
            raise file.refuse(("source", key), found(sources, key), allowed, remedy)
    return sources
