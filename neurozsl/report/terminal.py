"""`RunReport` -> compact tables for people at a terminal, on stderr (stdout belongs to `--json`).

Rich decides about colour: plain text when stderr is not a terminal or NO_COLOR is set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from neurozsl.report import quantities as q
from neurozsl.report import reading
from neurozsl.report.schema import Energy, Layer, RunReport, Scores

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


def print_report(report: RunReport, out: Console | None = None) -> None:
    """Print the verdict and three tables: accuracy per step, layers, energy by device."""
    (out or console()).print(summary(report))


def summary(report: RunReport) -> Group:
    """What `print_report` prints."""
    head = Text.assemble(
        (report.verdict, _VERDICT_STYLE[report.verdict]), "  ", reading.headline(report)
    )
    parts: list[RenderableType] = [head, Text()]
    groups = [("motion", report.energy)] if report.energy else []
    groups.append(("host", report.host.energy))
    if report.baseline is not None:
        groups.insert(1, (report.baseline.name, report.baseline.energy))
    motion: RenderableType = Text(reading.NOTHING_SPIKES)
    if report.layers:
        motion = layers_table("Motion branch, per inference", report.layers)
    parts += [_accuracy(report), Text(), motion, Text(), energy_table(groups)]
    return Group(*parts)


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
        table.add_row(Text(x.step), Text(x.backend), *_scores(x))
    if not report.deployment:
        table.add_row(Text("deployed"), Text(report.host.motion_backend), *_scores(report.accuracy))
    if report.accuracy.chance is not None:
        chance = q.percent(report.accuracy.chance)
        table.add_row("chance (95th percentile)", "", "", "", chance, "", style="dim")
    return table


def _scores(x: Scores) -> tuple[str, str, str, str]:
    return q.percent(x.S), q.percent(x.U), q.percent(x.HM), q.percent(x.ZSL)


def layers_table(title: str, layers: Sequence[Layer]) -> Table:
    """Size, spike rate and synaptic operations of every layer."""
    table = _table(title)
    table.add_column("layer")
    for name in ("neurons", "spike rate", "SynOps", "of dense"):
        table.add_column(name, justify="right")
    for x in layers:
        share = q.share(x.synops / x.dense) if x.dense else q.MISSING
        rate = Text(q.share(x.spike_rate), style="bold red" if x.spikes == 0 else "")
        table.add_row(Text(x.name), q.count(x.neurons), rate, q.count(x.synops), share)
    return table


def energy_table(groups: Sequence[tuple[str, Sequence[Energy]]]) -> Table:
    """Every device, grouped by the part that it runs."""
    table = _table("Energy per inference")
    table.add_column("part")
    table.add_column("device")
    table.add_column("energy", justify="right")
    table.add_column("published interval")
    table.add_column("kind")
    for part, rows in groups:
        for place, row in enumerate(rows):
            table.add_row(Text("" if place else part), *_energy_row(row))
    return table


def _energy_row(row: Energy) -> tuple[Text, str, str, str]:
    kind = "estimate" if row.estimate else "measured"
    if row.inherited:
        kind += ", inherited"
    return Text(row.name), q.si(row.joules, "J"), reading.interval(row), kind
