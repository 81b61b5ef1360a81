"""`ReportComparison` -> a table at the terminal, a Markdown page, or one HTML file.

All three show one `Table`: a line per quantity, a column per report. In the HTML file a number is a
`<data value="..." data-key="path.in.the.json">` element with the exact value of the JSON, as in the
page of one report; names and paths are escaped.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from neurozsl.core import markdown as md
from neurozsl.core import quantities as q
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report.schema import to_json
from neurozsl.report.show import tables as t
from neurozsl.report.show.compare import ComparedReport, ReportComparison
from neurozsl.report.show.files import replace_texts, writing
from neurozsl.report.show.html import environment
from neurozsl.report.show.terminal import console
from neurozsl.report.show.write import check_page


def _score(name: str) -> t.Column:
    def cell(row: ComparedReport, key: str) -> t.Cell:
        return t.figure(getattr(row.scores, name, None), f"{key}.scores.{name}", "percent")

    return t.Column(name, cell)


def _task(row: ComparedReport, key: str) -> t.Cell:
    """Accuracy of what ran, with its interval."""
    if row.task is None or row.task.shipped.accuracy is None:
        return t.say(t.Number(None, ""))
    at = f"{key}.task.rows.{row.task.rows.index(row.task.shipped)}.accuracy"
    found = row.task.shipped.accuracy
    figures = (
        t.Number(getattr(found, name), f"{at}.{name}", "percent")
        for name in ("percent", "low", "high")
    )
    return t.say(next(figures), " (", next(figures), " to ", next(figures), ")")


def _task_drop(row: ComparedReport, key: str) -> t.Cell:
    """Points that the arithmetic costs, and the verdict."""
    if row.task is None or row.task.shipped.drop is None:
        return t.say(t.Number(None, ""))
    at = f"{key}.task.rows.{row.task.rows.index(row.task.shipped)}.drop.points"
    points = t.Number(row.task.shipped.drop.points, at, "number")
    return t.say(points, f" points ({row.task.verdict})")


_TASK = (t.Column("accuracy", _task), t.Column("drop from float", _task_drop))
_HEAD = (
    t.words("what", "what"),
    t.words("model or file", "name"),
    t.words("counted on", "subject"),
    t.words("backend", "backend"),
)
_VERDICT = t.Column("verdict", lambda row, _: t.say(row.verdict or q.MISSING))
_SCORES = tuple(map(_score, ("S", "U", "HM", "ZSL")))
_COUNTS = (
    t.number("neurons", "neurons"),
    t.number("parameters", "parameters"),
    t.number("spike rate", "spike_rate", "share"),
    t.number("spikes", "spikes"),
    t.number("SynOps", "synops"),
    t.number("SynOps, dense", "dense"),
)


def table(compared: ReportComparison) -> t.Table:
    """The lines, each with its title and a cell per report."""
    columns = (t.Column("", lambda *_: t.EMPTY),) * (len(compared.rows) + 1)
    return t.Table("comparison", compared.title, columns, tuple(_lines(compared)))


def _lines(compared: ReportComparison) -> Iterator[t.Row]:
    def line(column: t.Column) -> t.Row:
        cells = (column.cell(x, f"rows.{k}") for k, x in enumerate(compared.rows))
        return t.Row((t.say(column.title), *cells))

    yield from map(line, _HEAD)
    if any(row.verdict for row in compared.rows):
        yield line(_VERDICT)
    if any(row.scores is not None for row in compared.rows):
        yield from map(line, _SCORES)
    if any(row.task is not None for row in compared.rows):
        yield from map(line, _TASK)
    yield from map(line, _COUNTS)
    for device, name in _names(e for x in compared.rows for e in x.energy).items():
        yield line(t.Column(f"energy, {name}", _figure("energy", device, "joules")))
        static = line(t.Column(f"static, {name}", _figure("energy", device, "static_joules")))
        if any(cell.is_known for cell in static.cells[1:]):
            yield static
    if any(row.host_flops is not None for row in compared.rows):
        yield line(t.number("host FLOPs", "host_flops"))
    for device, name in _names(e for x in compared.rows for e in x.host_joules).items():
        yield line(t.Column(f"energy, {name}", _figure("host_joules", device, "joules")))
    yield line(t.Column("not comparable", lambda x, _: t.say(x.not_comparable or "-")))


def _names(energies: Iterable[EnergyRow]) -> dict[str, str]:
    """What people call each device; its key behind it where two share a name."""
    names = {x.key: x.name for x in energies}
    shared = {x for x, times in Counter(names.values()).items() if times > 1}
    return {k: f"{name} ({k})" if name in shared else name for k, name in names.items()}


def _figure(rows: str, device: str, field: str) -> Callable[[ComparedReport, str], t.Cell]:
    """One energy of a device; what weakens it stands behind the dynamic one."""

    def cell(report: ComparedReport, key: str) -> t.Cell:
        for place, row in enumerate(getattr(report, rows)):
            if row.key == device:
                weak = _weak(row) if field == "joules" else ""
                path = f"{key}.{rows}.{place}.{field}"
                return t.say(t.Number(getattr(row, field), path, "joules"), weak)
        return t.say(t.Number(None, ""))

    return cell


def _weak(row: EnergyRow) -> str:
    """What weakens a figure, in brackets; the reasons are in the report of its row."""
    weak = ["lower bound"] * row.lower_bound + ["inherited"] * row.inherited
    weak += ["as-if"] if row.as_if else ["see its warning"] * bool(row.warnings)
    return f" ({', '.join(weak)})" if weak else ""


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


def html(compared: ReportComparison) -> str:
    """The page as one HTML file without script or outside resource."""
    lines = table(compared).rows
    return environment().get_template("compare.html.j2").render(compared=compared, lines=lines)
