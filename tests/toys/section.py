"""A section of the report that the product does not know: how unevenly the layers spike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurozsl.report.schema import Report
from neurozsl.report.sections.context import of_costs
from neurozsl.report.sections.costs import Costs
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section


@dataclass(frozen=True)
class Unevenness:
    """Spikes of the busiest layer per inference, and their share of all."""

    layer: str
    spikes: float
    part: float


@of_costs
def _fill(costs: Costs) -> Mapping[str, Any]:
    busiest = max(costs.layers, key=lambda x: x.spikes)
    part = busiest.spikes / (sum(x.spikes for x in costs.layers) or 1.0)
    return {"uneven": Unevenness(busiest.name, busiest.spikes, part)}


COLUMNS = (
    t.words("busiest layer", "layer"),
    t.number("spikes", "spikes"),
    t.number("part of all", "part", "share"),
)


def _tables(report: Report) -> Iterator[t.Table]:
    found = report.own("uneven", Unevenness)
    yield t.table("uneven", "Unevenness", COLUMNS, [found], keys=["sections.uneven"])


SECTION = Section(
    "uneven",
    "How uneven it is",
    ("uneven",),
    fill=_fill,
    tables=_tables,
    lines=lambda report: [Line(f"busiest: {report.own('uneven', Unevenness).layer}")],
    template="<p>One layer may do most of the work.</p>{{ m.table(t.uneven) }}",
    example=lambda: {"uneven": Unevenness("<b>made-up</b>", 12.5, 0.75)},
)
