"""The plots of a report: those of its sections, in reading order, and how they are written."""

from pathlib import Path

from neurozsl.core.folders import whole_file
from neurozsl.report import figures
from neurozsl.report.schema import Raster, Report
from neurozsl.report.show.plot import Plot, finish, style
from neurozsl.report.show.section import Sections, there


def plots(report: Report, sections: Sections) -> tuple[Plot, ...]:
    """Every plot that the report has numbers for, in reading order."""
    with style():
        return tuple(
            finish(name, *drawn)
            for section in there(sections, report)
            for name, draw in section.figures.items()
            if (drawn := draw(report)) is not None
        )


def write_plots(drawn: tuple[Plot, ...], folder: Path) -> tuple[Path, ...]:
    """Write each plot as `NAME.svg` and `NAME.png` into `folder`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(path for plot in drawn for path in plot.write(folder))


def write_raster(raster: Raster, path: Path) -> Path:
    """Write the raster of one sample alone, as SVG, or as PNG where `path` ends so."""
    with style():
        plot = finish("raster", *figures.raster(raster))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        if path.suffix == ".png":
            part.write_bytes(plot.png())
        else:
            part.write_text(plot.svg_file, encoding="utf-8")
    return path
