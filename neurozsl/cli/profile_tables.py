"""What `neurozsl profile` prints and writes: one report, or several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import emit, next_commands, say
from neurozsl.cli.profile_options import PriceOptions, Work
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, place

if TYPE_CHECKING:
    from neurozsl.report.show.compare import ComparedReport


def profile_report(report: Path, *, prices: PriceOptions) -> Work:
    """A report that was made earlier.

    Raises:
        BadInput: it is damaged or not there, or would have to be priced again.
    """
    from neurozsl.report.schema import read_report

    _priced(report, prices)
    read = read_report(report)
    return lambda: (read, (command("profile", report, " --report r.html"),))


def compared_report(report: Path, *, prices: PriceOptions) -> Work:
    """A report that was made earlier, of this version or the one before, in a table of several.

    Raises:
        BadInput: as `profile_report`.
    """
    from neurozsl.report.schema.version_2 import read_for_comparison

    _priced(report, prices)
    read = read_for_comparison(report)
    return lambda: (read, ())


def _priced(report: Path, prices: PriceOptions) -> None:
    asked = ["--device"] * bool(prices.device) + ["--step-time"] * (prices.step_time is not None)
    if asked:
        raise BadInput(
            f"{' and '.join(asked)}: {report} was priced when it was made; give the run, bundle or "
            ".nir file that it was made from"
        )


def one(work: Work, page: Path | None, as_json: bool) -> None:
    """Write the page, then JSON on stdout or tables with the commands that can follow."""
    from neurozsl.report import print_report, write_report
    from neurozsl.report.schema import to_json

    report, after = work()
    if page is not None:
        _say_written("report", page, write_report(report, page).json)
    if as_json:
        emit(to_json(report))
        return
    print_report(report)
    next_commands(*after)


def side_by_side(
    what: list[Path], works: list[Work], page: Path | None, as_json: bool, options: str
) -> None:
    """Profile all of them and show one table; options: as given, to paste."""
    from neurozsl.report.schema import to_json
    from neurozsl.report.show import compare, compare_text

    found: list[ComparedReport] = []
    for path, work in zip(what, works, strict=True):
        say(f"profiling {path}")
        found.append(compare.compared(str(path), work()[0]))
    compared = compare.compare(found)
    if page is not None:
        _say_written("comparison", page, compare_text.write_comparison(compared, page))
    if as_json:
        emit(to_json(compared))
        return
    compare_text.print_comparison(compared)
    names = " ".join(map(place, what))
    next_commands(f"neurozsl profile {names} --compare{options} --report compare.html")


def _say_written(what: str, page: Path, numbers: Path) -> None:
    say(f"{what} in {page}" + ("" if page == numbers else f", its numbers in {numbers}"))
