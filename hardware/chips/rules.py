"""What a chip's file may say as a whole: its top, its scope, its methods and measurements."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from neurozsl.hardware.chips.arithmetics import ASKED
from neurozsl.hardware.chips.figures import Figure, check_grade, check_number, cited
from neurozsl.hardware.chips.keys import ALL_IN_CAUSES, KEYS, MEASUREMENT, Group
from neurozsl.hardware.chips.text import ChipText, Place, closest, found, is_line, shorten

SCHEMA: Final = 1
# all_in: the figure already holds static power, routing and neurons; nothing may be added to it.
Scope = Literal["per_term", "all_in"]
EnergyMethod = Literal["per_term", "per_spike", "per_synop", "event_driven", "dense_pass"]
TimeModel = Literal[
    "", "barrier_step", "fixed_step", "software_step", "clocked_step", "asynchronous", "single_pass"
]

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "scope": get_args(Scope),
    "time_model": get_args(TimeModel),
}
# Methods, and the figures of which one is needed each.
_NEEDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "per_term": (("synop", "synop_dense"),),
    "per_spike": (("dynamic_per_spike",),),
    "per_synop": (("synop",),),
    "event_driven": (("ac",), ("mac",)),
    "dense_pass": (("mac", "mac_int8", "mac_bf16", "mac_fp16_tensor"),),
}
WORDS: Final = ("neuron_models", "reset", "layers", "energy_methods", "identifiers")
PARENTS: Final = ("inherits_limits", "inherits_energy")
NOTES: Final = ("reset_note", "energy_note", "leak")
_TEXTS: Final = ("name", "family", "process", "time_model", "scope", "arithmetic", *PARENTS, *NOTES)
_TABLES: Final = ("memory", "mesh", "allowed")
_KNOWN: Final = ("schema", *_TEXTS, *WORDS, "source", *KEYS, *_TABLES, "core", "measurement")


def check_top(read: ChipText) -> None:
    """What stands above the tables: known keys of the right type, schema, name and scope."""
    table = read.table
    for key in table:
        if key not in _KNOWN:
            allowed = f"known are {', '.join(_KNOWN)}"
            raise read.refuse((key,), "is unknown", allowed, closest(key, _KNOWN))
    if table.get("schema") != SCHEMA:
        allowed, remedy = f"this version reads {SCHEMA}", f"write schema = {SCHEMA}"
        raise read.refuse(("schema",), found(table, "schema"), allowed, remedy)
    for key in _TEXTS:
        if key not in table and key not in ("name", "scope"):
            continue
        said, words = table.get(key), _CHOICES.get(key)
        words = ("", *ASKED) if key == "arithmetic" else words
        if not isinstance(said, str) or (words and said not in words):
            allowed = f"expected one of {', '.join(filter(None, words))}" if words else "a text"
            remedy = f'write {key} = "..." above the first [table]'
            raise read.refuse((key,), found(table, key), allowed, remedy)
        if not said.isprintable() or (key in ("name", "family") and not said.strip()):
            # It is printed in tables and on terminals, where an escape would be obeyed.
            allowed = "expected one line of printable text"
            remedy = f'write {key} = "..." without line breaks and escapes'
            raise read.refuse((key,), found(table, key), allowed, remedy)
    for key in WORDS:
        said = table.get(key, [])
        if not isinstance(said, list) or not all(is_line(word) for word in said):
            allowed = "expected a list of texts, one printable line each"
            remedy = f'write {key} = ["...", "..."]'
            raise read.refuse((key,), found(table, key), allowed, remedy)
    for key in ("core", "measurement"):
        said = table.get(key, [])
        if not isinstance(said, list) or not all(isinstance(row, dict) for row in said):
            raise read.refuse((key,), found(table, key), "expected rows", f"write [[{key}]]")


def check_all_in(read: ChipText, maps: Mapping[Group, Mapping[str, Figure]]) -> None:
    """Nothing that an all-in figure already holds stands beside it."""
    for group, figures in maps.items():
        for key in figures:
            cause = KEYS[group][key].cause
            if cause is not None and cause not in ALL_IN_CAUSES:
                raise read.refuse(
                    (group, key),
                    f"stands in a file with scope = 'all_in' (it pays for: {cause})",
                    "an all-in figure already holds neurons, routing and static power, and the "
                    "two cannot be mixed",
                    "delete the line, or describe the chip term by term with scope = 'per_term'",
                )


def check_methods(read: ChipText, energy: Mapping[str, Figure]) -> None:
    """Every energy method is known and finds its figures, the chip's own or inherited ones."""
    place, methods = ("energy_methods",), read.table.get("energy_methods", [])
    for at, method in enumerate(methods):
        held = f"holds '{method}'"
        if method in methods[:at]:
            raise read.refuse(place, f"{held} twice", "a method gives one row", "name it once")
        if method not in _NEEDS:
            allowed = f"allowed are {', '.join(_NEEDS)}"
            raise read.refuse(place, held, allowed, closest(method, _NEEDS))
        for one_of in _NEEDS[method]:
            if not any(key in energy for key in one_of):
                raise read.refuse(
                    place,
                    f"{held}, which needs {' or '.join(one_of)}",
                    f"[energy] holds {', '.join(energy) or 'no figure'}",
                    "add the figure with its source, or delete the method",
                )


def read_measurements(read: ChipText) -> tuple[Mapping[str, Any], ...]:
    """Rows of [[measurement]], their sources in full."""
    rows = []
    for at, raw in enumerate(read.table.get("measurement", ())):
        place = ("measurement", at)
        for name, value in raw.items():
            _check_measured(read, (*place, name), value)
        if "task" not in raw:
            remedy = 'write task = "..."'
            raise read.refuse((*place, "task"), "is missing", "every row names its task", remedy)
        check_grade(read, place, raw)
        for low, high in ((name, name.removesuffix("_low") + "_high") for name in raw):
            if low.endswith("_low") and high in raw and raw[low] > raw[high]:
                said, allowed = f"is {raw[low]}, {high} is {raw[high]}", "expected low <= high"
                raise read.refuse((*place, low), said, allowed, "exchange them, or mend one")
        rows.append(cited(read, place, raw))
    return tuple(rows)


def _check_measured(read: ChipText, place: Place, value: object) -> None:
    """One part of a row: a text, a number, or numbers of a sweep."""
    name = str(place[-1])
    if name not in MEASUREMENT:
        allowed = f"known are {', '.join(MEASUREMENT)}"
        raise read.refuse(place, "is unknown", allowed, closest(name, MEASUREMENT))
    if MEASUREMENT[name] == "text":
        if not is_line(value):
            allowed, remedy = "expected one line of printable text", f'write {name} = "..."'
            raise read.refuse(place, f"is {shorten(value)}", allowed, remedy)
        return
    sweep = value if isinstance(value, list) and not name.endswith(("_low", "_high")) else []
    for number in sweep or [value]:
        check_number(read, place, number)
