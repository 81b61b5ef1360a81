"""Energy of a network before it is trained: sizes, steps and a spike rate -> rows of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from neurozsl.hardware.chip import Chip
from neurozsl.hardware.energy import DEFAULT_CHIPS, estimate_all, uniform_counts
from neurozsl.report import schema
from neurozsl.report.comparison import comparison
from neurozsl.report.rows import dense_baseline, spiking_energy


class WhatIf(NamedTuple):
    """The same values as those of a report."""

    energy: tuple[schema.Energy, ...]
    baseline: schema.Baseline
    comparison: schema.Comparison | None


def what_if(
    sizes: Sequence[int],
    steps: int,
    rate: float,
    *,
    chips: Sequence[str | Chip] = DEFAULT_CHIPS,
    step_s: Mapping[str, float] | None = None,
    window_s: float | None = None,
    lengths_s: Sequence[float] = (),
) -> WhatIf:
    """Estimate a feed-forward dense network whose every neuron spikes at one rate.

    Args:
        sizes: width of the input, then of every layer.
        steps: time steps of one inference.
        rate: spikes per neuron and step, 0..1.
        chips: keys or chips of a user.
        step_s: length of a step per chip key, where it is not the chip's own.
        window_s: how long the input lasts, for chips without steps.
        lengths_s: further lengths of a step to show.

    Raises:
        BadInput: fewer than two sizes, or a value out of range.
    """
    counts = uniform_counts(sizes, steps, rate)
    rows = estimate_all(counts, chips, step_s=step_s, window_s=window_s)
    paces = (*(step_s or {}).values(), *lengths_s)
    return WhatIf(
        spiking_energy(rows),
        dense_baseline(counts, rows),
        comparison(counts, rows, chips=chips, lengths_s=paces),
    )
