"""One thing that is profiled: a run, a bundle of a run, a `.nir` file, or a report made earlier."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neurozsl.cli import network_options as options
from neurozsl.cli import profile_network
from neurozsl.cli.console import emit, next_commands, progress_bar, say
from neurozsl.cli.profile_wanted import Wanted
from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.report.schema import NetworkReport, RunReport

    Profiled = RunReport | NetworkReport

Kind = Literal["run", "bundle", "network", "report"]


def kind(what: Path) -> Kind:
    """What a path is, by what lies there."""
    if what.suffix == ".json" and not what.is_dir():
        return "report"
    if options.is_network(what):
        return "network"
    is_run = (what / "run.json").is_file()
    return "bundle" if (what / "manifest.json").is_file() and not is_run else "run"


def check_there(what: Path, wanted: Wanted) -> None:
    """What can be known to be missing before anything runs.

    Raises:
        BadInput: there is nothing of its kind at the path, or a file of a network has no input.
    """
    found = kind(what)
    if found == "run" and not (what / "run.json").is_file():
        raise BadInput(
            f"{what}: no run.json there, nor the manifest.json of a bundle; give the folder that "
            "`neurozsl train --out` or `neurozsl export` wrote, a .nir file or a report.json"
        )
    if found in ("network", "report") and not what.is_file():
        raise BadInput(f"{what}: no such file; check the path")
    if found == "network":
        from neurozsl.export.network.network_run import check_source

        check_source(what, wanted.source())


def one(what: Path, wanted: Wanted, page: Path | None, as_json: bool) -> None:
    """Profile it, write the page, print JSON or tables."""
    from neurozsl.report import check_page

    if page is not None:
        check_page(page)
    if kind(what) == "run":
        check_there(what, wanted)
    report, after = report_of(what, wanted)
    show(report, page, as_json, after)


def show(report: Profiled, page: Path | None, as_json: bool, after: tuple[str, ...]) -> None:
    """Write the page, then JSON on stdout or tables with the commands that can follow."""
    from neurozsl.report import print_report
    from neurozsl.report.schema import to_json

    if page is not None:
        _write(report, page)
    if as_json:
        emit(to_json(report))
        return
    print_report(report)
    next_commands(*after)


def report_of(what: Path, wanted: Wanted) -> tuple[Profiled, tuple[str, ...]]:
    """The report of anything that can be profiled, and the commands that can follow.

    Raises:
        BadInput: it is damaged, or not there.
    """
    from neurozsl.report.schema import read_report

    found = kind(what)
    if found == "report":
        return read_report(what), (f"neurozsl profile {shlex.quote(str(what))} --report r.html",)
    if found == "network":
        return profile_network.report_of(what, wanted)
    if found == "bundle":
        return _run(_run_of(what), replace(wanted, bundle=what))
    beside = what / "deploy" / "lava"
    if wanted.bundle is None and (beside / "manifest.json").is_file():
        say(f"profiling the deployed branch in {beside}")
        wanted = replace(wanted, bundle=beside)
    return _run(what, wanted)


def _run_of(bundle: Path) -> Path:
    """The run that a bundle lies in.

    Raises:
        BadInput: it lies elsewhere.
    """
    run = bundle.resolve().parents[1]
    if not (run / "run.json").is_file():
        raise BadInput(
            f"bundle '{bundle}': lies in no run ({run} has no run.json), so its data are unknown; "
            f"name the run: neurozsl profile RUN --bundle {shlex.quote(str(bundle))}, or profile "
            "its motion.nir"
        )
    near = bundle.parent.parent
    return near if near.resolve() == run else run


def _run(path: Path, wanted: Wanted) -> tuple[Profiled, tuple[str, ...]]:
    from neurozsl.report.sections import build
    from neurozsl.runs import run as runs

    chips = wanted.chips()
    opened = runs.open_run(path)
    command = f"neurozsl profile {shlex.quote(str(path))}"
    for option, value in (("--bundle", wanted.bundle), ("--clips", wanted.clips)):
        command += "" if value is None else f" {option} {shlex.quote(str(value))}"
    command += wanted.words()
    with progress_bar("profiling") as update:
        report = build.build(
            opened,
            bundle=wanted.bundle,
            command=command,
            devices=chips,
            step_s=wanted.step_s,
            clips=wanted.clips,
            progress=update,
        )
    page = shlex.quote(str(path / "report.html"))
    return report, (f"{command} --report {page}",)


def _write(report: Profiled, page: Path) -> None:
    from neurozsl.report import write_report

    written = write_report(report, page)
    beside = "" if written.json == page else f", its numbers in {written.json}"
    say(f"report in {page}{beside}")
