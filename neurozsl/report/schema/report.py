"""The document: one value whose JSON is the single source of page, card, tables and plots.

A `RunReport` describes a trained run (data, scores, host part, spikes, joules), a `NetworkReport` a
spiking network of a file (spikes and joules on a named input). What both have is `Report`; the JSON
says which it is in `kind`. Rates are fractions 0..1, accuracies percent, energies joules, times
seconds; operations, spikes and updates are counts *per inference* (one sample, all steps). NaN and
infinity are refused: a figure that is unknown is None, and reads as such.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from neurozsl.core.errors import BadInput
from neurozsl.core.printable import printable_json
from neurozsl.core.reading import read_bytes
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.hardware.neurobench import NeuroBench
from neurozsl.hardware.place.placement import Placement
from neurozsl.hardware.workloads.row import Calibration
from neurozsl.report.schema.accuracy import (
    Accuracy,
    BetaCurve,
    ClassRecall,
    Confusion,
    DeploymentStep,
    Embedding,
)
from neurozsl.report.schema.activity import Activity, Layers, Raster
from neurozsl.report.schema.energy import Baseline, Comparison, Energy, Host
from neurozsl.report.schema.placement import Fit
from neurozsl.report.schema.subject import DataSummary, ModelSummary
from neurozsl.report.schema.value import Value
from neurozsl.report.schema.verification import Verdict, Verification

T = TypeVar("T")
MAX_REPORT_BYTES: Final = 2**26
_LONG = ("raster", "activity", "embedding", "confusion", "beta_curve")  # on one line each


class Provenance(Value):
    """How to get the same numbers.

    command: the line that gives this report again. files: SHA-256 of what was read, by name or
    path. machine: processor (and accelerator) that ran it.
    """

    command: str = ""
    seed: int
    files: dict[str, str] = Field(default_factory=dict)
    machine: str = ""


class Report(Value):
    """What every profiled network has: activity, fit, energy, comparison, provenance.

    sections: values of sections that no field above is for, by their keys, as JSON.
    """

    schema_version: Literal[3] = 3
    created: str
    versions: dict[str, str]
    provenance: Provenance
    layers: Layers = ()
    activity: Activity = ()
    neurobench: NeuroBench | None = None
    fits: tuple[Fit, ...] = ()
    energy: tuple[Energy, ...] = ()
    baseline: Baseline | None = None
    comparison: Comparison | None = None
    calibration: tuple[Calibration, ...] = ()
    raster: Raster | None = None
    notes: tuple[str, ...] = ()
    sections: dict[str, JsonValue] = Field(default_factory=dict)

    def holds(self, name: str) -> bool:
        """Whether there is something in a field, or in a section of its own."""
        return bool(getattr(self, name, None) or self.sections.get(name))

    def own(self, key: str, kind: type[T]) -> T | None:
        """The value of a section of its own, as it was put in; None where the report has none.

        Raises:
            BadInput: what is stored there is no such value.
        """
        if key not in self.sections:
            return None
        try:
            return TypeAdapter(kind).validate_python(self.sections[key])
        except ValidationError as error:
            raise BadInput(f"report, sections.{key}: {_first(error)}; write it again") from error


class RunReport(Report):
    """One run, from the data to the joules."""

    kind: Literal["run"] = "run"
    data: DataSummary
    model: ModelSummary
    accuracy: Accuracy
    deployment: tuple[DeploymentStep, ...] = ()
    verification: Verification | None = None
    mapping: Placement | None = None
    host: Host
    classes: tuple[ClassRecall, ...] = ()
    confusion: Confusion | None = None
    beta_curve: BetaCurve | None = None
    embedding: Embedding | None = None

    @property
    def verdict(self) -> Verdict:
        """Verdict of the verification; UNVERIFIED without one."""
        return self.verification.verdict if self.verification else "UNVERIFIED"


class NetworkReport(Report):
    """One network of a file on one input.

    backend, chip: what ran; chip is None for the float network. readouts: layers without spikes.
    assumptions, repairs: what the file does not say and what was mended. input_notes: what the
    input is.
    """

    kind: Literal["network"] = "network"
    file: str
    sha256: str
    backend: str
    chip: str | None
    samples: int
    steps: int
    dt_s: float
    assumptions: tuple[str, ...]
    repairs: tuple[str, ...]
    input_notes: tuple[str, ...]
    readouts: tuple[str, ...]


Document = Annotated[RunReport | NetworkReport, Field(discriminator="kind")]
_OWN: Final[Mapping[str, type[Any]]] = {"task": TaskScore}  # sections whose values have a schema
_VERSION = NetworkReport.model_fields["schema_version"].default
_DOCUMENT: TypeAdapter[RunReport | NetworkReport] = TypeAdapter(Document)


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what `to_json` writes."""
    found = _DOCUMENT.json_schema(mode="serialization")
    for name, kind in _OWN.items():
        own = TypeAdapter(kind).json_schema(mode="serialization", ref_template="#/$defs/{model}")
        found["$defs"] |= {**own.pop("$defs", {}), kind.__name__: own}
        for report in (RunReport, NetworkReport):
            sections = found["$defs"][report.__name__]["properties"]["sections"]
            sections.setdefault("properties", {})[name] = {"$ref": f"#/$defs/{kind.__name__}"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"neurozsl report, version {_VERSION}",
        **found,
    }


def to_json(report: Value) -> str:
    """The report as JSON text: indented, but parts of thousands of numbers on one line each."""
    document = report.model_dump(mode="json")
    lines = []
    for key, value in document.items():
        style: dict[str, Any] = {"separators": (",", ":")} if key in _LONG else {"indent": 2}
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, **style)
        indented = text.replace("\n", "\n  ")
        lines.append(f'  "{key}": {indented}')
    return printable_json("{\n" + ",\n".join(lines) + "\n}\n")


def read_report(path: Path) -> RunReport | NetworkReport:
    """Read a `report.json`, of a run or of a network.

    Raises:
        BadInput: the file is missing, too large, not JSON, or not a report of this version.
    """
    remedy = "give a report.json that `neurozsl profile RUN` wrote"
    return parse_report(path, read_bytes(path, remedy=remedy, max_bytes=MAX_REPORT_BYTES))


def parse_report(path: Path, data: bytes | str) -> RunReport | NetworkReport:
    """The report that a file holds.

    Raises:
        BadInput: it is not JSON, or not a report of this version.
    """
    try:
        return _DOCUMENT.validate_json(data)
    except ValidationError as err:
        raise BadInput(
            f"report '{path}': {_other(data) or _first(err)}; "
            "write it again with `neurozsl profile RUN --report FILE.html`"
        ) from err


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "document"
    return f"{where}: {first['msg']} ({error.error_count()} problems)"


def _other(data: bytes | str) -> str:
    """What a document is instead, where its head says so."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    if document.get("kind") == "comparison":
        return "is a comparison of reports, expected one report"
    version = document.get("schema_version")
    if isinstance(version, int) and version != _VERSION:
        return f"schema_version is {version}, this neurozsl reads {_VERSION}"
    if version is None:
        keys = ", ".join(list(document)[:4]) or "nothing"
        return f"is no report: it holds {keys}, and no schema_version"
    return ""
