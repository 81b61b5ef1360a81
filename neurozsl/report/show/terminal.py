"""A report of either kind -> compact tables for people at a terminal.

They go to stderr (stdout belongs to `--json`). Rich decides about colour: plain text when stderr is
not a terminal or NO_COLOR is set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table as Drawn
from rich.text import Text

from neurozsl.report.schema import NetworkReport, Report, RunReport
from neurozsl.report.show import reading
from neurozsl.report.show.section import Sections, lines_of, tables_of, there
from neurozsl.report.show.tables import Cell, Table, joined, shown

_PLAIN_WIDTH = 100  # of a pipe or a log, where rich would assume 80 and cut the device names
_VERDICT_STYLE = {
    "PASS": "bold green",
    "PASS-WITH-LOSS": "bold green",
    "FAIL": "bold red",
    "UNVERIFIED": "bold yellow",
}


def console() -> Console:
    """A console on stderr."""
    if sys.stderr.isatty():
        return Console(stderr=True, highlight=False)
    return Console(stderr=True, highlight=False, width=_PLAIN_WIDTH)


def print_report(report: Report, sections: Sections, out: Console | None = None) -> None:
    """Print the verdict or the file, then the tables and sentences of every section."""
    # Sentences are not broken into lines: they can be searched for, and the terminal wraps them.
    (out or console()).print(summary(report, sections), soft_wrap=True)


def summary(report: Report, sections: Sections) -> Group:
    """What `print_report` prints."""
    parts: list[RenderableType] = []
    if isinstance(report, RunReport):
        style = _VERDICT_STYLE[report.verdict]
        parts += [Text.assemble((report.verdict, style), "  ", reading.headline(report)), Text()]
    elif isinstance(report, NetworkReport):
        parts += [Text(f"{report.file}: {reading.headline(report)}", style="bold"), Text()]
    found = there(sections, report)
    tables = (x for section in found for x in tables_of(section, report, "terminal"))
    for group in joined(tables):
        parts += [drawn(group), Text()]
    if not report.layers:
        parts += [Text(reading.NOTHING_SPIKES), Text()]
    parts += [Text(line) for section in found for line in lines_of(section, report, "terminal")]
    return Group(*parts)


def drawn(parts: Sequence[Table]) -> Drawn:
    """A table; several parts of one stand below each other, each under its name."""
    whole = shown(_one(parts), "terminal")
    made = Drawn(
        title=Text(whole.title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    for column in whole.columns:
        made.add_column(
            column.title,
            justify="right" if column.numeric else "left",
            style="bold" if column.strong else "",
            no_wrap=column.numeric,
        )
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part.rows))
    for part, first, last in zip(parts, ends, ends[1:], strict=False):
        if part.part:
            made.add_row(Text(part.part, style="bold"))
        for found in whole.rows[first:last]:
            head, *cells = map(_text, found.cells)
            made.add_row(
                Text("  " * bool(part.part)) + head, *cells, style=found.style.replace("total", "")
            )
    return made


def _one(parts: Sequence[Table]) -> Table:
    first = parts[0]
    return Table(
        first.name, first.title, first.columns, tuple(x for part in parts for x in part.rows)
    )


def _text(cell: Cell) -> Text:
    return Text(str(cell), style="bold red" if cell.alarm else "")
