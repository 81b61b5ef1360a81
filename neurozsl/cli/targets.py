"""`neurozsl targets`: what each target can do, from the registry that runs them."""

from typing import Annotated

import typer

from neurozsl.cli.console import emit, emit_json, next_commands, show_table
from neurozsl.cli.option_values import Json
from neurozsl.core.markdown import table


def targets(
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option(help="The README's table, on stdout.")] = False,
) -> None:
    """Show which target can do what."""
    from neurozsl.export.targets import target_table

    rows = target_table()
    if as_json:
        emit_json(rows)
        return
    # One column per target: the features are many, the targets few.
    columns = ["", *(str(row["target"]) for row in rows)]
    cells = [[key, *(_cell(row[key]) for row in rows)] for key in rows[0] if key != "target"]
    if markdown:
        emit("\n".join(table(columns, cells)) + "\n")
        return
    show_table("targets", columns, cells)
    next_commands("neurozsl export RUN --target lava")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)
