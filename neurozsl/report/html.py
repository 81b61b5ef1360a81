"""`RunReport` -> one static HTML file: no script, no external resource, names escaped.

A number is a `<data value="..." data-key="path.in.the.json">` element that holds the exact value of
`report.json`, so a program can compare the two; the tests do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from neurozsl.report import placement, reading
from neurozsl.report import quantities as q
from neurozsl.report.files import replace_text
from neurozsl.report.plots import Plot, plots, write_plots
from neurozsl.report.schema import RunReport, to_json

FORMATS: dict[str, Callable[[Any], str]] = {
    "percent": q.percent,
    "share": q.share,
    "count": q.count,
    "joules": lambda x: q.si(x, "J"),
    "seconds": lambda x: q.si(x, "s"),
    "number": lambda x: q.MISSING if x is None else f"{x:g}",
}


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote."""

    html: Path
    json: Path
    plots: tuple[Path, ...] = ()


def write_report(
    report: RunReport, out_html: Path, *, plot_folder: Path | None = None
) -> ReportFiles:
    """Write the page, the same report as JSON beside it (`r.html`, `r.json`), and plot files.

    Each file appears complete or not at all.

    Args:
        report: what to write.
        out_html: the page; its folder is made.
        plot_folder: where the plots go as SVG and PNG files; None writes none.
    """
    out_html.parent.mkdir(parents=True, exist_ok=True)
    out_json = out_html.with_suffix(".json")
    drawn = plots(report)
    page = render(report, drawn)
    replace_text(out_json, to_json(report))
    replace_text(out_html, page)
    files = () if plot_folder is None else write_plots(report, plot_folder, drawn=drawn)
    return ReportFiles(out_html, out_json, files)


def render(report: RunReport, drawn: tuple[Plot, ...] | None = None) -> str:
    """The page as text."""
    drawn = plots(report) if drawn is None else drawn
    return _template().render(
        report=report,
        verdict=report.verdict,
        headline=reading.headline(report),
        reading=reading.reading(report),
        mean_rate=reading.spike_rate(report),
        # Our own SVG text, its labels escaped by matplotlib and `svg.titled`.
        plots={x.name: Markup(x.svg) for x in drawn},
        titles={x.name: x.title for x in drawn},
        interval=reading.interval,
        core_groups=placement.groups,
        data=_data,
        any_json=_any,
    )


def _data(key: str, value: float | None, kind: str) -> Markup:
    """One number: exact for programs, rounded for people."""
    text = FORMATS[kind](value)
    if value is None:
        return Markup('<span class="missing">{}</span>').format(text)
    return Markup('<data value="{}" data-key="{}">{}</data>').format(repr(value), key, text)


def _any(value: object) -> str:
    """An option value as text."""
    if isinstance(value, dict):
        return ", ".join(f"{k}={_any(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_any, value))
    return str(value)


@cache
def _template() -> Template:
    """The template beside this file, its style sheet put in."""
    folder = resources.files("neurozsl.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(share=q.share, count=q.count)
    environment.globals["style"] = Markup((folder / "style.css").read_text(encoding="utf-8"))
    return environment.from_string((folder / "template.html.j2").read_text(encoding="utf-8"))
