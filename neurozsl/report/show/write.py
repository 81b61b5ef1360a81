"""A report of either kind -> its files: the suffix says which.

`r.html` is the page, `r.md` the model card, each with the document beside it as `r.json`; `r.json`
is the document alone.
"""

from dataclasses import dataclass
from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.report.schema import Report, to_json
from neurozsl.report.show.card import card
from neurozsl.report.show.files import check_file, is_replaceable, replace_texts, writing
from neurozsl.report.show.html import render
from neurozsl.report.show.plots import plots, write_plots
from neurozsl.report.show.section import Sections

SUFFIXES = {".html": "a page", ".md": "a model card", ".json": "the document alone"}


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote; `page` is the file that was asked for."""

    page: Path
    json: Path
    plots: tuple[Path, ...] = ()


def check_page(path: Path) -> None:
    """Refuse a page that cannot be written, before anything is computed.

    Raises:
        BadInput: the suffix is not one of `SUFFIXES`, the JSON that goes beside the page would
            replace a file that is no report, or the place takes no file.
    """
    if path.suffix not in SUFFIXES:
        known = ", ".join(f"{suffix} ({what})" for suffix, what in SUFFIXES.items())
        ending = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise BadInput(f"report '{path}': the name {ending}, expected one of {known}")
    beside = path.with_suffix(".json")
    if beside != path and not is_replaceable(beside):
        raise BadInput(
            f"report '{path}': its numbers go into '{beside}', which is there and no report; give "
            "the page another name"
        )
    check_file(path)


def write_report(
    report: Report, sections: Sections, path: Path | str, *, plot_folder: Path | None = None
) -> ReportFiles:
    """Write the page or the card with its JSON, or the JSON alone, and plot files.

    The files appear complete or not at all; the folder of `path` is made. plot_folder: where the
    plots go as SVG and PNG files; None writes none.

    Raises:
        BadInput: another suffix, or the files cannot be written.
    """
    path = Path(path)
    check_page(path)
    beside = path.with_suffix(".json")
    texts = {beside: to_json(report)}
    asked = path.suffix == ".html" or plot_folder is not None
    drawn = plots(report, sections) if asked else ()
    if path.suffix == ".html":
        texts[path] = render(report, sections, drawn)
    elif path.suffix == ".md":
        texts[path] = card(report, sections)
    with writing(path):
        replace_texts(texts)
        files = () if plot_folder is None else write_plots(drawn, plot_folder)
    return ReportFiles(path, beside, files)
