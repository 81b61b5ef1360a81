"""Our figures against measured chips: published values beside what the figures here give."""

from collections.abc import Iterator

from neurozsl.hardware.workloads.row import Calibration
from neurozsl.hardware.workloads.workloads import calibrate
from neurozsl.report.schema import Report
from neurozsl.report.sections.context import of_costs
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section


def _unit(row: Calibration) -> str:
    return "joules" if row.quantity == "energy" else "watts"


def _figure(title: str, field: str) -> t.Column:
    def cell(row: Calibration, key: str) -> t.Cell:
        return t.figure(getattr(row, field), f"{key}.{field}", _unit(row))

    return t.Column(title, cell, numeric=True)


def _interval(row: Calibration, key: str) -> t.Cell:
    low, high = (t.Number(getattr(row, end), f"{key}.{end}", _unit(row)) for end in ("low", "high"))
    return t.say() if row.low is None or row.high is None else t.say(low, " to ", high)


_RESULTS: dict[bool | None, t.Piece] = {
    True: t.sign("holds"),
    False: t.sign("missed"),
    None: "shown only",
}
COLUMNS = (
    t.words("task", "task"),
    t.words("device", "device"),
    _figure("published", "published"),
    _figure("estimate", "estimate"),
    t.Column("interval", _interval),
    t.number("ratio", "ratio", "ratio"),
    t.Column("result", lambda row, _: t.say(_RESULTS[row.holds])),
    t.Column("test", lambda row, _: t.say(row.test, below=(row.check,))),
    t.words("figures from", "figures_from", on=("page",)),
    t.Column("source", lambda row, _: t.say(row.source, below=(row.note,) * bool(row.note))),
)


def _tables(report: Report) -> Iterator[t.Table]:
    title = "Estimate against published measurement"
    yield t.table("rows", title, COLUMNS, report.calibration, key="calibration", on=t.PAPER)


SECTION = Section(
    "calibration", "Our figures against measured chips", ("calibration",),
    fill=of_costs(lambda _: {"calibration": calibrate()}), tables=_tables,
)  # fmt: skip
