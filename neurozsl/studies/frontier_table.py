"""`frontier.json` for people: one table, the sentences of the main tables, what figures mean."""

from collections.abc import Mapping
from typing import Any

from neurozsl.core.quantities import count, si
from neurozsl.studies.base import Table, show_spread
from neurozsl.studies.frontier_pairs import ARITHMETIC
from neurozsl.studies.frontier_prices import ZEROS
from neurozsl.studies.pareto_table import chance_note, seeds_said, small_note, synthetic_said

Result = Mapping[str, Any]


def table(result: Result) -> Table:
    """Every setting in the order of its HM, most first; `*`: on the front of its own family."""
    named = result["tables"]
    spiking = next((k for k, x in named.items() if x["method"] != "dense_pass"), None)
    dense = next((k for k, x in named.items() if x["method"] == "dense_pass"), None)
    bare = next((k for k, x in named.items() if x["method"] == "event_driven"), None)
    zeros = next((k for k in named if k.endswith(ZEROS)), None)
    main = ", ".join(named[k]["name"] for k in (spiking, dense) if k)
    second = ", ".join(named[k]["name"] for k in (bare, zeros) if k)

    def cells(row: Result) -> tuple[str, ...]:
        key = next((k for k in (spiking, dense) if k in row["energy"]), "")
        other = next((k for k in (bare, zeros) if k in row["energy"]), "")
        return (
            row["name"],
            show_spread(row["HM"]),
            f"{row['chance']['mean']:.1f}",
            _operations(row["operations"]),
            _joules(row, key),
            _joules(row, other),
        )

    return Table(
        f"{result['model']} on {result['data']['name']}{synthetic_said(result)}: "
        f"{seeds_said(result['seeds'])}, {result['test_samples']} test samples, HM in percent"
        + (", mean (smallest to largest seed)" if result["seeds"] != 1 else "")
        + f"; energy: {main}; arithmetic: {second}",
        ("", "HM", "chance", "operations (nonzero of all)", "energy", "arithmetic, no zeros"),
        tuple(cells(x) for x in sorted(result["settings"], key=lambda x: -x["HM"]["mean"])),
    )


def _joules(row: Result, key: str | None) -> str:
    if key not in row["energy"]:
        return "-"
    return si(row["energy"][key]["mean"], "J") + " *" * bool(row["on_front"][key])


def _operations(found: Mapping[str, Mapping[str, float]]) -> str:
    if "synops" in found:
        return f"{count(found['synops']['mean'])} SynOps"
    macs, nonzero = found["macs"]["mean"], found["nonzero_macs"]["mean"]
    return f"{count(nonzero)} of {count(macs)} MACs"


def sentences(result: Result) -> list[str]:
    """One per spiking table against 45 nm arithmetic, dense and with zeros skipped.

    Where static energy is published, what it changes follows, apart. The document has all pairs.
    """
    every = result["statements"]
    near = [x for x in every if _near(x)]
    others = {x["spiking"] for x in every} - {x["spiking"] for x in near}
    return [x["sentence"] for x in every if x in near or x["spiking"] in others]


def _near(one: Result) -> bool:
    """Against the arithmetic of the main tables, or against a spiking table's own."""
    device = one["dense"].partition("/")[0]
    return device in (ARITHMETIC, one["spiking"].partition("/")[0])


def footnotes(result: Result) -> list[str]:
    """Limits of the figures; a line each."""
    lines = ["*: on the front of its own family", result["steps_from"], *result["notes"]]
    lines += small_note(result) + chance_note(result)
    for name, host in result["host"].items():
        lines.append(
            f"host part, {result['families'][name]['said']}, estimated: {si(host['joules'], 'J')} "
            f"({si(host['joules_low'], 'J')} to {si(host['joules_high'], 'J')}) per inference"
        )
    left_out: dict[str, list[str]] = {}
    for facts in result["tables"].values():
        left_out.setdefault("; ".join(facts["excluded"]) or "nothing named", []).append(
            facts["name"]
        )
    lines += [f"left out by {', '.join(names)}: {what}" for what, names in left_out.items()]
    if any(", as-if" in one["sentence"] for one in result["statements"]):
        lines.append("as-if: the chip cannot run these neurons and is priced as if it did")
    if not result["statements"]:
        lines.append("one kind of network alone: add a family for a comparison")
    return lines
