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

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Concatenate, ParamSpec, TypeVar

from neurozsl.report.schema import NetworkReport as NetworkReport
from neurozsl.report.schema import Report as Report
from neurozsl.report.schema import RunReport as RunReport
from neurozsl.report.schema import raster as raster
from neurozsl.report.schema import read_report as read_report
from neurozsl.report.schema import to_json as to_json
from neurozsl.report.sections import registry
from neurozsl.report.show import card as _card
from neurozsl.report.show import html, terminal, write
from neurozsl.report.show import plots as _plots
from neurozsl.report.show.section import Sections
from neurozsl.report.show.write import ReportFiles as ReportFiles
from neurozsl.report.show.write import check_page as check_page

P = ParamSpec("P")
R = TypeVar("R")


def _registered(
    show: Callable[Concatenate[Report, Sections, P], R],
) -> Callable[Concatenate[Report, P], R]:
    """The function with the sections that are registered when it is called."""

    @wraps(show)
    def shown(report: Report, /, *args: P.args, **more: P.kwargs) -> R:
        return show(report, registry.SECTIONS, *args, **more)

    takes = [x for x in signature(show).parameters.values() if x.name != "sections"]
    shown.__signature__ = signature(show).replace(parameters=takes)  # type: ignore[attr-defined]
    return shown


render = _registered(html.render)
card = _registered(_card.card)
plots = _registered(_plots.plots)
print_report = _registered(terminal.print_report)
write_report = _registered(write.write_report)
