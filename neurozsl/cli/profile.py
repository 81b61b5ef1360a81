"""`neurozsl profile`: spikes, operations, energy and accuracy of a run in one document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import next_commands, progress_bar, say


def profile(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    bundle: Annotated[
        Path | None,
        typer.Option(help="Profile the deployed branch of this bundle; default: the float branch."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write this HTML page and its JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Count spikes and operations, estimate energy per inference, beside S, U, HM and ZSL."""
    from neurozsl import runs
    from neurozsl.report import build, write_report
    from neurozsl.report.schema import to_json
    from neurozsl.report.terminal import print_report

    opened = runs.open_run(run)
    if bundle is None and (run / "deploy" / "lava" / "manifest.json").is_file():
        bundle = run / "deploy" / "lava"
        say(f"profiling the deployed branch in {bundle}")
    with progress_bar("profiling") as update:
        result = build.build(opened, bundle=bundle, progress=update)
    if report is not None:
        write_report(result, report)
        say(f"report in {report}")
    if as_json:
        typer.echo(to_json(result), nl=False)
        return
    print_report(result)
    next_commands(f"neurozsl profile {run} --report {run}/report.html")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(profile)
