"""`ReportComparison` -> a table at the terminal, a Markdown page, or one HTML file.

All three show the same cells (`table`): a line per quantity, a column per report. In the HTML file
a number is a `<data value="..." data-key="path.in.the.json">` element with the exact value of the
JSON, as in the page of one report; names and paths are escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurozsl.core import markdown as md
from neurozsl.core import quantities as q
from neurozsl.report.schema import to_json
from neurozsl.report.show.compare import ComparedEnergy, ReportComparison
from neurozsl.report.show.files import replace_texts, writing
from neurozsl.report.show.terminal import console
from neurozsl.report.show.write import check_page


@dataclass(frozen=True)
class Cell:
    """Text for people; `value` at `key` of the JSON where it is a number, `words` behind it."""

    text: str
    value: float | None = None
    key: str = ""
    words: str = ""

    @property
    def whole(self) -> str:
        """The text with its words."""
        return f"{self.text} {self.words}".rstrip()


def table(compared: ReportComparison) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    """Title of each line and its cells, one per report."""
    rows = list(enumerate(compared.rows))
    yield "what", tuple(Cell(r.what) for _, r in rows)
    yield "model or file", tuple(Cell(r.name) for _, r in rows)
    yield "counted on", tuple(Cell(r.subject) for _, r in rows)
    yield "backend", tuple(Cell(r.backend) for _, r in rows)
    yield "verdict", tuple(Cell(r.verdict or q.MISSING) for _, r in rows)
    for name in ("S", "U", "HM", "ZSL"):
        scores = [None if r.scores is None else getattr(r.scores, name) for _, r in rows]
        yield (
            name,
            tuple(Cell(q.percent(x), x, f"rows.{i}.scores.{name}") for i, x in enumerate(scores)),
        )
    for name, write in (
        ("neurons", q.count),
        ("parameters", q.count),
        ("spike_rate", q.share),
        ("spikes", q.count),
        ("synops", q.count),
        ("dense", q.count),
    ):
        yield (
            name.replace("_", " ").replace("synops", "SynOps").replace("dense", "SynOps, dense"),
            tuple(
                Cell(write(getattr(r, name)), getattr(r, name), f"rows.{i}.{name}") for i, r in rows
            ),
        )
    names = _names(e for r in compared.rows for e in r.energy)
    for device in compared.devices:
        yield (
            f"energy, {names[device]}",
            tuple(_figure(r.energy, device, f"rows.{i}.energy", "joules") for i, r in rows),
        )
        static = tuple(
            _figure(r.energy, device, f"rows.{i}.energy", "static_joules") for i, r in rows
        )
        if any(cell.value is not None for cell in static):
            yield f"static, {names[device]}", static
    yield (
        "host FLOPs",
        tuple(Cell(q.count(r.host_flops), r.host_flops, f"rows.{i}.host_flops") for i, r in rows),
    )
    for device, name in _names(e for r in compared.rows for e in r.host_joules).items():
        yield (
            f"energy, {name}",
            tuple(
                _figure(r.host_joules, device, f"rows.{i}.host_joules", "joules") for i, r in rows
            ),
        )
    yield "not comparable", tuple(Cell(r.not_comparable or "-") for _, r in rows)


def _names(energies: Iterable[ComparedEnergy]) -> dict[str, str]:
    """What people call each device; its key behind it where two share a name."""
    names = {x.device: x.name for x in energies}
    shared = {x for x, times in Counter(names.values()).items() if times > 1}
    return {k: f"{name} ({k})" if name in shared else name for k, name in names.items()}


def _figure(energy: tuple[ComparedEnergy, ...], device: str, path: str, field: str) -> Cell:
    """One energy of a device; what weakens it stands behind the dynamic one."""
    for place, row in enumerate(energy):
        if row.device == device:
            value = getattr(row, field)
            words = _weak(row) if field == "joules" else ""
            return Cell(q.si(value, "J"), value, f"{path}.{place}.{field}", words)
    return Cell(q.MISSING)


def _weak(row: ComparedEnergy) -> str:
    """What weakens a figure, in brackets; the reasons are in the report of its row."""
    words = ["lower bound"] * row.lower_bound + ["inherited"] * row.inherited
    words += ["as-if"] if row.as_if else ["see its warning"] * bool(row.warnings)
    return f"({', '.join(words)})" if words else ""


def print_comparison(compared: ReportComparison, out: Console | None = None) -> None:
    """Print one table, and what must not be read against each other."""
    drawn = Table(title=Text(compared.title, style="bold"), title_justify="left", box=None)
    lines = list(table(compared))
    for place in range(len(compared.rows) + 1):
        drawn.add_column("", justify="left" if place == 0 else "right", overflow="fold")
    for title, cells in lines:
        drawn.add_row(Text(title, style="bold"), *(Text(cell.whole) for cell in cells))
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
    head, *lines = ([title, *(x.whole for x in cells)] for title, cells in table(compared))
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
    for title, cells in table(compared):
        shown = Markup("").join(Markup("<td>{}</td>").format(_shown(cell)) for cell in cells)
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


def _shown(cell: Cell) -> Markup:
    if cell.value is None:
        return escape(cell.whole)
    number = Markup('<data value="{}" data-key="{}">{}</data>').format(
        repr(cell.value), cell.key, cell.text
    )
    return number + f" {cell.words}" if cell.words else number
