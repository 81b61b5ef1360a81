"""`neurozsl profile`: spikes, operations and energy of runs, bundles and `.nir` files."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer
from typer.core import TyperCommand

from neurozsl.cli.console import emit_json
from neurozsl.cli.kinds import Form, call, kind, refuse, takes
from neurozsl.cli.option_values import Json
from neurozsl.cli.profile_layers import profile_layers
from neurozsl.cli.profile_network import profile_network, profile_network_bundle
from neurozsl.cli.profile_run import profile_bundle, profile_run
from neurozsl.cli.profile_tables import compared_report, one, profile_report, side_by_side
from neurozsl.cli.stands_for import stands_for
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import words
from neurozsl.hardware.network.neuron import Compare

_TABLE: Final = "--in-one-table"
FORMS: Final = {
    "run": Form("a run", profile_run),
    "bundle": Form("a run's bundle", profile_bundle),
    "network": Form("a .nir file", profile_network),
    "network_bundle": Form("the bundle of a .nir file", profile_network_bundle),
    "report": Form("the .json of a report", profile_report),
    "layers": Form("--layers", profile_layers, "of a .nir file give --poisson"),
}
COMPARED: Final = Form("the .json of a report", compared_report)  # with --compare


class ProfileCommand(TyperCommand):
    """`--compare` says how a membrane is compared where a comparison follows, else: one table."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        bare = [
            _TABLE if word == "--compare" and after not in get_args(Compare) else word
            for word, after in pairwise([*args, ""])
        ]
        return super().parse_args(ctx, bare)


@takes(FORMS)
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
    *,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a page (x.html), a model card (x.md), both with their JSON, or x.json. A "
            "file of that name is replaced, whatever it holds; a JSON beside it if it is a report."
        ),
    ] = None,
    as_json: Json = False,
    in_one_table: Annotated[bool, typer.Option(_TABLE, hidden=True)] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a report, and nothing else.")
    ] = False,
    **options: Any,
) -> None:
    """Count spikes and operations, estimate energy per inference.

    Of a run beside S, U, HM and ZSL; of a .nir file on the input that is given, of the float
    network, or with --chip of its integers, and with --labels beside its accuracy.
    `profile A B C --compare` (without > or >= behind it) puts several in one table.
    """
    from neurozsl.report import check_page
    from neurozsl.report.schema import json_schema

    if schema:
        emit_json(json_schema())
        return
    if report is not None:
        check_page(report)
    paths = what or []
    if (layers := options["layers"]) is not None:
        if paths or in_one_table:
            extra = str(paths[0]) if paths else "--compare"
            raise BadInput(f"--layers {layers}: stands instead of WHAT; leave {extra} out")
        where = "with --layers nothing runs"
        one(call(context, FORMS, "layers", options=options, where=where), report, as_json)
        return
    _check_number(paths, together=in_one_table)
    stand = [stands_for(path, options) for path in paths]
    paths = [path for path, _ in stand]
    kinds = [kind(path, FORMS) for path in paths]
    refuse(context, FORMS, kinds, f"{paths[0]} is none")
    if in_one_table and options["bundle"] is not None:
        raise BadInput(
            f"--bundle {options['bundle']}: with --compare give the folder of the bundle as WHAT"
        )
    # All are checked before the first one takes its minutes.
    forms = {**FORMS, "report": COMPARED} if in_one_table else FORMS
    works = [
        forms[found](path, options=own) for (path, own), found in zip(stand, kinds, strict=True)
    ]
    if in_one_table:
        side_by_side(paths, works, report, as_json, words(options))
    else:
        one(works[0], report, as_json)


def _check_number(what: list[Path], *, together: bool) -> None:
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
