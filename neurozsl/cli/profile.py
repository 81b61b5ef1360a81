"""`neurozsl profile`: spikes, operations and energy of a run, or of a `.nir` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli import network_options as options
from neurozsl.cli import profile_network
from neurozsl.cli.console import next_commands, progress_bar, say


def profile(
    context: typer.Context,
    what: Annotated[Path, typer.Argument(metavar="WHAT", help="Run folder, or a .nir file.")],
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Of a run: profile the deployed branch of this bundle; default: the float branch."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write this page and its JSON: HTML of a run, Markdown (x.md) of a .nir file."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    input_path: options.Input = None,
    poisson: options.Poisson = None,
    samples: options.Samples = None,
    seed: options.Seed = None,
    chip: options.Chip = None,
    dt: options.Dt = None,
    tau_unit: options.TauUnit = None,
    reset: options.Reset = None,
    compare: options.Compare = None,
    max_spikes: options.MaxSpikes = None,
    lower_bound: options.LowerBound = None,
    steps: options.Steps = None,
) -> None:
    """Count spikes and operations, estimate energy per inference.

    Of a run beside S, U, HM and ZSL; of a .nir file on the input that is given, of the float
    network, or with --chip of its integers.
    """
    if not options.is_network(what):
        options.refuse_for_folder(context, what)
        _profile_run(what, bundle, report, as_json)
        return
    options.refuse(context, {"bundle": "--bundle"}, f"only with a run, and {what} is a file")
    profile_network.profile(
        what,
        options.said(dt, tau_unit, reset, compare, max_spikes, lower_bound, steps),
        options.source(input_path, poisson, samples, seed),
        chip=chip,
        page=report,
        as_json=as_json,
        asked=options.again(context),
    )


def _profile_run(run: Path, bundle: Path | None, report: Path | None, as_json: bool) -> None:
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
