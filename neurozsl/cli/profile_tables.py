"""`neurozsl profile A B --compare`, and `--layers` before there is a network."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from neurozsl.cli.console import next_commands, say
from neurozsl.cli.profile_what import Wanted, report_of
from neurozsl.errors import BadInput


def side_by_side(what: list[Path], wanted: Wanted, page: Path | None, as_json: bool) -> None:
    """Profile all of them and show one table."""
    from neurozsl.report import compare_text
    from neurozsl.report.compare import compare
    from neurozsl.report.schema import to_json

    if page is not None:
        compare_text.check_page(page)
    found = []
    for path in what:
        say(f"profiling {path}")
        found.append((str(path), report_of(path, wanted)[0]))
    compared = compare(found)
    if page is not None:
        beside = compare_text.write_comparison(compared, page)
        say(f"comparison in {page}" + ("" if page == beside else f", its numbers in {beside}"))
    if as_json:
        typer.echo(to_json(compared), nl=False)
        return
    compare_text.print_comparison(compared)
    names = " ".join(shlex.quote(str(path)) for path in what)
    next_commands(f"neurozsl profile {names} --compare --report compare.html")


def before_training(
    layers: str,
    rate: float | None,
    steps: int | None,
    wanted: Wanted,
    page: Path | None,
    as_json: bool,
) -> None:
    """Estimate dense layers that nobody has trained."""
    raise BadInput("--layers: not yet")
