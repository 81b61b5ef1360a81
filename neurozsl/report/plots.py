"""The plots of a report: which there are, and their forms.

Each is an inline SVG for the HTML page (colours as CSS variables, so they follow dark mode; ids
unique per figure; no metadata, no namespace, same bytes every time) and an SVG + PNG file.

Text stays text (`svg.fonttype` none), which halves the size and lets readers search it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from neurozsl.report import figures, svg
from neurozsl.report.figures import drawing
from neurozsl.report.figures.chip import has_limits
from neurozsl.report.figures.energy import split_rows
from neurozsl.report.schema import Placement, Raster, Report, RunReport

_FONT = "DejaVu Sans"  # comes with matplotlib: the same measures everywhere
_CSS_VARIABLES = {
    drawing.INK: "--ink",
    drawing.SOFT: "--soft",
    drawing.GRID: "--grid",
    drawing.BLUE: "--blue",
    drawing.ORANGE: "--orange",
    drawing.GREEN: "--green",
    drawing.PURPLE: "--purple",
    "#ffffff": "--page",
}

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neurozsl",
    "path.simplify": False,
    "text.parse_math": False,  # a '$' in a class or layer name is a '$'
    "font.family": "sans-serif",
    "font.sans-serif": [_FONT],
    "font.size": 10,
    "text.color": drawing.INK,
    "axes.edgecolor": drawing.SOFT,
    "axes.labelcolor": drawing.INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": drawing.SOFT,
    "ytick.color": drawing.SOFT,
    "xtick.labelcolor": drawing.INK,
    "ytick.labelcolor": drawing.INK,
    "grid.color": drawing.GRID,
    "grid.linewidth": 0.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Plot:
    """One finished plot: `title` and `description` are read by people who do not see it."""

    name: str
    title: str
    description: str
    svg: str  # for inlining in HTML
    svg_file: str  # stands alone
    figure: Figure = field(compare=False, repr=False)

    def png(self) -> bytes:
        """The plot as a picture."""
        image = io.BytesIO()
        with _style():
            self.figure.savefig(image, format="png", dpi=160, metadata={"Software": None})
        return image.getvalue()


def plots(report: Report) -> tuple[Plot, ...]:
    """Every plot that the report has numbers for, in reading order."""
    with _style():
        return tuple(_finish(name, *drawn) for name, drawn in _drawn(report))


def _drawn(report: Report) -> Iterator[tuple[str, drawing.Drawn]]:
    run = report if isinstance(report, RunReport) else None
    if run is not None and run.deployment:
        yield "deployment", figures.deployment(run.deployment)
    if report.raster is not None and report.raster.layers:
        yield "raster", figures.raster(report.raster)
    if report.layers:
        yield "spike_rate", figures.spike_rate(report.layers, report.activity)
    if any(row.spikes for row in report.activity):
        neurons = {x.name: x.neurons for x in report.layers}
        yield "activity", figures.activity(report.activity, neurons)
    groups = energy_groups(report)
    if groups:
        yield "energy", figures.energy(groups)
    split = split_rows(report.energy)
    if split:
        yield "energy_split", figures.energy_split(split)
    if report.comparison is not None and report.comparison.rows:
        yield "advantage", figures.advantage(report.comparison.rows)
    if report.comparison is not None and report.comparison.step_times:
        yield "step_time", figures.step_time(report.comparison.step_times)
    placed = shown_placement(report)
    if placed is not None and has_limits(placed):
        yield "cores", figures.cores(placed)
    if run is not None and run.confusion is not None and run.confusion.classes:
        yield "confusion", figures.confusion(run.confusion)
    if run is not None and run.beta_curve is not None and run.beta_curve.points:
        yield "beta_curve", figures.beta_curve(run.beta_curve)
    if run is not None and run.embedding is not None and run.embedding.classes:
        yield "embedding", figures.embedding(run.embedding)


def energy_groups(report: Report) -> list[tuple[str, tuple[Any, ...]]]:
    """Energy rows by what they run; groups without rows are left out."""
    run = report if isinstance(report, RunReport) else None
    groups = [("motion branch" if run else "network", report.energy)]
    if report.baseline is not None:
        groups.append((report.baseline.name, report.baseline.energy))
    if run is not None:
        groups.append(("host part", run.host.energy))
    return [(name, rows) for name, rows in groups if rows]


def shown_placement(report: Report) -> Placement | None:
    """The placement that is drawn: that of the bundle, else the first chip that it fits."""
    if isinstance(report, RunReport) and report.mapping is not None:
        return report.mapping
    return next((x.placement for x in report.fits if x.placement is not None), None)


def write_plots(
    report: Report, folder: Path, *, drawn: tuple[Plot, ...] | None = None
) -> tuple[Path, ...]:
    """Write each plot as `NAME.svg` and `NAME.png` into `folder`; returns the paths.

    Args:
        report: where the numbers come from.
        folder: made where missing.
        drawn: what `plots(report)` gave, to draw only once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for plot in plots(report) if drawn is None else drawn:
        paths += [folder / f"{plot.name}.svg", folder / f"{plot.name}.png"]
        paths[-2].write_text(plot.svg_file, encoding="utf-8")
        paths[-1].write_bytes(plot.png())
    return tuple(paths)


def write_raster(raster: Raster, path: Path) -> Path:
    """Write the raster of one sample alone, as SVG, or as PNG where `path` ends so."""
    with _style():
        plot = _finish("raster", *figures.raster(raster))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(plot.png())
    else:
        path.write_text(plot.svg_file, encoding="utf-8")
    return path


@contextmanager
def _style() -> Iterator[None]:
    """Our settings alone, whatever the user's matplotlibrc says; names may hold any script."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def _finish(name: str, figure: Figure, title: str, description: str) -> Plot:
    """Render a figure to its forms."""
    text = io.StringIO()
    no_metadata = {"Creator": None, "Date": None, "Format": None, "Type": None}
    figure.savefig(text, format="svg", metadata=no_metadata)
    whole = svg.titled(svg.rounded(text.getvalue()), name, title, description)
    inline = svg.inlined(whole, _CSS_VARIABLES, _FONT)
    return Plot(name, title, description, inline, whole, figure)
