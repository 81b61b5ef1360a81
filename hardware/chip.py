"""Chips as data: figures with a source, read from `hardware/chips/<key>.toml`.

>>> loihi = load_chip("loihi1")
>>> loihi.energy["synop"].value, loihi.energy["synop"].high is None
(2.36e-11, True)
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, cast, get_args

from neurozsl.errors import BadInput
from neurozsl.hardware.chips import CHIPS

SCHEMA: Final = 1
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
# all_in: the figure already holds static power, routing and neurons; nothing may be added to it.
Scope = Literal["per_term", "all_in"]
EnergyMethod = Literal["per_term", "per_spike", "per_synop", "event_driven", "dense_pass"]

_FIGURE_MAPS: Final = ("limit", "energy", "power", "time", "rate")
_WORDS: Final = ("neuron_models", "reset", "layers", "energy_methods", "identifiers")
_TEXTS: Final = (
    "name",
    "family",
    "process",
    "time_model",
    "scope",
    "arithmetic",
    "inherits_energy",
)
_NOTES: Final = ("reset_note", "energy_note", "leak", "one_layer_per_core")
_TABLES: Final = ("memory", "mesh", "allowed")
_OTHER: Final = ("schema", "source", "core", "measurement", "inherits_limits")


@dataclass(frozen=True)
class Figure:
    """One number about a chip, in SI units.

    low, high: published bounds; None where only a point is published.
    kind: how the number came about. grade: how it was read. source: the reference in full.
    """

    value: float
    low: float | None
    high: float | None
    kind: Kind
    grade: Grade
    source: str
    note: str = ""


@dataclass(frozen=True)
class Chip:
    """Limits, energies, powers and times of one chip; a key that is absent is unpublished.

    arithmetic: which integer neuron it runs (`loihi_cuba`, `speck_if`), or "" for none.
    energy_methods: how `energy.estimate` may use its figures, first one the default.
    inherits_energy: the chip whose energies stand in, always labelled "inherited".
    family: the silicon that several cost tables describe ("loihi1" for the published and the
    fitted one); the key itself where there is one table.
    mesh: width and height in tiles, cores_per_tile, source, grade; empty where unpublished.
    cores: groups of cores that share a memory size; memory, allowed: mapping rules as written
    in the source; measurements: published whole-workload rows.
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
    notes: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    mesh: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Any] = field(default_factory=dict)
    cores: tuple[Mapping[str, Any], ...] = ()
    measurements: tuple[Mapping[str, Any], ...] = ()


@cache
def load_chip(key: str) -> Chip:
    """The registered chip `key`.

    Raises:
        BadInput: the key is not registered, or its file holds an invalid figure.
    """
    if key not in CHIPS:
        raise BadInput(f"chip '{key}' is unknown; choose one of {', '.join(CHIPS)}")
    text = files("neurozsl.hardware.chips").joinpath(f"{key}.toml").read_text(encoding="utf-8")
    return parse_chip(key, text)


def parse_chip(key: str, text: str) -> Chip:
    """The chip that a TOML text describes; for chips that are not registered, too.

    Raises:
        BadInput: not TOML, a key or figure is missing, unknown or out of range.
    """
    where = f"chip file '{key}'"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: not TOML ({error})") from None
    known = (*_FIGURE_MAPS, *_WORDS, *_TEXTS, *_NOTES, *_TABLES, *_OTHER)
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise BadInput(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(known)}")
    if table.get("schema") != SCHEMA:
        raise BadInput(f"{where}: schema {table.get('schema')!r}, this version reads {SCHEMA}")
    for name in ("name", "scope"):
        if not isinstance(table.get(name), str):
            raise BadInput(f"{where}: '{name}' is missing or not a text")
    if table["scope"] not in get_args(Scope):
        raise BadInput(
            f"{where}: scope '{table['scope']}', expected {' or '.join(get_args(Scope))}"
        )
    methods = tuple(table.get("energy_methods", ()))
    for method in methods:
        if method not in get_args(EnergyMethod):
            raise BadInput(f"{where}: energy method '{method}' is unknown")
    sources = cast(Mapping[str, str], table.get("source", {}))
    for group in (*_FIGURE_MAPS, *_TABLES, "source"):
        if not isinstance(table.get(group, {}), dict):
            raise BadInput(f"{where}: '{group}' is {table[group]!r}, expected a table")
    maps = {
        group: {k: _figure(f"{where}: {group}.{k}", v, sources) for k, v in table[group].items()}
        if group in table
        else {}
        for group in _FIGURE_MAPS
    }
    memory = _cited(where, table.get("memory", {}), sources)
    mesh = _mesh(where, _cited(where, table.get("mesh", {}), sources))
    parent = table.get("inherits_limits")
    if parent is not None:  # a limit goes with the rule that counts against it
        maps["limit"] = {**load_chip(parent).limit, **maps["limit"]}
        memory = memory or load_chip(parent).memory
        mesh = mesh or load_chip(parent).mesh
    return Chip(
        key=key,
        name=table["name"],
        family=table.get("family", key),
        process=table.get("process", ""),
        time_model=table.get("time_model", ""),
        scope=table["scope"],
        arithmetic=table.get("arithmetic", ""),
        energy_methods=methods,
        inherits_energy=table.get("inherits_energy", ""),
        **maps,
        neuron_models=tuple(table.get("neuron_models", ())),
        reset=tuple(table.get("reset", ())),
        layers=tuple(table.get("layers", ())),
        identifiers=tuple(table.get("identifiers", ())),
        notes={k: table[k] for k in _NOTES if k in table},
        memory=memory,
        mesh=mesh,
        allowed=_cited(where, table.get("allowed", {}), sources),
        cores=tuple(table.get("core", ())),
        measurements=tuple(_cited(where, row, sources) for row in table.get("measurement", ())),
    )


def _figure(where: str, raw: object, sources: Mapping[str, str]) -> Figure:
    """One validated figure; `where` starts every error."""
    if not isinstance(raw, dict):
        raise BadInput(f"{where}: is {raw!r}, expected a table with value, kind, grade, source")
    unknown = sorted(set(raw) - set(Figure.__dataclass_fields__))
    if unknown:
        raise BadInput(f"{where}: unknown keys {', '.join(unknown)}")
    for name in ("value", "low", "high"):
        number = raw.get(name)
        if number is None and name != "value":
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise BadInput(f"{where}: {name} is {number!r}, expected a number")
        if not math.isfinite(number) or number < 0:
            raise BadInput(f"{where}: {name} is {number}, expected a finite number >= 0")
    value, low, high = raw["value"], raw.get("low"), raw.get("high")
    if (low is not None and low > value) or (high is not None and high < value):
        raise BadInput(f"{where}: value {value} is not between low {low} and high {high}")
    if raw.get("kind") not in get_args(Kind):
        raise BadInput(
            f"{where}: kind {raw.get('kind')!r} is not one of {', '.join(get_args(Kind))}"
        )
    if raw.get("grade") not in get_args(Grade):
        raise BadInput(f"{where}: grade {raw.get('grade')!r} is not one of V, T, Q, D")
    source = sources.get(str(raw.get("source")))
    if not source:
        raise BadInput(
            f"{where}: source {raw.get('source')!r} has no line in [source]; add it there"
        )
    return Figure(value, low, high, raw["kind"], raw["grade"], source, str(raw.get("note", "")))


def _cited(where: str, row: Mapping[str, Any], sources: Mapping[str, str]) -> Mapping[str, Any]:
    """A table whose source key is replaced by the reference in full."""
    if not row:
        return {}
    source = sources.get(str(row.get("source")))
    if not source:
        raise BadInput(
            f"{where}: a table cites {row.get('source')!r}, which [source] does not hold"
        )
    return {**row, "source": source}


def _mesh(where: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The [mesh] table, its three numbers checked."""
    for name in ("width", "height", "cores_per_tile") if row else ():
        count = row.get(name)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadInput(f"{where}: mesh.{name} is {count!r}, expected a whole number >= 1")
    return row
