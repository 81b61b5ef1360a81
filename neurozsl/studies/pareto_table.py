"""`pareto.json` for people: one table, what was refused, and what the figures mean."""

from collections.abc import Mapping
from typing import Any, Final

from neurozsl.core.quantities import count, si
from neurozsl.studies.base import Table, show_spread

SMALL: Final = 1000  # test samples below which a point of HM is a handful of samples


def main_table(result: Mapping[str, Any]) -> str:
    """The cost table that table and figure show: the first, whose chip publishes every term."""
    return str(next(iter(result["tables"])))


def table(result: Mapping[str, Any]) -> Table:
    """Every setting, most energy last; `*` marks those on the front."""
    key = main_table(result)
    rows = [row for row in result["settings"] if key in row["energy"]]
    rows += [row for row in result["settings"] if key not in row["energy"]]
    several = len({row["target"] for row in rows}) > 1
    return Table(
        f"{result['model']} on {result['data']['name']}{synthetic_said(result)}: "
        f"{seeds_said(result['seeds'])}, {result['test_samples']} test samples, HM in percent"
        + (", mean (smallest to largest seed)" if result["seeds"] != 1 else "")
        + f"; energy on {result['tables'][key]['name']}",
        ("", "HM", "chance", "spikes", "SynOps", "energy", "front"),
        tuple(
            (
                f"T={row['steps']}, {row['policy']}, {row['bits']} bits"
                + (f", {row['target']}" if several else ""),
                show_spread(row["HM"]),
                f"{row['chance']['mean']:.1f}",
                count(row["counts"]["spikes"]["mean"]),
                count(row["counts"]["synops"]["mean"]),
                si(row["energy"][key]["mean"], "J") if key in row["energy"] else "-",
                "*" if row["on_front"].get(key) else "",
            )
            for row in sorted(
                rows, key=lambda r: r["energy"][key]["mean"] if key in r["energy"] else 1e9
            )
        ),
    )


def footnotes(result: Mapping[str, Any]) -> list[str]:
    """Reference scores, meaning of T, limits of the figures, what was refused; a line each."""
    lines = []
    for steps in dict.fromkeys(row["steps"] for row in result["trained"]):
        hms = [row["HM"] for row in result["trained"] if row["steps"] == steps]
        lines.append(f"T={steps}: the trained runs in float reach HM {sum(hms) / len(hms):.1f}")
    lines.append(result["steps_from"])
    lines += result["notes"]
    lines += small_note(result) + chance_note(result)
    key = main_table(result)
    lines.append(f"{key}: {result['tables'][key]['source']}")
    if key == "loihi1":
        lines.append(
            "the integers are those of Loihi 2, which publishes no energy per operation: Intel "
            "Loihi's figures price them, whether that chip could run them or not"
        )
    reasons: dict[str, list[str]] = {}
    for row in result["refused"]:
        named = f"T={row['steps']}" + "".join(
            f", {row[k]}{' bits' if k == 'bits' else ''}" for k in ("policy", "bits") if row[k]
        )
        reasons.setdefault(row["reason"], []).append(named)
    for reason, named_rows in reasons.items():
        lines.append(f"refused: {'; '.join(dict.fromkeys(named_rows))}: {reason}")
    return lines


def small_note(result: Mapping[str, Any]) -> list[str]:
    """What one test sample moves, where there are few."""
    if result["test_samples"] >= SMALL:
        return []
    one = 100 / result["test_samples"]
    return [
        f"{result['test_samples']} test samples: one more or less moves an accuracy by about "
        f"{one:.1f} points; differences of that size say nothing"
    ]


def chance_note(result: Mapping[str, Any]) -> list[str]:
    """How many settings do not beat chance."""
    weak = [r for r in result["settings"] if r["HM"]["mean"] <= r["chance"]["mean"]]
    if not weak:
        return []
    return [
        f"{len(weak)} of {len(result['settings'])} settings do not beat chance (95th percentile "
        "over permuted classes): their place on the front says nothing"
    ]


def seeds_said(number: int) -> str:
    """For titles."""
    return f"{number} seed{'s' * (number != 1)}"


def synthetic_said(result: Mapping[str, Any]) -> str:
    """For titles."""
    return ", synthetic data" if result["data"]["synthetic"] else ""
