"""The command `neurozsl`: thin commands that parse, call and print.

Human text goes to stderr, `--json` alone to stdout. Exit codes: 0 ok, 1 internal, 2 usage or bad
input, 3 verification failed, 4 does not fit the chip, 5 missing optional part. No command module
imports torch at the top, so that `--help` stays quick.

`--progress MODE` is taken out of the arguments before typer sees them, so that it may stand before
or after the command; typer declares it for the help.
"""

import os
import sys
from typing import Any

import typer
from typer.main import get_command

from neurozsl.cli import (
    benchmark,
    data,
    demo,
    edge,
    ending,
    evaluate,
    export,
    inspect,
    pack,
    predict,
    profile,
    setup,
    simulate,
    targets,
    train,
    verify,
)
from neurozsl.cli.bounds import bounded, refuse_empty
from neurozsl.cli.console import escape_what_cannot_be_printed, fail, fail_unforeseen, printing
from neurozsl.cli.progress import OPTION, VARIABLE, Mode, take
from neurozsl.cli.renamed import Renaming
from neurozsl.core import children
from neurozsl.core.errors import NeuroZSLError
from neurozsl.core.printable import UNSEEN
from neurozsl.core.version import __version__

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
    progress: str = typer.Option(
        "bar",
        OPTION,
        envvar=VARIABLE,
        metavar="[bar|lines|json|off]",
        help="Before or after the command: a bar on a terminal; plain lines in a log; every line "
        "of stderr one JSON object; errors alone.",
    ),
) -> None:
    del version, progress  # taken by `main`


_CLASSES = {"train": Renaming, "export": Renaming, "profile": profile.ProfileCommand}
for _command in (
    demo.demo,
    train.train,
    evaluate.evaluate,
    predict.predict,
    export.export,
    verify.verify,
    simulate.simulate,
    profile.profile,
    benchmark.benchmark,
    targets.targets,
    inspect.inspect,
    pack.pack,
    pack.unpack,
):
    app.command(cls=_CLASSES.get(_command.__name__))(_command)
app.add_typer(data.app, name="data")
app.add_typer(setup.app, name="setup")
app.command("doctor")(setup.doctor)


_GROUPS = ("data", "setup")
_UsageError: Any = typer.BadParameter.__base__  # typer shows what it raises, not its base class
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; every foreseen error is one message and its exit code.

    Usage errors and the exit itself are typer's, but where every line on stderr has a form.
    """
    children.end_with_parent()
    escape_what_cannot_be_printed()
    try:
        mode, arguments = take(sys.argv[1:], os.environ)
        refuse_empty(arguments)
    except NeuroZSLError as error:
        fail(str(error))
        sys.exit(error.exit_code)
    words = [word for word in arguments if not word.startswith("-")]
    command = " ".join(words[: 2 if words[:1] and words[0] in _GROUPS else 1])
    with printing(mode, command), ending.raising():
        try:
            # Typer would print a wrong value as it is, whatever a terminal makes of it.
            if mode in ("json", "off") or any(map(UNSEEN.search, arguments)):
                sys.exit(_in_form(arguments, mode))
            bounded(get_command(app))(arguments, prog_name="neurozsl")
        except NeuroZSLError as error:
            fail(str(error), exit_code=error.exit_code)
            sys.exit(error.exit_code)
        except SystemExit as end:
            if end.code == _INTERRUPTED:  # typer turns Ctrl-C into it
                fail("interrupted", exit_code=_INTERRUPTED)
            raise
        except ending.Terminated:
            fail("ended by SIGTERM", exit_code=ending.EXIT_CODE)
            sys.exit(ending.EXIT_CODE)
        except Exception as error:
            told = edge.foreseen(error)
            if told is None:
                raise
            fail(str(told), exit_code=told.exit_code)
            sys.exit(told.exit_code)


def _in_form(arguments: list[str], mode: Mode) -> int:
    """Run the app, its own messages in our form; returns the exit code."""
    try:
        command = bounded(get_command(app))
        code = command(arguments, prog_name="neurozsl", standalone_mode=False)
    except _UsageError as error:
        fail(error.format_message(), exit_code=error.exit_code)
        return int(error.exit_code)
    except NeuroZSLError:
        raise
    except Exception as error:
        if mode != "json" or edge.foreseen(error) is not None:
            raise  # told by `main`, or printed by Python on the stderr that is back by then
        fail_unforeseen(error)
        return 1
    return code if isinstance(code, int) else 0
