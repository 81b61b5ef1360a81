"""Speck: E = resting power x window + spikes x J per spike, published inside the interval.

The rows of Yao 2024 are predicted leaving one out: the figure for a row comes from the other rows
alone (geometric mean, and their smallest and largest as the interval), since a figure fitted to a
row says nothing by predicting it. The rows with the smallest and the largest energy per spike must
miss that interval; they are shown as misses.
"""

from __future__ import annotations

import math

from neurozsl.hardware.calibrating.row import Calibration, Row, bounds, checked
from neurozsl.hardware.chip import Chip


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
            checked(
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
    least, most = bounds(chip, "dynamic_per_spike", figure)
    found = []
    for row in _counted(chip):
        rest, published = row["rest_w"] * row["window_s"], row["power_w"] * row["window_s"]
        low, high = rest + least * row["spikes"], rest + most * row["spikes"]
        found.append(
            checked(
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
