"""A report of either kind -> compact tables for people at a terminal.

They go to stderr (stdout belongs to `--json`). Rich decides about colour: plain text when stderr is
not a terminal or NO_COLOR is set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from neurozsl.core import quantities as q
from neurozsl.report.schema import Energy, Layer, NetworkReport, Report, RunReport
from neurozsl.report.show import columns, reading

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


def print_report(report: Report, out: Console | None = None) -> None:
    """Print the verdict or the file, then tables: accuracy per step, layers, energy by device."""
    # Sentences are not broken into lines: they can be searched for, and the terminal wraps them.
    (out or console()).print(summary(report), soft_wrap=True)


def summary(report: Report) -> Group:
    """What `print_report` prints."""
    parts: list[RenderableType] = []
    if isinstance(report, RunReport):
        style = _VERDICT_STYLE[report.verdict]
        parts += [Text.assemble((report.verdict, style), "  ", reading.headline(report)), Text()]
        parts += [_accuracy(report), Text()]
    elif isinstance(report, NetworkReport):
        parts += [Text(f"{report.file}: {reading.headline(report)}", style="bold"), Text()]
    motion: RenderableType = Text(reading.NOTHING_SPIKES)
    if report.layers:
        title = "Motion branch" if isinstance(report, RunReport) else "Layers"
        motion = layers_table(f"{title}, per inference", report.layers)
    parts += [motion, Text(), energy_table(columns.energy_groups(report)), Text()]
    parts += [Text(line) for line in _lines(report)]
    return Group(*parts)


def _lines(report: Report) -> Iterator[str]:
    """What follows from the tables, one sentence a line; what fits; what was assumed."""
    if report.comparison is not None:
        yield report.comparison.sentence
    unknown = reading.unknown(report.energy)
    if unknown:
        yield unknown
    yield from (f"warning: {names}: {text}" for names, text in reading.warnings(report.energy))
    yield from (f"{fit.chip}: {reading.fit(fit)}" for fit in report.fits)
    if isinstance(report, NetworkReport):
        for word, texts in (
            ("note", report.input_notes),
            ("repaired", report.repairs),
            ("assumed", report.assumptions),
            ("note", report.notes),
        ):
            yield from (f"{word}: {text}" for text in texts)


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0)
    )


def _accuracy(report: RunReport) -> Table:
    """Scores per deployment step; the scores alone where no step was recorded."""
    table = _table("Accuracy")
    table.add_column("step")
    table.add_column("motion backend")
    for name in ("S", "U", "HM", "ZSL"):
        table.add_column(name, justify="right", style="bold" if name == "HM" else "")
    for x in report.deployment:
        table.add_row(Text(x.step), Text(x.backend), *columns.scores(x))
    if not report.deployment:
        backend = Text(report.host.motion_backend)
        table.add_row(Text("deployed"), backend, *columns.scores(report.accuracy))
    if report.accuracy.chance is not None:
        chance = q.percent(report.accuracy.chance)
        table.add_row("chance (95th percentile)", "", "", "", chance, "", style="dim")
    return table


def layers_table(title: str, layers: Sequence[Layer]) -> Table:
    """Size, spike rate and synaptic operations of every layer."""
    table = _table(title)
    table.add_column("layer")
    routed = any(x.messages is not None for x in layers)
    for name in ("neurons", "spike rate", "SynOps", "of dense", *["messages"] * routed):
        table.add_column(name, justify="right")
    for x in layers:
        share = q.share(x.synops / x.dense) if x.dense else q.MISSING
        rate = Text(q.share(x.spike_rate), style="bold red" if x.spikes == 0 else "")
        cells = (q.count(x.neurons), rate, q.count(x.synops), share)
        table.add_row(Text(x.name), *cells, *[q.count(x.messages)] * routed)
    return table


def energy_table(groups: Sequence[tuple[str, Sequence[Energy]]]) -> Table:
    """Every device, grouped by the part that it runs; static energy only where one is known."""
    static = any(row.static_joules is not None for _, rows in groups for row in rows)
    table = _table("Energy per inference")
    table.add_column("device")
    table.add_column("dynamic", justify="right", no_wrap=True)
    table.add_column("interval")
    if static:
        table.add_column("static", justify="right", no_wrap=True)
    table.add_column("kind")
    for part, rows in groups:
        if rows:
            table.add_row(Text(part, style="bold"))
        for row in rows:
            cells: list[Text | str] = [Text(f"  {row.name}")]
            cells += [
                q.si(row.joules, "J"),
                reading.interval(row).removesuffix(", between sources"),
            ]
            cells += [q.si(row.static_joules, "J")] * static
            table.add_row(*cells, reading.kind(row).removeprefix("estimate, "))
    return table
