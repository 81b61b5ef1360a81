"""`neurozsl targets`: what each target can do, from the registry that runs them."""

from __future__ import annotations

from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, next_commands, show_table


def targets(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    markdown: Annotated[bool, typer.Option(help="The README's table, on stdout.")] = False,
) -> None:
    """Show the table targets x features."""
    from neurozsl.export.targets import target_table

    rows = target_table()
    if as_json:
        emit_json(rows)
        return
    columns = list(rows[0])
    cells = [[_cell(row[c]) for c in columns] for row in rows]
    if markdown:
        lines = [columns, ["---"] * len(columns), *cells]
        typer.echo("\n".join("| " + " | ".join(line) + " |" for line in lines))
        return
    show_table("targets", columns, cells)
    next_commands("neurozsl export RUN --target lava")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(targets)
