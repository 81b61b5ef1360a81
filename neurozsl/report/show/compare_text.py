"""`ReportComparison` -> a table at the terminal, a Markdown page, or one HTML file.

All three show one `Table`: a line per quantity, a column per report. In the HTML file a number is a
`<data value="..." data-key="path.in.the.json">` element with the exact value of the JSON, as in the
page of one report; names and paths are escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from markupsafe import Markup
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from neurozsl.core import markdown as md
from neurozsl.core import quantities as q
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report.schema import to_json
from neurozsl.report.show.compare import ComparedReport, ReportComparison
from neurozsl.report.show.files import replace_texts, writing
from neurozsl.report.show.html import content
from neurozsl.report.show.tables import (
    EMPTY,
    Cell,
    Column,
    Number,
    Row,
    Table,
    figure,
    number,
    say,
    words,
)
from neurozsl.report.show.terminal import console
from neurozsl.report.show.write import check_page


def _score(name: str) -> Column:
    def cell(row: ComparedReport, key: str) -> Cell:
        return figure(getattr(row.scores, name, None), f"{key}.scores.{name}", "percent")

    return Column(name, cell)


_HEAD = (
    words("what", "what"),
    words("model or file", "name"),
    words("counted on", "subject"),
    words("backend", "backend"),
    Column("verdict", lambda row, _: say(row.verdict or q.MISSING)),
    *map(_score, ("S", "U", "HM", "ZSL")),
    number("neurons", "neurons"),
    number("parameters", "parameters"),
    number("spike rate", "spike_rate", "share"),
    number("spikes", "spikes"),
    number("SynOps", "synops"),
    number("SynOps, dense", "dense"),
)


def table(compared: ReportComparison) -> Table:
    """The lines, each with its title and a cell per report."""
    columns = (Column("", lambda *_: EMPTY),) * (len(compared.rows) + 1)
    return Table("comparison", compared.title, columns, tuple(_lines(compared)))


def _lines(compared: ReportComparison) -> Iterator[Row]:
    def line(column: Column) -> Row:
        cells = (column.cell(x, f"rows.{k}") for k, x in enumerate(compared.rows))
        return Row((say(column.title), *cells))

    yield from map(line, _HEAD)
    for device, name in _names(e for x in compared.rows for e in x.energy).items():
        yield line(Column(f"energy, {name}", _figure("energy", device, "joules")))
        static = line(Column(f"static, {name}", _figure("energy", device, "static_joules")))
        if any(cell.is_known for cell in static.cells[1:]):
            yield static
    yield line(number("host FLOPs", "host_flops"))
    for device, name in _names(e for x in compared.rows for e in x.host_joules).items():
        yield line(Column(f"energy, {name}", _figure("host_joules", device, "joules")))
    yield line(Column("not comparable", lambda x, _: say(x.not_comparable or "-")))


def _names(energies: Iterable[EnergyRow]) -> dict[str, str]:
    """What people call each device; its key behind it where two share a name."""
    names = {x.key: x.name for x in energies}
    shared = {x for x, times in Counter(names.values()).items() if times > 1}
    return {k: f"{name} ({k})" if name in shared else name for k, name in names.items()}


def _figure(rows: str, device: str, field: str) -> Callable[[ComparedReport, str], Cell]:
    """One energy of a device; what weakens it stands behind the dynamic one."""

    def cell(report: ComparedReport, key: str) -> Cell:
        for place, row in enumerate(getattr(report, rows)):
            if row.key == device:
                weak = _weak(row) if field == "joules" else ""
                path = f"{key}.{rows}.{place}.{field}"
                return say(Number(getattr(row, field), path, "joules"), weak)
        return say(Number(None, ""))

    return cell


def _weak(row: EnergyRow) -> str:
    """What weakens a figure, in brackets; the reasons are in the report of its row."""
    words = ["lower bound"] * row.lower_bound + ["inherited"] * row.inherited
    words += ["as-if"] if row.as_if else ["see its warning"] * bool(row.warnings)
    return f" ({', '.join(words)})" if words else ""


def print_comparison(compared: ReportComparison, out: Console | None = None) -> None:
    """Print one table, and what must not be read against each other."""
    drawn = Drawn(title=Text(compared.title, style="bold"), title_justify="left", box=None)
    for place in range(len(compared.rows) + 1):
        drawn.add_column("", justify="left" if place == 0 else "right", overflow="fold")
    for row in table(compared).rows:
        title, *cells = map(str, row.cells)
        drawn.add_row(Text(title, style="bold"), *map(Text, cells))
    to = out or console()
    to.print(drawn)
    for note in compared.notes:
        to.print(Text(note), soft_wrap=True)


def write_comparison(compared: ReportComparison, page: Path) -> Path:
    """Write the page in the format of its suffix, and the JSON beside it; returns the latter.

    Raises:
        BadInput: another suffix, or the files cannot be written.
    """
    check_page(page)
    beside = page.with_suffix(".json")
    texts = {beside: to_json(compared)}
    if page.suffix != ".json":
        texts[page] = html(compared) if page.suffix == ".html" else markdown(compared)
    with writing(page):
        replace_texts(texts)
    return beside


def markdown(compared: ReportComparison) -> str:
    """The page as Markdown."""
    head, *lines = ([str(cell) for cell in row.cells] for row in table(compared).rows)
    text = md.table([md.cell(x) for x in head], lines)
    notes = [f"- {md.cell(note)}" for note in compared.notes]
    made = f"Made: {compared.created}"
    return "\n".join([f"# {compared.title}", "", *text, "", *notes, "", made]) + "\n"


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 72rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .25rem .75rem; text-align: right; vertical-align: top; overflow-wrap: anywhere; }
th { text-align: left; font-weight: 600; min-width: 7rem; }
data { white-space: nowrap; }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
td { min-width: 9rem; max-width: 22rem; }
.wide:focus-visible { outline: 2px solid; outline-offset: 2px; }
@media print { .wide { overflow: visible; } td { min-width: 0; } }
"""


def html(compared: ReportComparison) -> str:
    """The page as one HTML file without script or outside resource."""
    body = Markup("")
    for row in table(compared).rows:
        title, *cells = map(content, row.cells)
        shown = Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells)
        body += Markup('<tr><th scope="row">{}</th>{}</tr>\n').format(title, shown)
    notes = Markup("").join(Markup("<li>{}</li>\n").format(note) for note in compared.notes)
    return Markup(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>{title}</title><style>{style}</style></head>\n<body><main><h1>{title}</h1>\n"
        '<div class="wide" tabindex="0" role="region" aria-label="{title}"><table>\n{body}</table>'
        "</div>\n<ul>{notes}</ul>\n<p>Made: {made}</p></main></body></html>\n"
    ).format(
        title=compared.title, style=Markup(_STYLE), body=body, notes=notes, made=compared.created
    )
