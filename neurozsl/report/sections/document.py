"""The one way from what was profiled to the document: every section fills its own fields."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

from neurozsl.core.version import __version__
from neurozsl.report.schema import Provenance, Report
from neurozsl.report.sections import registry
from neurozsl.report.sections.context import Context
from neurozsl.report.sections.provenance import machine
from neurozsl.runs.settings import versions

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

    command: the line that gives this report again. seed: of whatever was drawn. files: SHA-256 of
    what was read. head: fields that this kind alone has.
    """
    filled: dict[str, Any] = {}
    for section in registry.SECTIONS:
        filled |= section.fill(context)
    known, own = stored(kind, filled)
    made = kind(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={**versions(), "neurozsl": __version__},
        provenance=Provenance(
            command=command, seed=seed, files=dict(files or {}), machine=machine()
        ),
        sections=own,
        **head,
        **known,
    )
    for name in own:
        made.own(name, type(filled[name]))  # it can be read back
    return made


def stored(kind: type[Report], filled: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the document, and as JSON those of sections that it has no field for."""
    known = {name: value for name, value in filled.items() if name in kind.model_fields}
    own = {
        name: TypeAdapter(type(value)).dump_python(value, mode="json")
        for name, value in filled.items()
        if name not in known and value is not None
    }
    return known, own
