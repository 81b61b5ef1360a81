"""Chips as data: figures with a source, read from `hardware/chips/<key>.toml` or a file of yours.

>>> loihi = load_chip("loihi1")
>>> loihi.energy["synop"].value, loihi.energy["synop"].high is None
(2.36e-11, True)

How a file is written: `chips` (with a file to copy). Which figures it may hold: `chips.keys`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips import CHIPS, MEANT
from neurozsl.hardware.chips.contradictions import check_agreement
from neurozsl.hardware.chips.cores import CoreTables, read_cores
from neurozsl.hardware.chips.figures import Figure, read_figures
from neurozsl.hardware.chips.keys import KEYS
from neurozsl.hardware.chips.rules import (
    NOTES,
    PARENTS,
    WORDS,
    EnergyMethod,
    Scope,
    check_all_in,
    check_methods,
    check_top,
    read_measurements,
)
from neurozsl.hardware.chips.text import ChipText, read_toml, shorten

_LARGEST_FILE: Final = 2**18  # bytes; ours are below 2**13


@dataclass(frozen=True)
class Chip:
    """Limits, energies, powers and times of one chip; a key that is absent is unpublished.

    arithmetic: which integer neuron it runs, a key of `arithmetics`, or "" for none.
    energy_methods: how `energy.estimate` may use its figures, first one the default.
    inherits_energy: the chip whose energies stand in, always labelled "inherited".
    family: the silicon that several cost tables describe ("loihi1" for the published and the
    fitted one); the key itself where there is one table.
    mesh: width and height in tiles, cores_per_tile, source, grade; empty where unpublished.
    cores: groups of cores that share a memory size; memory: the rule of placement and its
    constants; allowed: what a core can compute, as written in the source; measurements: published
    whole-workload rows.
    """

    key: str
    name: str
    process: str
    time_model: str
    scope: Scope
    arithmetic: str
    energy_methods: tuple[EnergyMethod, ...]
    inherits_energy: str
    limit: Mapping[str, Figure]
    energy: Mapping[str, Figure]
    power: Mapping[str, Figure]
    time: Mapping[str, Figure]
    rate: Mapping[str, Figure]
    family: str = ""
    neuron_models: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    mesh: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Any] = field(default_factory=dict)
    cores: tuple[Mapping[str, Any], ...] = ()
    measurements: tuple[Mapping[str, Any], ...] = ()

    def most(self, key: str) -> int | None:
        """A limit as a whole number; None where it is unpublished."""
        return int(self.limit[key].value) if key in self.limit else None


def load_chip(key: str) -> Chip:
    """The registered chip `key`.

    Raises:
        BadInput: the key is not registered, or its file holds an invalid figure.
    """
    if key not in CHIPS:
        raise BadInput(_unknown(key))
    return _registered(key, CHIPS[key])


@cache
def _registered(key: str, file: Path) -> Chip:
    return parse_chip(key, file.read_text(encoding="utf-8"))


def _unknown(name: str) -> str:
    meant = f": it is the name of a target, the chip is {MEANT[name]}" if name in MEANT else ""
    return f"chip '{name}' is unknown{meant}; choose one of {', '.join(CHIPS)}"


def is_file_name(name: str) -> bool:
    """Whether a name means a chip's file, and no registered chip: it ends so, or is a path."""
    return name.endswith(".toml") or "/" in name or "\\" in name


def find_chip(name: str | Path) -> Chip:
    """A registered chip by its key, or a chip of the user's own by the path of its TOML file.

    The key of a chip of a file is the file's name without `.toml`; a registered key is refused,
    since two chips of one name cannot be told apart in a table.

    Raises:
        BadInput: neither; the file is missing, too large, not text, or wrong inside.
    """
    said = str(name)
    if isinstance(name, str) and not is_file_name(name):
        if name in CHIPS:
            return load_chip(name)
        raise BadInput(
            f"{_unknown(name)}, or give the path of a TOML file of your own (ending in .toml)"
        )
    path = Path(name)
    if path.stem in CHIPS:
        raise BadInput(
            f"chip file '{said}': '{path.stem}' is a registered chip; give the file another name"
        )
    if not re.fullmatch(r"\w[\w .+-]*\.toml", path.name):
        raise BadInput(
            f"chip file '{said}': the file's name becomes the chip's; use letters, digits, "
            "'-', '_' and the ending .toml"
        )
    return parse_chip(path.stem, _read(path), file=said)


def _read(path: Path) -> str:
    if path.is_dir():
        raise BadInput(f"chip file '{path}': is a folder; give the .toml file of a chip")
    if not path.is_file():
        raise BadInput(f"chip file '{path}': there is no such file; check the path")
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise BadInput(f"chip file '{path}': cannot be read ({error.strerror})") from None
    if len(data) > _LARGEST_FILE:
        raise BadInput(
            f"chip file '{path}': {path.stat().st_size:,} bytes, at most {_LARGEST_FILE:,} are "
            "read; is this the file of a chip?"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput(f"chip file '{path}', line {line}: not UTF-8; save it as UTF-8") from None


def parse_chip(key: str, text: str, *, file: str | None = None) -> Chip:
    """The chip that a TOML text describes; for chips that are not registered, too.

    file: what messages call it; default the key.

    Raises:
        BadInput: not TOML, or a key or figure is missing, unknown or out of range; the message
            shows the line.
    """
    read = read_toml(f"chip file '{file or key}'", text)
    table = read.table
    check_top(read)
    scope: Scope = table["scope"]
    maps = {group: read_figures(read, group, scope) for group in KEYS}
    if scope == "all_in":
        check_all_in(read, maps)
    limits, lender = (_parent(read, name) for name in PARENTS)
    check_methods(read, _energies(read, maps["energy"], lender))
    made = read_cores(read)
    if limits is not None:  # a limit goes with the rule that counts against it
        maps["limit"] = {**limits.limit, **maps["limit"]}
        lent = CoreTables(limits.memory, limits.mesh, limits.allowed, limits.cores)
        made = made.completed_by(lent)
    check_agreement(read, made, maps["limit"])
    tables: dict[str, Any] = vars(made) | {name: tuple(table.get(name, ())) for name in WORDS}
    tables.update(maps.items())
    texts = ("process", "time_model", "arithmetic", "inherits_energy")
    tables |= {name: table.get(name, "") for name in texts}
    return Chip(
        key=key,
        name=table["name"],
        family=table.get("family", key),
        scope=scope,
        notes={k: table[k] for k in NOTES if k in table},
        measurements=read_measurements(read),
        **tables,
    )


def _parent(read: ChipText, name: str) -> Chip | None:
    """The registered chip that `inherits_limits` or `inherits_energy` names."""
    key = read.table.get(name)
    if not key:
        return None
    if key not in CHIPS:
        allowed = f"registered chips are {', '.join(CHIPS)}"
        raise read.refuse((name,), f"is {shorten(key)}", allowed, "name one of them")
    return load_chip(key)


def _energies(
    read: ChipText, own: Mapping[str, Figure], lender: Chip | None
) -> Mapping[str, Figure]:
    """The energies that estimates use: the chip's own, or all of another's."""
    if lender is None:
        return own
    if own:
        raise read.refuse(
            ("energy",),
            "stands beside inherits_energy",
            "energies are either the chip's own or another's: of a mixture no label would be true",
            "delete [energy] or inherits_energy",
        )
    if lender.scope != read.table["scope"]:
        raise read.refuse(
            ("inherits_energy",),
            f"is '{lender.key}', whose scope is '{lender.scope}'",
            f"the scope of this file is '{read.table['scope']}'",
            "inherit from a chip of the same scope",
        )
    return lender.energy
