"""`neurozsl profile FILE.nir`: what a network does on an input, and the joules that this costs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from neurozsl.cli.console import next_commands, progress_bar, say
from neurozsl.cli.network_options import call
from neurozsl.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.export.foreign import Said
    from neurozsl.export.network_run import NetworkRun, Source


def profile(
    file: Path,
    said: Said,
    source: Source,
    *,
    chip: str | None,
    page: Path | None,
    as_json: bool,
    asked: str,
) -> None:
    """Run the network and report counts, cores and energies.

    Args:
        file: a `.nir` file.
        said: what the file may not say.
        source: of the input.
        chip: count the integers of this chip; None counts the float network.
        page: Markdown file to write.
        as_json: one document instead of tables.
        asked: the options as given.
    """
    from neurozsl.export import network_run
    from neurozsl.report import network_text
    from neurozsl.report.network import report_of
    from neurozsl.report.schema import to_json

    if page is not None and page.suffix != ".md":
        raise BadInput(
            f"--report {page}: the report of a .nir file is a Markdown page; end its name in .md"
        )
    backend = "floatsim" if chip is None else "emulator"
    fed = network_run.feed(file, said, source)
    with progress_bar(f"running on {backend}") as update:
        done = network_run.run_network(fed, backend_name=backend, chip=chip, progress=update)
    on_chip = "" if chip is None else f" --chip {chip}"
    command = call("profile", file, asked + on_chip)
    report = report_of(done, source, command=command)
    if page is not None:
        beside = network_text.write_markdown(report, page)
        say(f"report in {page}, its numbers in {beside}")
    if as_json:
        typer.echo(to_json(report), nl=False)
        return
    network_text.print_network(report)
    next_commands(
        f"{command} --report {shlex.quote(file.stem)}.md",
        call("simulate", file, asked + (f" --backend emulator{on_chip}" if chip else "")),
        call("export", file, f" --target {_target(done)}{asked}"),
    )


def _target(done: NetworkRun) -> str:
    """A target that takes the network: of its chip, Lava where that runs it, else Sinabs."""
    from neurozsl.export.lava.limits import check_network
    from neurozsl.hardware.speck.program import SpeckProgram

    network = done.network
    if isinstance(network, SpeckProgram):
        return "speck"
    try:
        check_network(network)
    except BadInput:
        return "sinabs"
    return "lava"
