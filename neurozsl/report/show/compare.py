"""Reports compared: several runs, bundles or networks beside each other, one row each.

In: reports by the names they were asked for. Out: a `ReportComparison`, its JSON the source of
table, page and card (`compare_text`). Counts are per inference, energies joules, scores percent,
rates 0..1.

Numbers that were not counted on the same data (runs) or on the same input (networks) do not belong
side by side: such a row says so, and why, in `not_comparable`. The first row is what the others are
held against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from neurozsl.core.errors import BadInput
from neurozsl.core.quantities import count
from neurozsl.report.schema import Energy, NetworkReport, RunReport, Scores
from neurozsl.report.schema.value import Value
from neurozsl.report.show.reading import spike_rate

Compared = RunReport | NetworkReport
_DATA = "data (fingerprint of the folder)"


class ComparedEnergy(Value):
    """One device: joules of the spiking part, dynamic; bounds where the sources give them.

    static_joules, inherited, lower_bound, as_if, warnings: as in the row of the report.
    """

    device: str
    name: str
    joules_low: float | None = None
    joules: float | None
    joules_high: float | None = None
    static_joules: float | None = None
    inherited: bool = False
    lower_bound: bool = False
    as_if: bool = False
    warnings: tuple[str, ...] = ()


class ComparedReport(Value):
    """One report. `scores` of runs alone; `host_joules` of each host row, by device.

    subject: data or input that the numbers were counted on. not_comparable: why this row does not
    belong beside the first; empty where it does.
    """

    what: str
    kind: Literal["run", "network"]
    name: str
    subject: str
    backend: str
    verdict: str | None = None
    scores: Scores | None = None
    samples: int
    steps: int
    neurons: int
    parameters: int
    spike_rate: float = Field(ge=0)
    spikes: float
    synops: float
    dense: float
    energy: tuple[ComparedEnergy, ...]
    host_flops: float | None = None
    host_joules: tuple[ComparedEnergy, ...] = ()
    not_comparable: str = ""


class ReportComparison(Value):
    """All rows, in the order asked for; `devices`: keys of energy rows that any report has."""

    schema_version: Literal[2] = 2
    kind: Literal["comparison"] = "comparison"
    title: str = "Comparison of reports"
    created: str
    devices: tuple[str, ...]
    rows: tuple[ComparedReport, ...]
    notes: tuple[str, ...] = ()


def compare(reports: Sequence[tuple[str, Compared]]) -> ReportComparison:
    """Put reports side by side.

    Args:
        reports: what was asked for, and its report; two or more.

    Raises:
        BadInput: fewer than two.
    """
    if len(reports) < 2:
        raise BadInput(
            f"comparison: {len(reports)} report(s), 2 or more are needed; name further runs, "
            "bundles, .nir files or reports"
        )
    first = reports[0][1]
    rows = tuple(
        _row(what, report).model_copy(update={"not_comparable": difference(first, report)})
        for what, report in reports
    )
    apart = [row.what for row in rows if row.not_comparable]
    notes = [
        "Energies are estimates unless a row of its report says measured. They are dynamic; static "
        "power x latency is a line of its own where it is published. As-if: the chip of that "
        "figure cannot run the network; why is in the report of the row."
    ]
    if apart:
        notes.append(f"Not comparable with {rows[0].what}: {', '.join(apart)}; see each reason.")
    return ReportComparison(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        devices=tuple(dict.fromkeys(e.device for row in rows for e in row.energy)),
        rows=rows,
        notes=tuple(notes),
    )


def difference(first: Compared, other: Compared) -> str:
    """Why two reports must not be read against each other; empty where they may."""
    if isinstance(first, RunReport) and isinstance(other, RunReport):
        one, two = first.provenance.files.get(_DATA), other.provenance.files.get(_DATA)
        if one is None or two is None:
            return "the data of one report are not identified; write it again"
        if one != two:
            return f"other data: {subject(other)}, the first row has {subject(first)}"
        if first.accuracy.samples != other.accuracy.samples:
            return f"other test samples: {count(other.accuracy.samples)}"
        return ""
    if isinstance(first, NetworkReport) and isinstance(other, NetworkReport):
        if _input(first) != _input(other):
            return f"other input: {subject(other)}, the first row has {subject(first)}"
        return ""
    names = {"run": "a run on data", "network": "a network on an input of its own"}
    return f"{names[other.kind]}, the first row is {names[first.kind]}"


def subject(report: Compared) -> str:
    """The data or the input in a few words."""
    if isinstance(report, RunReport):
        return f"{report.data.name}, {count(report.accuracy.samples)} test samples"
    fed = "; ".join((*_fed_files(report), *report.input_notes)) or "input"
    return f"{fed}, {count(report.samples)} samples of {count(report.steps)} steps"


def _fed_files(report: NetworkReport) -> Mapping[str, str]:
    """Files of the input, by path; the file of the network is not one of them."""
    files = report.provenance.files
    return {path: digest for path, digest in files.items() if path != report.file}


def _input(report: NetworkReport) -> tuple[object, ...]:
    """What identifies an input: contents, how it was coded or drawn, and its length."""
    drawn = () if _fed_files(report) else (report.provenance.seed,)
    contents = tuple(sorted(_fed_files(report).values()))
    return (contents, report.input_notes, drawn, report.samples, report.steps, report.dt_s)


def _row(what: str, report: Compared) -> ComparedReport:
    layers = report.layers
    common: dict[str, Any] = {
        "what": what,
        "kind": report.kind,
        "subject": subject(report),
        "neurons": sum(x.neurons for x in layers),
        "spike_rate": spike_rate(report),
        "spikes": sum(x.spikes for x in layers),
        "synops": sum(x.synops for x in layers),
        "dense": sum(x.dense for x in layers),
        "energy": tuple(map(_energy, report.energy)),
    }
    if isinstance(report, NetworkReport):
        return ComparedReport(
            **common,
            name=report.file,
            backend=report.backend,
            samples=report.samples,
            steps=report.steps,
            parameters=sum(x.parameters for x in layers),
        )
    accuracy = report.accuracy
    return ComparedReport(
        **common,
        name=report.model.name,
        backend=report.host.motion_backend,
        verdict=report.verdict,
        scores=Scores(S=accuracy.S, U=accuracy.U, HM=accuracy.HM, ZSL=accuracy.ZSL),
        samples=accuracy.samples,
        steps=report.data.steps,
        parameters=report.model.parameters.total,
        host_flops=report.host.flops,
        host_joules=tuple(map(_energy, report.host.energy)),
    )


def _energy(row: Energy) -> ComparedEnergy:
    return ComparedEnergy(
        device=row.device,
        name=row.name,
        joules_low=row.joules_low,
        joules=row.joules,
        joules_high=row.joules_high,
        static_joules=row.static_joules,
        inherited=row.inherited,
        lower_bound=row.lower_bound,
        as_if=row.as_if,
        warnings=row.warnings,
    )
