"""A report of either kind -> one static HTML file: no script, no external resource, names escaped.

A number is a `<data value="..." data-key="path.in.the.json">` element that holds the exact value of
`report.json`, so a program can compare the two; the tests do. Every section has a template; there
`t` holds its tables by name, `lines` its sentences, and `m` what templates share.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from neurozsl.core import quantities as q
from neurozsl.report.schema import Report, RunReport
from neurozsl.report.show import reading
from neurozsl.report.show.plot import Plot
from neurozsl.report.show.plots import plots
from neurozsl.report.show.section import Sections, lines_of, tables_of, there
from neurozsl.report.show.tables import Cell, Column, Number, Piece, Sign, bounds, shown

_NUMBER_AND_UNIT = re.compile(r"(\d) (%|[fpnµmkMGT]?[JsWB]\b|times\b|points\b)")


def render(report: Report, sections: Sections, drawn: tuple[Plot, ...] | None = None) -> str:
    """The page as text."""
    drawn = plots(report, sections) if drawn is None else drawn
    found = there(sections, report)
    made = environment()
    return made.get_template("page.html.j2").render(
        report=report,
        run=isinstance(report, RunReport),
        verdict=report.verdict if isinstance(report, RunReport) else None,
        headline=reading.headline(report),
        paragraphs=reading.paragraphs(report),
        mean_rate=reading.spike_rate(report),
        key_row=reading.key_row(report.energy),
        expected=reading.is_estimate(report),
        unknown=reading.unknown(report.energy),
        sections=found,
        templates={
            x.key: made.from_string(x.template)
            if x.template
            else made.get_template(f"{x.key}.html.j2")
            for x in found
        },
        tables={
            x.key: {table.name: shown(table, "page") for table in tables_of(x, report, "page")}
            for x in found
        },
        all_lines={x.key: lines_of(x, report, "page") for x in found},
        # Our own SVG text, its labels escaped by matplotlib and `svg.titled`.
        plots={x.name: Markup(x.svg) for x in drawn},
        titles={x.name: x.title for x in drawn},
    )


def data(key: str, value: float | None, kind: str) -> Markup:
    """One number: exact for programs, rounded for people."""
    text = q.FORMATS[kind](value)
    if value is None:
        return Markup('<span class="missing">{}</span>').format(text)
    return Markup('<data value="{}" data-key="{}">{}</data>').format(repr(value), key, text)


def piece(found: Piece) -> Markup:
    """A part of a cell."""
    if isinstance(found, Number):
        return data(found.key, found.value, found.kind)
    if isinstance(found, Sign):
        return Markup('<span class="{}">{}</span>').format(found.css, found.text)
    return escape(found)


def content(cell: Cell) -> Markup:
    """What stands in a cell; further words and numbers below, small."""
    text = Markup("").join(map(piece, cell.pieces))
    for below in (((cell.aside,) if cell.aside else ()), cell.below):
        if below:
            text += Markup("<small>{}</small>").format(Markup("").join(map(piece, below)))
    return text


def span(value: object, key: str, field: str, kind: str) -> Markup:
    """Low and high end of a field."""
    return Markup("").join(map(piece, bounds(value, key, field, kind)))


def _groups(columns: Sequence[Column]) -> list[list[Column]]:
    """Neighbours of one group."""
    return [list(found) for _, found in groupby(columns, key=lambda column: column.group)]


def _css(column: Column, before: Column | None, cell: Cell | None = None) -> Markup:
    """Attributes of a cell, or of the title of its column."""
    first = before is not None and column.group != before.group
    names = ["n"] * column.numeric + ["first"] * first
    names += ["strong"] * (column.strong and cell is not None)
    style = ""
    if cell is not None and cell.bar is not None:
        names, style = [*names, "bar"], f' style="--w: {cell.bar}%"'
    return Markup(f' class="{" ".join(names)}"' if names else "") + Markup(style)


def _unbroken(text: str) -> str:
    """A number stays on the line of its unit."""
    return _NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", text)


@cache
def environment() -> Environment:
    """The templates in `page/`, with what they call; the style sheet is put in."""
    made = Environment(
        loader=PackageLoader("neurozsl.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(share=q.share, count=q.count, unbroken=_unbroken, groupby_runs=_groups)
    style = (resources.files("neurozsl.report.page") / "style.css").read_text(encoding="utf-8")
    made.globals.update(
        style=Markup(style), data=data, css=_css, content=content, span=span,
        kind=reading.kind, note=reading.note, calibrated=reading.calibrated,
    )  # fmt: skip
    return made
