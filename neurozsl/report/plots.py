"""Four plots of a `RunReport`: spike raster, spike rate, energy by device, scores per step.

Each is an inline SVG for the HTML page (colours as CSS variables, so they follow dark mode; ids
unique per figure; no metadata, no namespace, same bytes every time) and an SVG + PNG file.

Text stays text (`svg.fonttype` none), which halves the size and lets readers search it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from neurozsl.report import figures, svg
from neurozsl.report.schema import Raster, RunReport

_FONT = "DejaVu Sans"  # comes with matplotlib: the same measures everywhere
_CSS_VARIABLES = {
    figures.INK: "--ink",
    figures.SOFT: "--soft",
    figures.GRID: "--grid",
    figures.BLUE: "--blue",
    figures.ORANGE: "--orange",
    figures.GREEN: "--green",
    figures.PURPLE: "--purple",
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
    "text.color": figures.INK,
    "axes.edgecolor": figures.SOFT,
    "axes.labelcolor": figures.INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": figures.SOFT,
    "ytick.color": figures.SOFT,
    "xtick.labelcolor": figures.INK,
    "ytick.labelcolor": figures.INK,
    "grid.color": figures.GRID,
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
    png: bytes


def plots(report: RunReport) -> tuple[Plot, ...]:
    """Every plot that the report has numbers for, in reading order."""
    made = []
    with _style():
        if report.deployment:
            made.append(_finish("deployment", *figures.deployment(report)))
        if report.raster is not None and report.raster.layers:
            made.append(_finish("raster", *figures.raster(report.raster)))
        if report.layers:
            made.append(_finish("spike_rate", *figures.spike_rate(report)))
        if report.energy:
            made.append(_finish("energy", *figures.energy(report)))
    return tuple(made)


def write_plots(
    report: RunReport, folder: Path, *, drawn: tuple[Plot, ...] | None = None
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
        paths[-1].write_bytes(plot.png)
    return tuple(paths)


def write_raster(raster: Raster, path: Path) -> Path:
    """Write the raster of one sample alone, as SVG, or as PNG where `path` ends so."""
    with _style():
        plot = _finish("raster", *figures.raster(raster))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(plot.png)
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
    """Render a figure to its three forms."""
    text = io.StringIO()
    no_metadata = {"Creator": None, "Date": None, "Format": None, "Type": None}
    figure.savefig(text, format="svg", metadata=no_metadata)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=160, metadata={"Software": None})
    whole = svg.titled(text.getvalue(), name, title, description)
    inline = svg.inlined(whole, _CSS_VARIABLES, _FONT)
    return Plot(name, title, description, inline, whole, image.getvalue())
