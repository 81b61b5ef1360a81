"""Energy in the documents of studies: of a run, over its seeds, and which rows are on the front.

A point or a row of a document has `energy`: key of a cost table -> joules of one inference.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from neurozsl.hardware.energy import EnergyRow
from neurozsl.studies import base
from neurozsl.studies.front import on_front

_JOULES: Final = ("joules_low", "joules", "joules_high")
_STATIC: Final = ("static_joules_low", "static_joules", "static_joules_high", "latency_s")
_FACTS: Final = ("name", "method", "source", "included", "excluded", "inherited", "lower_bound")
_ENDS: Final = ("joules_low", "joules_high", "static_joules", "latency_s")


def joules_of(rows: Iterable[EnergyRow]) -> dict[str, dict[str, Any]]:
    """The energy of a run by cost table."""
    return {
        row.key: {key: getattr(row, key) for key in (*_JOULES, "interval", *_STATIC)}
        for row in rows
    }


def facts(rows: Iterable[EnergyRow]) -> dict[str, dict[str, Any]]:
    """What is to be known of every cost table: source, what it holds, what it leaves out."""
    return {row.key: {key: _json(getattr(row, key)) for key in _FACTS} for row in rows}


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def energy_over_seeds(points: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean, extremes and bounds of the energy of one setting's points."""
    return {
        key: {
            **base.spread([p["energy"][key]["joules"] for p in points]),
            **{end: _mean([p["energy"][key][end] for p in points]) for end in _ENDS},
            "interval": points[0]["energy"][key]["interval"],
        }
        for key in points[0]["energy"]
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def marked(rows: Sequence[Mapping[str, Any]], *, by_seed: bool) -> list[dict[str, Any]]:
    """The rows with `on_front` per cost table, among all of them or among those of a seed."""
    found = [{**row, "on_front": dict[str, bool]()} for row in rows]

    def position(row: Mapping[str, Any], key: str) -> tuple[float, float]:
        if by_seed:
            return row["energy"][key]["joules"], row["HM"]
        return row["energy"][key]["mean"], row["HM"]["mean"]

    groups: dict[tuple[Any, str], list[dict[str, Any]]] = {}
    for row in found:
        for key in row["energy"]:
            groups.setdefault((row["seed"] if by_seed else None, key), []).append(row)
    for (_, key), own in groups.items():
        for row, on in zip(own, on_front([position(r, key) for r in own]), strict=True):
            row["on_front"][key] = on
    return found
