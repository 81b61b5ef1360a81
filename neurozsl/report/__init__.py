"""A report as one value: a run or a network -> JSON, HTML page, model card, plots, tables.

The document stands in the middle: what fills it knows no layout, what shows it reads nothing else::

    fill     build     a run       -> RunReport       one pass over the test splits
             network   a .nir file -> NetworkReport   one run on the input that is given
             uniform   layer sizes -> NetworkReport   before there is a network, expected values
             rooms/    the parts that these join, one file per question (what does it cost, ...)
             rows, comparison: counts and joules of `hardware` as rows, and what follows from them
    hold     schema/   the fields, one file per part; a `Report` is of kind run or network
    show     write     the suffix says which: .html (html, page/), .md (card), .json
             terminal  tables for people; reading: the sentences; quantities: how numbers look
             plots     which figures there are; figures/ draws, plot and svg make it fit a page
             columns, placement: tables that page, card and terminal share
    beside   compare, compare_text: several reports in one table
             pareto_figure, network_table: the figure of a study, the README's table of files
"""

from neurozsl.report.schema import NetworkReport as NetworkReport
from neurozsl.report.schema import Report as Report
from neurozsl.report.schema import RunReport as RunReport
from neurozsl.report.schema import raster as raster
from neurozsl.report.schema import read_report as read_report
from neurozsl.report.schema import read_run_report as read_run_report
from neurozsl.report.schema import to_json as to_json
from neurozsl.report.show.card import card as card
from neurozsl.report.show.html import render as render
from neurozsl.report.show.plots import write_plots as write_plots
from neurozsl.report.show.write import ReportFiles as ReportFiles
from neurozsl.report.show.write import check_page as check_page
from neurozsl.report.show.write import write_report as write_report
