"""`neurozsl inspect`: what a `.nir` file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli.console import emit_json, next_commands, say, show_table


def inspect(
    file: Annotated[Path, typer.Argument(help="A .nir file.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List nodes, shapes, edges and metadata of a NIR graph."""
    from neurozsl.export.nirfile import read

    graph = read(file)
    rows: list[dict[str, Any]] = []
    for name, node in graph.nodes.items():
        arrays = {
            key: list(getattr(value, "shape", ()))
            for key, value in vars(node).items()
            if key not in ("input_type", "output_type", "metadata") and value is not None
        }
        after = [b for a, b in graph.edges if a == name]
        rows.append({"name": name, "type": type(node).__name__, "shapes": arrays, "feeds": after})
    metadata = {
        k: v for k, v in (getattr(graph, "metadata", None) or {}).items() if isinstance(v, str)
    }
    if as_json:
        emit_json({"file": str(file), "nodes": rows, "metadata": metadata})
        return
    show_table(
        str(file),
        ("node", "type", "shapes", "feeds"),
        [
            (
                r["name"],
                r["type"],
                ", ".join(f"{k} {v}" for k, v in r["shapes"].items()),
                ", ".join(r["feeds"]),
            )
            for r in rows
        ],
    )
    for key, value in metadata.items():
        say(f"{key}: {value}")
    next_commands(f"neurozsl inspect {file} --json")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(inspect)
