"""The command `neurozsl`: thin commands that parse, call and print.

Human text goes to stderr, `--json` alone to stdout. Exit codes: 0 ok, 1 internal, 2 usage or bad
input, 3 verification failed, 4 does not fit the chip, 5 missing optional part. No command module
imports torch at the top, so that `--help` stays quick.
"""

from __future__ import annotations

import sys

import typer

from neurozsl import __version__
from neurozsl.cli import (
    benchmark,
    data,
    demo,
    evaluate,
    export,
    inspect,
    profile,
    setup,
    simulate,
    targets,
    train,
    verify,
)
from neurozsl.cli.console import fail
from neurozsl.errors import NeuroZSLError

app = typer.Typer(
    name="neurozsl",
    help=(
        "Train audio-visual zero-shot models with a spiking motion branch, export it to "
        "neuromorphic simulators bit for bit, and read accuracy and energy together."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


for _module in (
    demo,
    train,
    evaluate,
    export,
    verify,
    simulate,
    profile,
    benchmark,
    targets,
    inspect,
):
    _module.register(app)
app.add_typer(data.app, name="data")
app.add_typer(setup.app, name="setup")
app.command("doctor")(setup.doctor)


def main() -> None:
    """Run the command line; every foreseen error is one message and its exit code.

    Usage errors and the exit itself are typer's.
    """
    try:
        app(prog_name="neurozsl")
    except NeuroZSLError as error:
        fail(str(error))
        sys.exit(error.exit_code)
