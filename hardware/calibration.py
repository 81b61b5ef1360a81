"""Published measurements of chips beside what our figures give for the same workload.

    TrueNorth  P = static + synop x rate x neurons x synapses      published within 1 %
    Speck      E = resting power x window + spikes x J per spike   published inside the interval
    Loihi      P = energy / latency / chips                        inside the published 30..500 mW

The Speck rows of Yao 2024 are predicted leaving one out: the figure for a row comes from the
other rows alone (geometric mean, and their smallest and largest as the interval), since a figure
fitted to a row says nothing by predicting it. The rows with the smallest and the largest energy
per spike must miss that interval; they are shown as misses.

Loihi's rows come without counts of operations, so no total can be estimated for them: the mean
power is checked against the range that makes an estimate warn (a range set around such rows), and
static power alone against the published total. Rows, figures and sources are those of
`hardware/chips/*.toml`.

Not used: rows whose own figures contradict each other, and tables computed from constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from neurozsl.errors import BadInput
from neurozsl.hardware.chip import Chip, Figure, load_chip

TOLERANCE: Final = 0.01  # of the TrueNorth sweep
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Calibration:
    """One published figure of a chip and our estimate of it.

    quantity: "energy" in joules per inference, or "power" in watts. low, high: interval of the
    estimate; None where there is none. ratio: estimate / published. figures_from: what the
    estimate rests on. check: "prediction" where the row had no part in the figures, "consistency"
    where it had (a fit to it, a range set around it) or where only a bound is tested, "none" where
    nothing is. holds: the published value agrees as `test` says; None where nothing is tested.
    """

    device: str
    task: str
    quantity: Literal["energy", "power"]
    published: float
    low: float | None
    estimate: float | None
    high: float | None
    ratio: float | None
    figures_from: str
    test: str
    check: Literal["prediction", "consistency", "none"]
    holds: bool | None
    source: str
    note: str = ""


def calibrate() -> tuple[Calibration, ...]:
    """All checks, chip by chip, in a fixed order."""
    truenorth, speck = load_chip("truenorth"), load_chip("speck2f")
    loihi1, loihi2 = load_chip("loihi1"), load_chip("loihi2")
    return (
        *truenorth_sweep(truenorth),
        *truenorth_all_in(truenorth, load_chip("truenorth_allin")),
        *truenorth_ceiling(truenorth),
        *speck_left_out(speck),
        *speck_band(speck),
        *mean_power(loihi1),
        *static_alone(loihi1),
        *mean_power(loihi2),
        *anchors(load_chip("xylo_audio2")),
    )


# ---------------------------------------------------------------- TrueNorth


def truenorth_sweep(chip: Chip) -> tuple[Calibration, ...]:
    """Static plus marginal power at every rate of the published sweep."""
    static, synop = chip.power["static_chip"].value, chip.energy["synop"].value
    return tuple(
        _row(
            chip,
            row,
            "power",
            power,
            task=f"{row['task']}, {rate:g} Hz",
            estimate=static + synop * operations,
            figures_from="static power and marginal energy, both fitted to this sweep",
            test=f"estimate within {TOLERANCE:.0%} of the published power",
            holds=abs(static + synop * operations - power) <= TOLERANCE * power,
        )
        for row, rate, power, operations in _sweep(chip)
    )


def truenorth_all_in(chip: Chip, all_in: Chip) -> tuple[Calibration, ...]:
    """What the published all-in figure would give along the sweep: why the two stay apart."""
    synop = all_in.energy["synop"]
    return tuple(
        _row(
            all_in,
            row,
            "power",
            power,
            task=f"{row['task']}, {rate:g} Hz",
            estimate=synop.value * operations,
            figures_from=f"the all-in figure ({synop.note})",
            test="none: shown because an all-in figure holds at its operating point only",
            note=f"off by {synop.value * operations / power - 1:+.0%}",
        )
        for row, rate, power, operations in _sweep(chip)
    )


def _sweep(chip: Chip) -> list[tuple[Row, float, float, float]]:
    """(row, rate in Hz, power in W, synaptic operations per second)."""
    return [
        (row, rate, power, rate * row["neurons"] * row["synapses"])
        for row in chip.measurements
        if "rate_hz" in row
        for rate, power in zip(row["rate_hz"], row["power_w"], strict=True)
    ]


def truenorth_ceiling(chip: Chip) -> tuple[Calibration, ...]:
    """Rows that publish "less than": static power alone must stay below."""
    static = chip.power["static_chip"].value
    return tuple(
        _row(
            chip,
            row,
            "power",
            row["power_w_high"],
            low=static,
            figures_from="static power alone",
            test="static power below the published upper bound",
            holds=static <= row["power_w_high"],
            note="published as an upper bound, without counts of operations",
        )
        for row in chip.measurements
        if "power_w_high" in row
    )


# ---------------------------------------------------------------- Speck


def _counted(chip: Chip) -> list[Row]:
    return [row for row in chip.measurements if "spikes" in row]


def joules_per_spike(row: Row) -> float:
    """(power - resting power) x window / spikes, in joules."""
    return float((row["power_w"] - row["rest_w"]) * row["window_s"] / row["spikes"])


def speck_left_out(chip: Chip) -> tuple[Calibration, ...]:
    """Each row with spike counts, predicted from the other ones."""
    rows = _counted(chip)
    found = []
    for row in rows:
        others = [joules_per_spike(other) for other in rows if other is not row]
        centre = math.exp(sum(map(math.log, others)) / len(others))
        rest, spikes = row["rest_w"] * row["window_s"], row["spikes"]
        low, high = rest + min(others) * spikes, rest + max(others) * spikes
        published = row["power_w"] * row["window_s"]
        own = joules_per_spike(row)
        found.append(
            _row(
                chip,
                row,
                "energy",
                published,
                low=low,
                estimate=rest + centre * spikes,
                high=high,
                figures_from=f"the other {len(others)} rows of the table, this one left out",
                test="published energy inside the interval of the other rows",
                predicts=True,
                holds=low <= published <= high,
                note=f"{own * 1e9:.3g} nJ a spike, the others {min(others) * 1e9:.3g} to "
                f"{max(others) * 1e9:.3g}; the extreme two of the rows cannot be inside",
            )
        )
    return tuple(found)


def speck_band(chip: Chip) -> tuple[Calibration, ...]:
    """Each row against the figure that estimates use, and against resting power."""
    figure = chip.energy["dynamic_per_spike"]
    least, most = _bounds(chip, "dynamic_per_spike", figure)
    found = []
    for row in _counted(chip):
        rest, published = row["rest_w"] * row["window_s"], row["power_w"] * row["window_s"]
        low, high = rest + least * row["spikes"], rest + most * row["spikes"]
        found.append(
            _row(
                chip,
                row,
                "energy",
                published,
                low=low,
                estimate=rest + figure.value * row["spikes"],
                high=high,
                figures_from=f"the chip's figure, {least * 1e9:g} to {most * 1e9:g} nJ a spike",
                test="published energy inside the chip's interval (which lies above resting power)",
                holds=low <= published <= high,
                note="the interval was derived from these rows, so this only guards the data",
            )
        )
    return tuple(found)


# ---------------------------------------------------------------- Loihi, and rows that only anchor


def mean_power(chip: Chip) -> tuple[Calibration, ...]:
    """Mean power per chip of every row, against the range outside of which estimates warn."""
    least, most = _bounds(chip, "plausible_mean", chip.power["plausible_mean"])
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
                _row(
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
    low = static.value if static.low is None else static.low
    high = static.value if static.high is None else static.high
    found = []
    for row in chip.measurements:
        if "energy_j" not in row or "latency_s" not in row:
            continue
        powered = row["latency_s"] * row.get("chips", 1)
        found.append(
            _row(
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
        _row(
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


def _bounds(chip: Chip, name: str, figure: Figure) -> tuple[float, float]:
    if figure.low is None or figure.high is None:
        raise BadInput(
            f"chip '{chip.key}': {name} has low {figure.low} and high {figure.high}, a calibration "
            "needs both; add them to the chip's file with their source"
        )
    return figure.low, figure.high


def _row(
    chip: Chip,
    row: Row,
    quantity: Literal["energy", "power"],
    published: float,
    *,
    figures_from: str,
    test: str,
    task: str | None = None,
    low: float | None = None,
    estimate: float | None = None,
    high: float | None = None,
    holds: bool | None = None,
    predicts: bool = False,
    note: str = "",
) -> Calibration:
    tested: Literal["prediction", "consistency"] = "prediction" if predicts else "consistency"
    return Calibration(
        device=chip.key,
        task=task or str(row["task"]),
        quantity=quantity,
        published=published,
        low=low,
        estimate=estimate,
        high=high,
        ratio=None if estimate is None else estimate / published,
        figures_from=figures_from,
        test=test,
        check="none" if holds is None else tested,
        holds=holds,
        source=str(row["source"]),
        note=note,
    )
