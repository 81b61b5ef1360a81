"""A report as one value: a run or a network -> JSON, HTML page, model card, plots, tables.

The document stands in the middle: what fills it knows no layout, what shows it reads nothing else::

    fill     sections/  build     a run       -> RunReport       one pass over the test splits
                        network   a .nir file -> NetworkReport   one run on the input that is given
                        uniform   layer sizes -> NetworkReport   expected values, before a network
             all three end in `document`, to which every section of `registry` gives its part
    hold     schema/    the fields; values of `hardware` as they are. A `Report` is of kind run or
                        network; version_2: what a comparison reads of earlier documents
    show     show/      tables, section: what one section shows; page, card and terminal render it
                        write: the suffix says which: .html (html, page/), .md (card), .json
                        plots: the figures; figures/ draws, plot and svg make them fit a page
                        compare, compare_text: several reports in one table

The functions here show a report with the sections that are registered.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from neurozsl.report.schema import NetworkReport as NetworkReport
from neurozsl.report.schema import Report as Report
from neurozsl.report.schema import RunReport as RunReport
from neurozsl.report.schema import raster as raster
from neurozsl.report.schema import read_report as read_report
from neurozsl.report.schema import read_run_report as read_run_report
from neurozsl.report.schema import to_json as to_json
from neurozsl.report.sections import registry
from neurozsl.report.show import card as _card
from neurozsl.report.show import html, terminal, write
from neurozsl.report.show import plots as _plots
from neurozsl.report.show.plot import Plot
from neurozsl.report.show.write import ReportFiles as ReportFiles
from neurozsl.report.show.write import check_page as check_page


def render(report: Report) -> str:
    """The page as text."""
    return html.render(report, registry.SECTIONS)


def card(report: Report) -> str:
    """The model card as text."""
    return _card.card(report, registry.SECTIONS)


def plots(report: Report) -> tuple[Plot, ...]:
    """Every plot that the report has numbers for, in reading order."""
    return _plots.plots(report, registry.SECTIONS)


def print_report(report: Report, out: Console | None = None) -> None:
    """Print the tables and sentences, by default to stderr."""
    terminal.print_report(report, registry.SECTIONS, out)


def write_report(report: Report, path: Path, *, plot_folder: Path | None = None) -> ReportFiles:
    """Write the page or the card with its JSON, or the JSON alone, and plot files.

    Args:
        report: what to write.
        path: ends in .html, .md or .json; its folder is made.
        plot_folder: where the plots go as SVG and PNG files; None writes none.

    Raises:
        BadInput: another suffix, or the files cannot be written.
    """
    return write.write_report(report, path, registry.SECTIONS, plot_folder=plot_folder)
