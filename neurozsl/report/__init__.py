"""A report as one value: a run or a network -> JSON, HTML page, model card, plots, tables."""

from neurozsl.report.card import card as card
from neurozsl.report.html import render as render
from neurozsl.report.plots import write_plots as write_plots
from neurozsl.report.schema import NetworkReport as NetworkReport
from neurozsl.report.schema import Report as Report
from neurozsl.report.schema import RunReport as RunReport
from neurozsl.report.schema import raster as raster
from neurozsl.report.schema import read_report as read_report
from neurozsl.report.schema import read_run_report as read_run_report
from neurozsl.report.schema import to_json as to_json
from neurozsl.report.write import ReportFiles as ReportFiles
from neurozsl.report.write import check_suffix as check_suffix
from neurozsl.report.write import write_report as write_report
