"""What commands print: human text on stderr, one JSON document on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

# Rich would assume 80 columns of a pipe or a log and cut the tables.
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 100)


def say(text: str) -> None:
    """One line for people; paths in it are never broken."""
    err.print(escape(text), soft_wrap=True)


def fail(text: str) -> None:
    """An error for people."""
    err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def emit_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def next_commands(*commands: str) -> None:
    """Close a command with what can be pasted next."""
    err.print("[dim]next:[/]")
    for command in commands:
        err.print(f"  {escape(command)}", soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one table; the first column is left-aligned, the others right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        first = index == 0
        table.add_column(column, justify="left" if first else "right", no_wrap=first)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    err.print(table)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[..., None]]:
    """A bar with an ETA; yields `update(done, total, text="")`. Silent when not a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(label, total=None, text="")

        def update(done: int, total: int, text: str = "") -> None:
            progress.update(task, completed=done, total=total, text=text)

        yield update


def stages(update: Callable[..., None]) -> Callable[[str, int, int], None]:
    """The bar as export and verification report to it: stage, done, total."""
    return lambda stage, done, total: update(done, total, stage)
