"""A measured row (`measured`) as cells of a table, and what is to be said of its figures."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from neurozsl.core.quantities import si

WORK_COLUMNS: Final = ("weights", "FLOPs", "SynOps", "spikes", "energy")


def score_cell(row: Mapping[str, Any]) -> str:
    """Mean and standard deviation over seeds; the mean alone of one seed.

    >>> score_cell({"mean": 31.36, "sd": 0.4}), score_cell({"mean": 31.36, "sd": None})
    ('31.4±0.4', '31.4')
    """
    return f"{row['mean']:.1f}" + ("" if row["sd"] is None else f"±{row['sd']:.1f}")


def work_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells under `WORK_COLUMNS`."""
    return (
        f"{row['parameters']:,}",
        si(row["host_flops"], "").strip(),
        "-" if row["synops"] is None else si(row["synops"]["mean"], "").strip(),
        "-" if row["spike_rate"] is None else f"{100 * row['spike_rate']['mean']:.1f} %",
        "-" if row["joules"] is None else si(row["joules"]["mean"], "J"),
    )


def work_notes(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What the figures of the rows are and where they end, one line each; rows: name and row."""
    rows = list(rows)
    notes = [
        "weights: all parameters; FLOPs: of the host per inference, 2 a multiply-accumulate, "
        "without element-wise operators, and of a spiking branch whose SynOps no chip counts (real "
        "inputs, as in preset paper); SynOps: of what spikes, per inference; spikes: share of "
        "neuron-steps of the motion branch with one"
    ]
    notes += [
        f"energy: estimate for the motion branch on {row['energy_name']}, per inference, "
        f"nothing was measured; {row['energy_source']}"
        for _, row in rows
        if row["energy_source"]
    ][:1]
    told: dict[str, list[str]] = {}
    for name, row in rows:
        told.setdefault(row["note"], []).append(name)
    notes += [f"{', '.join(names)}: {note}" for note, names in told.items() if note]
    notes += [
        f"{name}: ZSL below U in {row['zsl_below_u']} run(s); they are not scored by one distance"
        for name, row in rows
        if row["zsl_below_u"]
    ]
    return notes
