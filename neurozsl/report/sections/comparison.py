"""Spikes against a dense pass: every cost table against every other, and what follows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy import (
    DEFAULT_CHIPS,
    EnergyRow,
    SignRow,
    compare,
    mean_input_rate,
    step_times,
)
from neurozsl.report import figures
from neurozsl.report.figures.drawing import Drawn
from neurozsl.report.schema import Baseline, Comparison, Report
from neurozsl.report.sections.comparison_text import sentence
from neurozsl.report.sections.context import of_costs
from neurozsl.report.sections.costs import Costs
from neurozsl.report.sections.energy import energy_table
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section


@of_costs
def _fill(found: Costs) -> Mapping[str, Any]:
    lengths = () if found.devices.step_s is None else (found.devices.step_s,)
    return {
        "baseline": dense_baseline(found.counts, found.rows),
        "comparison": comparison(
            found.counts,
            found.rows,
            chips=found.devices.chips,
            lengths_s=lengths,
            window_s=found.devices.window_s,
        ),
    }


def dense_baseline(counts: Counts, rows: Iterable[EnergyRow]) -> Baseline:
    """The same layers as an artificial network: one dense pass per inference."""
    return Baseline(
        name="the same layers without spikes, one pass",
        description=(
            "every weight multiplied once per inference on time-averaged inputs: at 45 nm "
            "arithmetic alone, on V100 and H100 the board at its peak rate (both lower bounds), on "
            "the others a published figure per operation"
        ),
        macs=counts.total("dense") / max(counts.ran, 1),
        energy=tuple(row for row in rows if row.method == "dense_pass"),
    )


def comparison(
    counts: Counts,
    rows: Iterable[EnergyRow],
    *,
    chips: Sequence[str | Chip] = DEFAULT_CHIPS,
    lengths_s: Sequence[float] = (),
    window_s: float | None = None,
) -> Comparison | None:
    """All cost tables side by side; None where there is no dense or no spiking one.

    rows: of `estimate_all` on these counts. chips: of `rows`; those with static power show what the
    length of a step does. lengths_s: further ones, e.g. one that was asked for. window_s: how long
    the input of one inference lasts, for chips without steps.
    """
    rows = tuple(rows)
    signs = compare(counts, rows)
    paces = step_times(counts, chips, lengths_s=lengths_s, window_s=window_s)
    if not signs:
        return None
    text = sentence(signs, {row.key: row for row in rows}, mean_input_rate(counts), paces)
    return Comparison(sentence=text, rows=signs, step_times=paces)


def _names(report: Report) -> dict[str, EnergyRow]:
    dense = () if report.baseline is None else report.baseline.energy
    return {row.key: row for row in (*report.energy, *dense)}


def _columns(rows: Mapping[str, EnergyRow]) -> tuple[t.Column, ...]:
    def spiking(x: SignRow, _: str) -> t.Cell:
        weak = ["with static"] * x.with_static + ["as-if"] * rows[x.spiking].as_if
        return t.say(rows[x.spiking].name, aside=", ".join(weak))

    def rate(x: SignRow, key: str) -> t.Cell:
        found = t.Number(x.break_even_rate, f"{key}.break_even_rate", "share")
        return t.say("none" if x.break_even_rate is None else found)

    return (
        t.Column("spiking", spiking),
        t.number("energy", "spiking_joules", "joules"),
        t.Column("dense pass", lambda x, _: t.say(rows[x.dense].name)),
        t.number("energy of the pass", "dense_joules", "joules"),
        t.number("ratio", "ratio", "ratio", strong=True),
        t.Column("interval", lambda x, key: t.say(*t.bounds(x, key, "ratio", "ratio"))),
        t.Column("cheaper", lambda x, _: t.say(t.sign(x.advantage))),
        t.Column("break-even rate", rate, numeric=True),
    )


STEP_TIMES = (
    t.words("device", "name"),
    t.number("step", "step_s", "seconds"),
    t.number("latency", "latency_s", "seconds"),
    t.number("dynamic", "dynamic_joules", "joules"),
    t.number("static", "static_joules", "joules"),
)


def _tables(report: Report) -> Iterator[t.Table]:
    found, base = report.comparison, report.baseline
    if found is not None:
        yield t.table(
            "pairs",
            "Spiking network against one dense pass, by pair of cost tables",
            _columns(_names(report)),
            found.rows,
            key="comparison.rows",
            on=t.PAPER,
            notes=("Break-even: mean spike rate of the inputs at which both cost the same.",),
        )
        title, key = "Energy by length of a step, per inference", "comparison.step_times"
        yield t.table("step_times", title, STEP_TIMES, found.step_times, key=key, on=("page",))
    if base is not None:
        yield energy_table(base.name, base.energy, "baseline.energy")


def _advantage(report: Report) -> Drawn | None:
    rows = () if report.comparison is None else report.comparison.rows
    names = {key: row.name for key, row in _names(report).items()}
    return figures.advantage(rows, names) if rows else None


def _step_time(report: Report) -> Drawn | None:
    rows = () if report.comparison is None else report.comparison.step_times
    return figures.step_time(rows) if rows else None


def _lines(report: Report) -> Iterator[Line]:
    if report.comparison is not None:
        yield Line(report.comparison.sentence)
    if (base := report.baseline) is not None:
        macs = q.count(base.macs)
        yield Line(f"dense pass: {base.name}: {base.description} ({macs} MACs)", ("card",))


SECTION = Section(
    "comparison", "Spikes against a dense pass", ("comparison", "baseline"),
    fill=_fill, tables=_tables, lines=_lines,
    figures={"advantage": _advantage, "step_time": _step_time},
)  # fmt: skip
