"""Speck: E = resting power x window + spikes x J per spike, published inside the interval.

The rows of Yao 2024 are predicted leaving one out: the figure for a row comes from the other rows
alone (geometric mean, and their smallest and largest as the interval), since a figure fitted to a
row says nothing by predicting it. The rows with the smallest and the largest energy per spike must
miss that interval; they are shown as misses.
"""

import math
from typing import Any

from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.workloads.row import Calibration, Row, bounds, checked


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
        each = (min(others), centre, max(others))
        found.append(
            _in_interval(
                chip,
                row,
                each,
                figures_from=f"the other {len(others)} rows of the table, this one left out",
                test="published energy inside the interval of the other rows",
                predicts=True,
                note=f"{joules_per_spike(row) * 1e9:.3g} nJ a spike, the others "
                f"{each[0] * 1e9:.3g} to {each[2] * 1e9:.3g}; the extreme two of the rows cannot "
                "be inside",
            )
        )
    return tuple(found)


def speck_band(chip: Chip) -> tuple[Calibration, ...]:
    """Each row against the figure that estimates use, and against resting power."""
    figure = chip.energy["dynamic_per_spike"]
    least, most = bounds(chip, "dynamic_per_spike", figure)
    return tuple(
        _in_interval(
            chip,
            row,
            (least, figure.value, most),
            figures_from=f"the chip's figure, {least * 1e9:g} to {most * 1e9:g} nJ a spike",
            test="published energy inside the chip's interval (which lies above resting power)",
            note="the interval was derived from these rows, so this only guards the data",
        )
        for row in _counted(chip)
    )


def _in_interval(
    chip: Chip, row: Row, each: tuple[float, float, float], **said: Any
) -> Calibration:
    """The equation above with low, middle and high joules per spike; said: as `checked` has it."""
    rest, published = row["rest_w"] * row["window_s"], row["power_w"] * row["window_s"]
    low, estimate, high = (rest + joules * row["spikes"] for joules in each)
    return checked(
        chip,
        row,
        "energy",
        published,
        low=low,
        estimate=estimate,
        high=high,
        holds=low <= published <= high,
        **said,
    )
