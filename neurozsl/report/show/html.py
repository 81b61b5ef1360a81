"""A report of either kind -> one static HTML file: no script, no external resource, names escaped.

A number is a `<data value="..." data-key="path.in.the.json">` element that holds the exact value of
`report.json`, so a program can compare the two; the tests do. `SECTIONS` is the order of the page:
each has a template in `page/` and is there only where the report has something for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurozsl.core import quantities as q
from neurozsl.report.schema import Confusion, Report, RunReport
from neurozsl.report.show import columns, placement, reading
from neurozsl.report.show.plot import Plot
from neurozsl.report.show.plots import plots

_NUMBER_AND_UNIT = re.compile(r"(\d) (%|[fpnµmkMGT]?[JsWB]\b|times\b|points\b)")
_CONFUSED = 12  # pairs of classes that are listed


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor (and template), its title, and when it is there."""

    name: str
    title: str
    has: Callable[[Report], bool]


def _any(*fields: str) -> Callable[[Report], bool]:
    """Whether the report has one of these fields, and it is not empty."""
    return lambda report: any(bool(getattr(report, field, None)) for field in fields)


SECTIONS = (
    Section("network", "What it is, and what was assumed", _any("file")),
    Section("deployment", "What deployment costs", _any("deployment")),
    Section("layers", "What the spikes do", _any("layers")),
    Section("clip", "One sample, spike by spike", _any("raster")),
    Section("energy", "What it costs in energy", _any("energy")),
    Section("comparison", "Spikes against a dense pass", _any("comparison", "baseline")),
    Section("host", "The host part", _any("host")),
    Section("calibration", "Our figures against measured chips", _any("calibration")),
    Section("chip", "Where it lies on the chip", _any("mapping", "fits")),
    Section("classes", "Class by class", _any("classes")),
    Section("confusion", "What unseen classes are taken for", _any("confusion")),
    Section("stacking", "Calibrated stacking", _any("beta_curve")),
    Section("embedding", "The joint space", _any("embedding")),
    Section("neurobench", "NeuroBench metrics", _any("neurobench")),
    Section("verification", "Verification", lambda report: isinstance(report, RunReport)),
    Section(
        "limits",
        "Limits, stated plainly",
        lambda report: bool(report.notes or (isinstance(report, RunReport) and report.data.notes)),
    ),
    Section("origin", "How to get the same numbers", lambda _: True),
)


def render(report: Report, drawn: tuple[Plot, ...] | None = None) -> str:
    """The page as text."""
    drawn = plots(report) if drawn is None else drawn
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            run=isinstance(report, RunReport),
            verdict=report.verdict if isinstance(report, RunReport) else None,
            headline=reading.headline(report),
            paragraphs=reading.paragraphs(report),
            mean_rate=reading.spike_rate(report),
            key_row=reading.key_row(report.energy),
            expected=reading.is_estimate(report),
            sections=[x for x in SECTIONS if x.has(report)],
            # Our own SVG text, its labels escaped by matplotlib and `svg.titled`.
            plots={x.name: Markup(x.svg) for x in drawn},
            titles={x.name: x.title for x in drawn},
            tables=(columns.used(columns.MAIN, report.layers),
                    columns.used(columns.REST, report.layers)),
        )
    )  # fmt: skip


def most_confused(found: Confusion) -> list[tuple[int, int]]:
    """Places (true, predicted) of the largest counts off the diagonal, largest first."""
    size = range(len(found.classes))
    pairs = [(a, b) for a in size for b in size if a != b and found.counts[a][b]]
    return sorted(pairs, key=lambda x: -found.counts[x[0]][x[1]])[:_CONFUSED]


def data(key: str, value: float | None, kind: str) -> Markup:
    """One number: exact for programs, rounded for people."""
    text = q.FORMATS[kind](value)
    if value is None:
        return Markup('<span class="missing">{}</span>').format(text)
    return Markup('<data value="{}" data-key="{}">{}</data>').format(repr(value), key, text)


def _unbroken(text: str) -> str:
    """A number stays on the line of its unit."""
    return _NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", text)


def _text(value: object) -> str:
    """An option value as text."""
    if isinstance(value, dict):
        return ", ".join(f"{k}={_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


@cache
def _environment() -> Environment:
    """The templates in `page/`, with what they call; the style sheet is put in."""
    made = Environment(
        loader=PackageLoader("neurozsl.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(share=q.share, count=q.count, joules=q.FORMATS["joules"], text=_text)
    made.filters["unbroken"] = _unbroken
    style = (resources.files("neurozsl.report.page") / "style.css").read_text(encoding="utf-8")
    made.globals.update(
        style=Markup(style),
        data=data,
        kind=reading.kind,
        unknown=reading.unknown,
        calibrated=reading.calibrated,
        core_groups=placement.groups,
        most_confused=most_confused,
    )
    return made
