"""What tables share on page, card and terminal: columns of layers, rows of energy, scores.

A column whose field is unknown for every layer is left out, and so is a group without columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from neurozsl.core import quantities as q
from neurozsl.report.schema import Energy, Layer, Report, RunReport, Scores


@dataclass(frozen=True)
class Column:
    """A field of `Layer`, its title, and how its values are written (a key of `q.FORMATS`)."""

    field: str
    title: str
    kind: str = "count"


@dataclass(frozen=True)
class Group:
    """Columns under one heading."""

    title: str
    columns: tuple[Column, ...]


MAIN = (
    Group("Size", (Column("neurons", "neurons"),)),
    Group(
        "Spikes",
        (
            Column("spike_rate", "rate", "share"),
            Column("spikes", "sent"),
            Column("input_events", "arriving"),
            Column("dead_neurons", "silent"),
        ),
    ),
    Group("Synaptic operations", (Column("synops", "effective"), Column("dense", "dense"))),
    Group(
        "Neuron updates", (Column("active_updates", "active"), Column("inactive_updates", "idle"))
    ),
    Group("Routing", (Column("messages", "messages"), Column("hops", "hops"))),
)
"""What is read first."""

REST = (
    Group("Size", (Column("inputs", "inputs"), Column("parameters", "parameters"))),
    Group(
        "Synaptic operations by kind",
        (
            Column("effective_acs", "effective ACs"),
            Column("effective_macs", "effective MACs"),
            Column("synops_weighted", "as Sinabs counts"),
        ),
    ),
    Group("Neuron updates", (Column("neuron_updates", "all"),)),
    Group("Integers", (Column("overflow", "wraps"), Column("saturation", "clips"))),
)
"""What completes it."""


def used(groups: Sequence[Group], layers: Sequence[Layer]) -> tuple[Group, ...]:
    """Groups with the columns that at least one layer has a value for.

    >>> used(MAIN, ())
    ()
    """
    kept = [
        replace(
            group,
            columns=tuple(
                column
                for column in group.columns
                if any(getattr(layer, column.field) is not None for layer in layers)
            ),
        )
        for group in groups
    ]
    return tuple(group for group in kept if group.columns)


def energy_groups(report: Report) -> list[tuple[str, tuple[Energy, ...]]]:
    """Energy rows by what they run; groups without rows are left out."""
    run = report if isinstance(report, RunReport) else None
    groups = [("motion branch" if run else "network", report.energy)]
    if report.baseline is not None:
        groups.append((report.baseline.name, report.baseline.energy))
    if run is not None:
        groups.append(("host part", run.host.energy))
    return [(name, rows) for name, rows in groups if rows]


def scores(x: Scores) -> tuple[str, str, str, str]:
    """S, U, HM and ZSL."""
    return q.percent(x.S), q.percent(x.U), q.percent(x.HM), q.percent(x.ZSL)
