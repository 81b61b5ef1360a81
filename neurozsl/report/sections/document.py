"""The one way from what was profiled to the document: every section fills its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

from neurozsl.core.version import __version__
from neurozsl.report.schema import Provenance, Report
from neurozsl.report.sections import registry
from neurozsl.report.sections.context import Context
from neurozsl.report.sections.provenance import machine
from neurozsl.runs.run import versions

D = TypeVar("D", bound=Report)


def document(
    kind: type[D],
    context: Context,
    *,
    command: str,
    seed: int,
    files: Mapping[str, str] | None = None,
    **head: Any,
) -> D:
    """The report of a run, a file or an estimate.

    Args:
        kind: which of them.
        context: what was profiled.
        command: the line that gives this report again.
        seed: of whatever was drawn.
        files: SHA-256 of what was read.
        head: fields that this kind alone has.
    """
    filled: dict[str, Any] = {}
    for section in registry.SECTIONS:
        filled |= section.fill(context)
    known = {name: value for name, value in filled.items() if name in kind.model_fields}
    own = {name: value for name, value in filled.items() if name not in kind.model_fields}
    made = kind(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={**versions(), "neurozsl": __version__},
        provenance=Provenance(
            command=command, seed=seed, files=dict(files or {}), machine=machine()
        ),
        sections={
            name: TypeAdapter(type(value)).dump_python(value, mode="json")
            for name, value in own.items()
        },
        **head,
        **known,
    )
    for name, value in own.items():
        made.own(name, type(value))  # it can be read back
    return made
