"""A report of either kind -> compact tables for people at a terminal.

They go to stderr (stdout belongs to `--json`). Rich decides about colour: plain text when stderr is
not a terminal or NO_COLOR is set.
"""

import sys
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.table import Table as Drawn
from rich.text import Text

from neurozsl.core.terminal import PlainConsole
from neurozsl.report.schema import NetworkReport, Report, RunReport
from neurozsl.report.show import reading
from neurozsl.report.show.section import Sections, lines_of, tables_of, there
from neurozsl.report.show.tables import Table, joined, shown

_PLAIN_WIDTH = 100  # of a pipe or a log, where rich would assume 80 and cut the device names
_VERDICT_STYLE = {
    "PASS": "bold green",
    "PASS-WITH-LOSS": "bold green",
    "FAIL": "bold red",
    "UNVERIFIED": "bold yellow",
}


def console() -> Console:
    """A console on stderr."""
    width = None if sys.stderr.isatty() else _PLAIN_WIDTH
    return PlainConsole(stderr=True, width=width)


def print_report(report: Report, sections: Sections, out: Console | None = None) -> None:
    """Print the verdict or the file, then the tables and sentences of every section."""
    parts: list[RenderableType] = []
    if isinstance(report, RunReport):
        style = _VERDICT_STYLE[report.verdict]
        parts += [Text.assemble((report.verdict, style), "  ", reading.headline(report)), Text()]
    elif isinstance(report, NetworkReport):
        parts += [Text(f"{report.file}: {reading.headline(report)}", style="bold"), Text()]
    found = there(sections, report)
    tables = (x for section in found for x in tables_of(section, report, "terminal"))
    for table in joined(tables):
        parts += [drawn(shown(table, "terminal")), Text()]
    if not report.layers:
        parts += [Text(reading.NOTHING_SPIKES), Text()]
    parts += [Text(line) for section in found for line in lines_of(section, report, "terminal")]
    # Sentences are not broken into lines: they can be searched for, and the terminal wraps them.
    (out or console()).print(Group(*parts), soft_wrap=True)


def drawn(table: Table) -> Drawn:
    """A table; the rows of its parts are set in."""
    made = Drawn(
        title=Text(table.title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    for column in table.columns:
        side: Literal["left", "right"] = "right" if column.numeric else "left"
        style = "bold" * column.strong
        made.add_column(column.title, justify=side, style=style, no_wrap=column.numeric)
    for row in table.rows:
        cells = [Text(str(x), style="bold red" * x.alarm) for x in row.cells]
        if table.part and row.style != "part":
            cells[0] = Text("  ") + cells[0]
        made.add_row(*cells, style={"part": "bold", "dim": "dim"}.get(row.style, ""))
    return made
