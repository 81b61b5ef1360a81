"""Metrics under the names and definitions of NeuroBench, and where they are not our counts."""

from collections.abc import Iterator

from neurozsl.report.schema import Report
from neurozsl.report.sections.context import of_costs
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section

_KINDS = {"Footprint": "bytes", "ConnectionSparsity": "share", "ActivationSparsity": "share"}
_COUNTED = ("Effective_MACs", "Effective_ACs", "Dense", "MembraneUpdates")
METRICS = (
    *(t.number(name, name, kind) for name, kind in _KINDS.items()),
    *(t.number(name, name) for name in _COUNTED),
)
DIFFERENCES = (
    t.words("metric", "metric"),
    t.number("NeuroBench", "neurobench"),
    t.number("exact", "exact"),
    t.words("why", "why"),
)


def _tables(report: Report) -> Iterator[t.Table]:
    found = report.neurobench
    assert found is not None
    title = "Names and definitions of NeuroBench 2.3 (Yik et al. 2025), means per sample"
    yield t.table("metrics", title, METRICS, [found], keys=["neurobench"], on=t.PAPER)
    title, rows = "Where these are not the exact counts", found.differences
    key = "neurobench.differences"
    yield t.table("differences", title, DIFFERENCES, rows, key=key, on=t.PAPER)


SECTION = Section(
    "neurobench", "NeuroBench metrics", ("neurobench",),
    fill=of_costs(lambda costs: {"neurobench": costs.neurobench}), tables=_tables,
)  # fmt: skip
