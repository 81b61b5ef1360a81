"""A document of version 2 -> what a comparison reads of it, as version 3 writes it.

Version 2 wrote every value of `hardware` a second time: a device had no key beside its name, counts
had no fields for what the page did not show. What is left out here a comparison does not read.
"""

import json
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object
from neurozsl.report.schema.report import (
    MAX_REPORT_BYTES,
    NetworkReport,
    RunReport,
    parse_report,
    read_report,
)

_KEPT = (
    *("kind", "created", "versions", "provenance", "notes"),
    *("data", "model", "accuracy"),  # of a run
    *("file", "sha256", "backend", "chip", "samples", "steps", "dt_s"),  # of a network
    *("assumptions", "repairs", "input_notes", "readouts"),
)
_COUNTS = (
    *("name", "neurons", "parameters", "spike_rate", "spikes", "effective_macs", "effective_acs"),
    *("dense", "input_events", "synops_weighted", "active_updates", "inactive_updates"),
)
_UNKNOWN = {"source": "", "nonzero_weights": 0, "steps": 0, "most_synops": 0.0, "leaky": False}


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the fields that a comparison reads; others have no value in it."""
    found = {key: document[key] for key in _KEPT if key in document}
    found["layers"] = [
        {**_UNKNOWN, "fan_in": x["inputs"], **{key: x[key] for key in _COUNTS}}
        for x in document["layers"]
    ]
    found["energy"] = [_keyed(row) for row in document["energy"]]
    if "host" in document:
        host = document["host"]
        found["host"] = {**host, "energy": [_keyed(row) for row in host["energy"]]}
    stored = document.get("verification")
    if stored is not None:
        found["verification"] = {"verdict": stored["verdict"], "samples": stored["samples"]}
    return {"schema_version": 3, **found}


def _keyed(row: dict[str, Any]) -> dict[str, Any]:
    """A device was called by the key of its row, `chip/method` where there are several."""
    return {**row, "key": row["device"], "device": row["device"].partition("/")[0]}


def read_for_comparison(path: Path) -> RunReport | NetworkReport:
    """A report of this version, or what one of version 2 says to a comparison.

    Raises:
        BadInput: as `read_report`.
    """
    try:
        document = read_object(path, remedy="", max_bytes=MAX_REPORT_BYTES)
        kind, version = document["kind"], document["schema_version"]
        old = upgraded(document) if version == 2 and kind in ("run", "network") else None
    except (BadInput, ValueError, LookupError, TypeError, AttributeError):
        return read_report(path)  # says what is wrong
    return read_report(path) if old is None else parse_report(path, json.dumps(old))
