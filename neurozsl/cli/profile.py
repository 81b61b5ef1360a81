"""`neurozsl profile`: spikes, operations and energy of runs, bundles and `.nir` files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from neurozsl.cli import network_options as options
from neurozsl.cli import profile_tables, profile_what
from neurozsl.cli.console import emit_json
from neurozsl.cli.profile_wanted import Wanted
from neurozsl.core.errors import BadInput

_COMPARISONS = tuple(x.value for x in options.Comparison)
_TABLE = "--in-one-table"
_OF_A_RUN = {"bundle": "--bundle", "clips": "--clips"}


class _Profile(TyperCommand):
    """`--compare` says how a membrane is compared where a comparison follows, else: one table."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        bare = [
            _TABLE if word == "--compare" and after not in _COMPARISONS else word
            for word, after in pairwise([*args, ""])
        ]
        return super().parse_args(ctx, bare)


def profile(
    context: typer.Context,
    what: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="WHAT...",
            help="Run folder, bundle folder, .nir file, or .json of a report; several with "
            "--compare.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Of a run: whose deployed branch runs; default RUN/deploy/lava where there is "
            "one, else the float branch."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a page (x.html), a model card (x.md), both with their JSON, or x.json."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    in_one_table: Annotated[bool, typer.Option(_TABLE, hidden=True)] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a report, and nothing else.")
    ] = False,
    device: Annotated[
        list[Path] | None,
        typer.Option(
            help="Further energy rows: a device file of your own (x.toml), or a chip that is not "
            "priced by default; repeatable."
        ),
    ] = None,
    step_time: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of a step on the chips, for static power; default each chip's own.",
        ),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(help="Of a run on recorded clips: their folder, to show pictures of one."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="512-512-512",
            help="Instead of WHAT: estimate dense layers of these widths (input first) at --rate, "
            "before there is a network.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="With --layers: spikes per channel or neuron and step, 0 to 1."),
    ] = None,
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
    network, or with --chip of its integers. `profile A B C --compare` (without > or >= behind it)
    puts several in one table.
    """
    if schema:
        from neurozsl.report.schema import json_schema

        emit_json(json_schema())
        return
    wanted = Wanted(
        bundle=bundle,
        devices=tuple(device or ()),
        step_s=step_time,
        clips=clips,
        said=lambda: options.said(dt, tau_unit, reset, compare, max_spikes, lower_bound, steps),
        source=lambda: options.source(input_path, poisson, samples, seed),
        chip=chip,
        asked=options.again(context),
    )
    _check(context, what or [], wanted, together=in_one_table, layers=layers, rate=rate)
    if layers is not None:
        profile_tables.before_training(layers, rate, steps, wanted, report, as_json)
    elif in_one_table:
        profile_tables.side_by_side(what or [], wanted, report, as_json)
    else:
        profile_what.one((what or [])[0], wanted, report, as_json)


def _check(
    context: typer.Context,
    what: list[Path],
    wanted: Wanted,
    *,
    together: bool,
    layers: str | None,
    rate: float | None,
) -> None:
    """Refuse options that do not belong together, before anything runs.

    Raises:
        BadInput: names the options and what to do.
    """
    if wanted.step_s is not None and not 0 < wanted.step_s < 1e3:
        raise BadInput(f"--step-time {wanted.step_s:g}: expected above 0 s and below 1000 s")
    if layers is not None:
        if what or together:
            extra = str(what[0]) if what else "--compare"
            raise BadInput(f"--layers {layers}: stands instead of WHAT; leave {extra} out")
        files = {**options.SAYS, **options.FEEDS, "chip": "--chip", **_OF_A_RUN}
        del files["steps"]
        options.refuse(context, files, "not with --layers, where nothing runs; leave out")
        return
    if rate is not None:
        raise BadInput(f"--rate {rate:g}: belongs to --layers; of a .nir file give --poisson")
    if not what:
        raise BadInput(
            "profile: 0 of WHAT given, 1 is needed: a run, a bundle, a .nir file, a report.json; "
            "or --layers 512-512-512 --rate 0.05, or --schema"
        )
    if len(what) > 1 and not together:
        raise BadInput(
            f"profile: {len(what)} of WHAT given, 1 is profiled at a time; add --compare for one "
            "table of all"
        )
    if together and len(what) < 2:
        raise BadInput(
            f"--compare: {len(what)} of WHAT given, 2 or more are compared; name another run, "
            "bundle, .nir file or report.json (a comparison of a membrane is > or >= in quotes)"
        )
    kinds = {path: profile_what.kind(path) for path in what}
    if "network" not in kinds.values():
        options.refuse_for_folder(context, what[0])
    if "run" not in kinds.values():
        only = _OF_A_RUN
        if "bundle" in kinds.values():  # a bundle brings its run along, pictures included
            only = {"bundle": "--bundle"}
        options.refuse(context, only, f"only with a run, and {what[0]} is a {kinds[what[0]]}")
    if wanted.clips is not None and not wanted.clips.is_dir():
        raise BadInput(
            f"--clips {wanted.clips}: no such folder; give the one that `neurozsl data build "
            "--clips` read"
        )
    priced = [path for path in what if kinds[path] == "report"]
    asked = ["--device"] * bool(wanted.devices) + ["--step-time"] * (wanted.step_s is not None)
    if priced and asked:
        raise BadInput(
            f"{' and '.join(asked)}: {priced[0]} was priced when it was made; give the run, bundle "
            "or .nir file that it was made from"
        )
    if together and wanted.bundle is not None:
        raise BadInput(
            f"--bundle {wanted.bundle}: with --compare give the folder of the bundle as WHAT"
        )


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(cls=_Profile)(profile)
