"""Loihi, and chips whose rows only anchor: P = energy / latency / chips, inside 30..500 mW.

These rows come without counts of operations, so no total can be estimated for them: the mean power
is checked against the range that makes an estimate warn (a range set around such rows), and static
power alone against the published total.
"""

from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.workloads.row import Calibration, Row, bounds, checked


def mean_power(chip: Chip) -> tuple[Calibration, ...]:
    """Mean power per chip of every row, against the range outside of which estimates warn."""
    least, most = bounds(chip, "plausible_mean", chip.power["plausible_mean"])
    span = f"{least * 1e3:g}..{most * 1e3:g} mW"
    found = []
    for row in chip.measurements:
        for label, power, dynamic in _powers(row):
            per_chip = power / row.get("chips", 1)
            test = f"mean power per chip inside {span}; outside is a warning, not an error"
            holds = least <= per_chip <= most
            if dynamic:
                test = f"dynamic power per chip below {most * 1e3:g} mW (static is extra)"
                holds = per_chip <= most
            found.append(
                checked(
                    chip,
                    row,
                    "power",
                    per_chip,
                    task=row["task"] + label,
                    figures_from="no estimate: counts of operations are not published",
                    test=test,
                    holds=holds,
                    note=row.get("note", ""),
                )
            )
    return tuple(found)


def _powers(row: Row) -> list[tuple[str, float, bool]]:
    """(label, watts, dynamic part only) of a row; both ends where a range is published."""
    if "energy_j_low" in row:
        return [
            (f" ({end} end)", row[f"energy_j_{end}"] / row[f"latency_s_{end}"], False)
            for end in ("low", "high")
        ]
    if "energy_j" in row and "latency_s" in row:
        return [("", row["energy_j"] / row["latency_s"], False)]
    if "power_dynamic_w" in row and "power_idle_w" in row:
        return [("", row["power_dynamic_w"] + row["power_idle_w"], False)]
    return [("", row["power_dynamic_w"], True)] if "power_dynamic_w" in row else []


def static_alone(chip: Chip) -> tuple[Calibration, ...]:
    """Static power x latency against the published total, which it cannot exceed."""
    static = chip.power["static_chip"]
    low, high = static.span
    found = []
    for row in chip.measurements:
        if "energy_j" not in row or "latency_s" not in row:
            continue
        powered = row["latency_s"] * row.get("chips", 1)
        found.append(
            checked(
                chip,
                row,
                "energy",
                row["energy_j"],
                low=low * powered,
                estimate=static.value * powered,
                high=high * powered,
                figures_from=f"static power alone, {low * 1e3:g} to {high * 1e3:g} mW a chip",
                test="low end of static power x latency at most the published total",
                holds=low * powered <= row["energy_j"],
                note="the dynamic part cannot be estimated: counts are not published"
                + (
                    "; the high end alone exceeds the total"
                    if high * powered > row["energy_j"]
                    else ""
                ),
            )
        )
    return tuple(found)


def anchors(chip: Chip) -> tuple[Calibration, ...]:
    """Whole-workload energies of a chip without any figure per operation."""
    return tuple(
        checked(
            chip,
            row,
            "energy",
            row["energy_j"],
            figures_from="no estimate: no energy per operation is published",
            test="none: an anchor for the order of magnitude",
            note=row.get("note", ""),
        )
        for row in chip.measurements
        if "energy_j" in row
    )
