"""What it costs in energy: a row per device, with where its figures come from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report import figures
from neurozsl.report.figures.drawing import Drawn
from neurozsl.report.figures.energy import split_rows
from neurozsl.report.schema import Report, RunReport
from neurozsl.report.sections.context import of_costs
from neurozsl.report.sections.costs import Costs
from neurozsl.report.show import reading
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section

HOST = "host part"


@of_costs
def _fill(costs: Costs) -> Mapping[str, Any]:
    """All rows but the dense pass, which is the comparison."""
    return {"energy": tuple(row for row in costs.rows if row.method != "dense_pass")}


def _interval(row: EnergyRow, key: str) -> t.Cell:
    """The bounds that sources give; a measured value has none to publish."""
    found = t.bounds(row, f"{key}", "joules", "joules")
    if row.interval != "unpublished":
        return t.say(*found, aside=row.interval.replace("published", ""))
    if found:
        return t.say("unpublished (", *found, ")")
    return t.say("unpublished" if row.estimate else q.MISSING)


def _static(row: EnergyRow, key: str) -> t.Cell:
    below = t.bounds(row, key, "static_joules", "joules")
    if row.powered_s is not None and row.powered_s != row.latency_s:
        powered = t.Number(row.powered_s, f"{key}.powered_s", "seconds")
        below = (*below, "; " * bool(below), "over ", powered, " of input")
    return t.figure(row.static_joules, f"{key}.static_joules", "joules", below=below)


def _latency(row: EnergyRow, key: str) -> t.Cell:
    step = ("steps of ", t.Number(row.step_s, f"{key}.step_s", "seconds"))
    below = () if row.step_s is None else step
    return t.figure(row.latency_s, f"{key}.latency_s", "seconds", below=below)


def _kind(row: EnergyRow, _: str) -> t.Cell:
    word = reading.kind(row)
    plain = set(word.split(", ")) <= {"estimate", "measured", "all-in"}
    return t.say(t.Sign(word, "tag" if plain else "tag warn"))


COLUMNS = (
    t.Column("device", lambda row, _: t.say(row.name, below=(row.key,))),
    t.number("dynamic", "joules", "joules"),
    t.Column("interval", _interval),
    t.Column("static", _static, numeric=True),
    t.Column("latency", _latency, numeric=True, on=t.PAPER),
    t.Column("kind", _kind),
    t.words("source", "source", on=("card",)),
    t.Column("left out", lambda row, _: t.say("; ".join(row.excluded)), on=("card",)),
    t.Column("unknown", lambda row, _: t.say("; ".join(row.unknown)), on=("card",)),
)


def energy_table(part: str, rows: Iterable[EnergyRow], key: str, **more: Any) -> t.Table:
    """The rows of one part: of the network, of what it is compared with, of the host."""
    return t.table("energy", "Energy per inference", COLUMNS, rows, key=key, part=part, **more)


def _part(report: Report) -> str:
    return "motion branch" if isinstance(report, RunReport) else "network"


def _tables(report: Report) -> Iterator[t.Table]:
    notes = (
        "Energies of chips are estimates: counted events times published figures. An interval is "
        "shown only where sources give both bounds; “unpublished” means that nobody has printed "
        "one, not that it is small. “Inherited” figures belong to another chip. Static energy is "
        "static power times latency (on a chip without steps: times the length of the input), and "
        "comes on top of the dynamic part. “As-if”: the chip cannot run this network, and is "
        "priced as if it did.",
    )
    yield energy_table(_part(report), report.energy, "energy", notes=notes)


def _by_device(report: Report) -> Drawn:
    groups = [(_part(report), report.energy)]
    if report.baseline is not None:
        groups.append((report.baseline.name, report.baseline.energy))
    if isinstance(report, RunReport):
        groups.append((HOST, report.host.energy))
    return figures.energy([x for x in groups if x[1]])


def _split(report: Report) -> Drawn | None:
    rows = split_rows(report.energy)
    return figures.energy_split(rows) if rows else None


def _lines(report: Report) -> Iterator[Line]:
    unknown = reading.unknown(report.energy)
    if unknown:
        yield Line(unknown)
    for names, text in reading.warnings(report.energy):
        yield Line(f"warning: {names}: {text}")


SECTION = Section(
    "energy", "What it costs in energy", ("energy",), fill=_fill, tables=_tables, lines=_lines,
    figures={"energy": _by_device, "energy_split": _split},
)  # fmt: skip
