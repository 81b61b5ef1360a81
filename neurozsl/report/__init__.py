"""One run as one value: `RunReport` -> JSON, a static HTML page, plots and terminal tables."""

from neurozsl.report.html import ReportFiles as ReportFiles
from neurozsl.report.html import render as render
from neurozsl.report.html import write_report as write_report
from neurozsl.report.plots import write_plots as write_plots
from neurozsl.report.schema import RunReport as RunReport
from neurozsl.report.schema import raster as raster
from neurozsl.report.schema import read_report as read_report
from neurozsl.report.schema import read_run_report as read_run_report
from neurozsl.report.schema import to_json as to_json
