"""Reports compared: several runs, bundles or networks beside each other, one row each.

In: reports by the names they were asked for. Out: a `ReportComparison`, its JSON the source of
table, page and card (`compare_text`). Counts are per inference, energies joules, scores percent,
rates 0..1.

Numbers that were not counted on the same data (runs) or on the same input (networks) do not belong
side by side: such a row says so, and why, in `not_comparable`. The first row is what the others are
held against.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from neurozsl.core.errors import BadInput
from neurozsl.core.quantities import count
from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.report.schema import Accuracy, Energy, NetworkReport, Report, RunReport
from neurozsl.report.schema.value import Value
from neurozsl.report.show.reading import spike_rate

DATA = "data (fingerprint of the folder)"
"""Under which name the provenance of a run holds the fingerprint of its data."""


class ComparedReport(Value):
    """One report. `scores` of runs alone; `energy` of the spiking part, `host_joules` of the host.

    subject: data or input that the numbers were counted on, `identity` what tells it from others:
    the fingerprint of a data set, a digest of an input; "" where it is not known. not_comparable:
    why this row does not belong beside the first; empty where it does. task: accuracy of a network
    on labelled samples, where there were some.
    """

    what: str
    kind: Literal["run", "network"]
    name: str
    subject: str
    identity: str = ""
    backend: str
    verdict: str | None = None
    scores: Accuracy | None = None
    task: TaskScore | None = None
    samples: int
    steps: int
    neurons: int
    parameters: int
    spike_rate: float = Field(ge=0)
    spikes: float
    synops: float
    dense: float
    energy: tuple[Energy, ...]
    host_flops: float | None = None
    host_joules: tuple[Energy, ...] = ()
    not_comparable: str = ""


class ReportComparison(Value):
    """All rows, in the order asked for; `devices`: keys of energy rows that any report has."""

    schema_version: Literal[3] = 3
    kind: Literal["comparison"] = "comparison"
    title: str = "Comparison of reports"
    created: str
    devices: tuple[str, ...]
    rows: tuple[ComparedReport, ...]
    notes: tuple[str, ...] = ()


def compare(rows: Sequence[ComparedReport]) -> ReportComparison:
    """Put reports side by side; rows: of `compared`.

    Raises:
        BadInput: fewer than two.
    """
    if len(rows) < 2:
        raise BadInput(
            f"comparison: {len(rows)} report(s), 2 or more are needed; name further runs, "
            "bundles, .nir files or reports"
        )
    rows = [row.model_copy(update={"not_comparable": difference(rows[0], row)}) for row in rows]
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
        devices=tuple(dict.fromkeys(e.key for row in rows for e in row.energy)),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def difference(first: ComparedReport, other: ComparedReport) -> str:
    """Why two reports must not be read against each other; empty where they may."""
    if first.kind != other.kind:
        names = {"run": "a run on data", "network": "a network on an input of its own"}
        return f"{names[other.kind]}, the first row is {names[first.kind]}"
    if first.kind == "run" and not (first.identity and other.identity):
        return "the data of one report are not identified; write it again"
    if first.identity != other.identity:
        what = "data" if first.kind == "run" else "input"
        return f"other {what}: {other.subject}, the first row has {first.subject}"
    if first.task and other.task and first.task.labels_sha256 != other.task.labels_sha256:
        return "other labels of the same input"
    if first.samples != other.samples:
        return f"other test samples: {count(other.samples)}"
    return ""


def compared(what: str, report: Report) -> ComparedReport:
    """The row of a report; `what` was asked for."""
    layers = report.layers
    common: dict[str, Any] = {
        "what": what,
        "neurons": sum(x.neurons for x in layers),
        "spike_rate": spike_rate(report),
        "spikes": sum(x.spikes for x in layers),
        "synops": sum(x.synops for x in layers),
        "dense": sum(x.dense for x in layers),
        "energy": report.energy,
    }
    if isinstance(report, NetworkReport):
        return ComparedReport(
            **common,
            kind="network",
            name=report.file,
            **_input(report),
            backend=report.backend,
            task=report.own("task", TaskScore),
            samples=report.samples,
            steps=report.steps,
            parameters=sum(x.parameters for x in layers),
        )
    assert isinstance(report, RunReport)
    return ComparedReport(
        **common,
        kind="run",
        name=report.model.name,
        subject=f"{report.data.name}, {count(report.accuracy.samples)} test samples"
        + _stopped(report),
        identity=report.provenance.files.get(DATA, ""),
        backend=report.host.motion_backend,
        verdict=report.verdict,
        scores=report.accuracy,
        samples=report.accuracy.samples,
        steps=report.data.steps,
        parameters=report.model.parameters.total,
        host_flops=report.host.flops,
        host_joules=report.host.energy,
    )


def _stopped(report: RunReport) -> str:
    """That samples stopped early, in a few words; their host work is not that of one pass."""
    found = report.own("anytime", AnytimeScore)
    if found is None or found.threshold is None:
        return ""
    return f", stopped after {found.mean_steps:.3g} of {found.steps} steps (host: once a step)"


def _input(report: NetworkReport) -> dict[str, Any]:
    """The input in a few words; a digest of its contents, how it was coded or drawn, its length."""
    files = {path: x for path, x in report.provenance.files.items() if path != report.file}
    fed = "; ".join((*files, *report.input_notes)) or "input"
    drawn = () if files else (report.provenance.seed,)
    length = (report.samples, report.steps, report.dt_s)
    told = json.dumps([sorted(files.values()), report.input_notes, drawn, length])
    return {
        "subject": f"{fed}, {count(report.samples)} samples of {count(report.steps)} steps",
        "identity": hashlib.sha256(told.encode()).hexdigest(),
    }
