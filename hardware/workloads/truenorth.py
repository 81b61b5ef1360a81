"""TrueNorth: P = static + synop x rate x neurons x synapses, published within 1 %.

In: the chip, with the sweep of its power over the spike rate among its measurements.
"""

from typing import Final

from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.workloads.row import Calibration, Row, checked

TOLERANCE: Final = 0.01  # of the sweep


def truenorth_sweep(chip: Chip) -> tuple[Calibration, ...]:
    """Static plus marginal power at every rate of the published sweep."""
    static, synop = chip.power["static_chip"].value, chip.energy["synop"].value
    return tuple(
        checked(
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
        checked(
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
        checked(
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
