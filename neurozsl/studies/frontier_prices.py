"""Cost tables of the frontier: a dense network's multiply-accumulates at published figures.

Two prices of a dense network, rows of `hardware.energy` both:

    KEY         every multiply-accumulate, pruned or not, in as many passes as there are
    KEY+zeros   those of a nonzero value with a nonzero weight alone, at the same figure: hardware
                that skips zeros, with nothing paid for finding them. An idealised lower bound

The second one is made of tables of bare arithmetic alone: the figure of a whole board at its peak
rate is that of dense products, and no such board skips single zeros. The sum over the steps that a
pooling network begins with costs additions (`ac`) where the table has a figure for them, else
multiply-accumulates.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

from neurozsl.hardware.chips import DEFAULT_CHIPS
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.count.counts import Counts, LayerCounts
from neurozsl.hardware.energy import EnergyRow, estimate_all
from neurozsl.hardware.energy.row import term
from neurozsl.studies.dense_work import DenseWork

ZEROS: Final = "+zeros"
_INCLUDED: Final = ("multiply-accumulates of the layers in every pass", "adding up the steps")
_SKIPPED: Final = (
    "multiply-accumulates of a nonzero value with a nonzero weight",
    "adding up the steps, nonzero values alone",
)
_INDICES: Final = "finding the zeros: indices of weights and values, and idle lanes"


def dense_rows(work: DenseWork, chips: Sequence[str] = DEFAULT_CHIPS) -> tuple[EnergyRow, ...]:
    """Every price of a dense network, per inference."""
    each = work.samples
    dense = _priced(work.macs_each, work.adds / each, chips)
    sparse = _priced(work.nonzero_each, work.nonzero_adds / each, chips)
    return (
        *(replace(row, included=_INCLUDED) for row in dense),
        *(_skipping(row) for row in sparse if row.scope == "per_term"),
    )


def _skipping(row: EnergyRow) -> EnergyRow:
    return replace(
        row,
        key=row.key + ZEROS,
        name=f"{row.name}, zeros skipped",
        included=_SKIPPED,
        excluded=(*row.excluded, _INDICES),
        lower_bound=True,
    )


def _priced(macs: float, adds: float, chips: Sequence[str]) -> tuple[EnergyRow, ...]:
    """One row per table of a dense pass."""
    rows = estimate_all(_as_counts(macs), chips)
    return tuple(_with_adds(row, adds) for row in rows if row.method == "dense_pass")


def _with_adds(row: EnergyRow, adds: float) -> EnergyRow:
    if adds == 0:
        return row
    energy = load_chip(row.device).energy
    figure = "ac" if "ac" in energy and row.terms[0].figure == "mac" else row.terms[0].figure
    one = term("adding up the steps", figure, adds, energy[figure])

    def more(before: float | None, added: float | None) -> float | None:
        return None if before is None or added is None else before + added

    return replace(
        row,
        joules_low=more(row.joules_low, one.joules_low),
        joules=row.joules + one.joules,
        joules_high=more(row.joules_high, one.joules_high),
        terms=(*row.terms, one),
    )


def _as_counts(macs: float) -> Counts:
    """Counts that hold nothing but the multiply-accumulates of an inference."""
    counted: dict[str, Any] = {field.name: 0 for field in fields(LayerCounts)}
    about = {"name": "layers", "source": "input", "steps": 1, "dense": macs, "leaky": False}
    layer = LayerCounts(**{**counted, **about})
    return Counts((layer,), samples=1, steps=1)
