"""The plots of a report: which there are, in reading order, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neurozsl.report import figures
from neurozsl.report.figures import drawing
from neurozsl.report.figures.chip import has_limits
from neurozsl.report.figures.energy import split_rows
from neurozsl.report.schema import Placement, Raster, Report, RunReport
from neurozsl.report.show import columns
from neurozsl.report.show.plot import Plot, finish, style


def plots(report: Report) -> tuple[Plot, ...]:
    """Every plot that the report has numbers for, in reading order."""
    with style():
        return tuple(finish(name, *drawn) for name, drawn in _drawn(report))


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
    groups = columns.energy_groups(report)
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
    every = plots(report) if drawn is None else drawn
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(path for plot in every for path in plot.write(folder))


def write_raster(raster: Raster, path: Path) -> Path:
    """Write the raster of one sample alone, as SVG, or as PNG where `path` ends so."""
    with style():
        plot = finish("raster", *figures.raster(raster))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(plot.png())
    else:
        path.write_text(plot.svg_file, encoding="utf-8")
    return path
