"""A report of either kind -> a model card in Markdown, as model hubs show them.

What it is, intended use and limits, data, accuracy per deployment step, layers, energy with its
sources, the comparison with a dense pass, and how to get the same numbers. The head is YAML whose
values are written as JSON strings, which YAML reads alike. Names are data and are escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from neurozsl.core import quantities as q
from neurozsl.core.markdown import cell, code, table
from neurozsl.report.schema import Baseline, Energy, NetworkReport, Report, RunReport
from neurozsl.report.show import columns, reading

_NAMED = 40  # classes that are listed; the JSON has all


def card(report: Report) -> str:
    """The card as text."""
    parts: list[Iterable[str]] = [_head(report)]
    if isinstance(report, RunReport):
        parts += [_run(report), _data(report), _accuracy(report)]
    elif isinstance(report, NetworkReport):
        parts += [_network(report)]
    parts += [
        _layers(report),
        _placed(report),
        _energy(report),
        _comparison(report),
        _calibration(report),
        _neurobench(report),
        _verification(report) if isinstance(report, RunReport) else (),
        _limits(report),
        _origin(report),
    ]
    blocks = [list(part) for part in parts]
    return "\n".join(line for block in blocks if block for line in (*block, ""))


def _head(report: Report) -> list[str]:
    """The YAML head: what a hub sorts by, and of a run the scores."""
    tags = ["spiking-neural-network", "neuromorphic"] if report.layers else []
    lines = ["---", "library_name: neurozsl"]
    if isinstance(report, RunReport):
        tags += ["zero-shot-learning", "audio-visual"]
        tags += ["synthetic-data"] * report.data.synthetic
    lines += ["tags:", *(f"- {tag}" for tag in tags)]
    if isinstance(report, RunReport):
        metrics = [
            {"type": name, "name": f"{name}, percent", "value": getattr(report.accuracy, name)}
            for name in ("S", "U", "HM", "ZSL")
        ]
        result = {
            "task": {"type": "video-classification", "name": "generalised zero-shot learning"},
            "dataset": {"type": "other", "name": report.data.name},
            "metrics": metrics,
        }
        index = [{"name": report.model.name, "results": [result]}]
        lines.append(f"model-index: {json.dumps(index, ensure_ascii=False)}")
    return [*lines, "---"]


def _run(report: RunReport) -> Iterator[str]:
    preset = f" ({report.model.preset})" if report.model.preset else ""
    yield f"# {cell(f'{report.model.name}{preset} on {report.data.name}')}"
    yield ""
    yield f"**{report.verdict}.** {cell(reading.headline(report))}"
    yield ""
    yield cell(reading.reading(report))
    yield ""
    yield "## Intended use and limits"
    yield ""
    yield (
        "Recognises classes of short audio-visual clips, also classes that were not in the "
        "training data, from their class vectors. "
        + (
            "The motion branch is built for neuromorphic hardware, the rest runs on the host. "
            if report.layers
            else "All of it runs on the host. "
        )
        + "It is a research model: do not let it decide about people, and do not expect these "
        "scores on classes, cameras or microphones other than those of its data."
    )
    if report.data.synthetic:
        yield ""
        yield (
            "**The data is synthetic.** These scores show that the path works; they say nothing "
            "about real videos."
        )


def _network(report: NetworkReport) -> Iterator[str]:
    yield f"# {cell(report.file)}"
    yield ""
    yield cell(reading.headline(report))
    yield ""
    yield cell(reading.reading(report))
    yield ""
    yield "## Intended use and limits"
    yield ""
    yield (
        "Layers that nobody has trained. This card states what they would cost if their neurons "
        "spiked at the assumed rate; it knows no task, no accuracy, and not where they fit."
        if reading.is_estimate(report)
        else "A spiking network of a file. Nothing is known here of its task or accuracy: this "
        "card states what it did on the named input, where it fits, and what that costs."
    )
    said = [
        *(f"- input: {cell(x)}" for x in report.input_notes),
        *(f"- repaired: {cell(x)}" for x in report.repairs),
        *(f"- assumed: {cell(x)}" for x in report.assumptions),
    ]
    yield from ("", *said) if said else ()


def _data(report: RunReport) -> Iterator[str]:
    data = report.data
    yield "## Data"
    yield ""
    counts = ", ".join(f"{k.replace('_', ' ')} {q.count(n)}" for k, n in data.samples.items())
    kind = ", synthetic" if data.synthetic else ""
    yield f"- {cell(data.name)}{kind}: {cell(counts)}"
    yield f"- {data.steps} steps of {q.si(data.step_s, 's')}; {data.skipped} files skipped"
    for title, names in (("seen", data.classes.seen), ("unseen", data.classes.unseen)):
        shown = "; ".join(map(cell, names[:_NAMED])) or "not listed"  # names may hold commas
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"- {title} classes ({len(names)}): {shown}{more}"
    p = report.model.parameters
    yield (
        f"- parameters: {q.count(p.total)} in all, {q.count(p.motion)} of the motion branch "
        f"(chip), {q.count(p.host)} of the host"
    )


def _accuracy(report: RunReport) -> Iterator[str]:
    yield "## Accuracy per deployment step"
    yield ""
    titles = ("step", "backend", "S", "U", "HM", "ZSL", "spikes", "energy", "latency", "device")
    rows = [
        (
            x.step,
            x.backend,
            *columns.scores(x),
            q.count(x.spikes),
            q.si(x.joules, "J"),
            q.si(x.latency_s, "s"),
            (x.device or "") + " (as-if)" * x.as_if,
        )
        for x in report.deployment
    ]
    scores = columns.scores(report.accuracy)
    alone = ("deployed", report.host.motion_backend, *scores, *[q.MISSING] * 3, "")
    yield from table(titles, rows or [alone])
    yield ""
    chance = ""
    if report.accuracy.chance is not None:
        chance = (
            f" Shuffled class vectors stay below an HM of {q.percent(report.accuracy.chance)} 19 "
            "times out of 20."
        )
    yield (
        "Mean class recall on seen (S) and unseen (U) classes, their harmonic mean (HM), and ZSL, "
        f"with beta = {report.accuracy.beta:g} on {q.count(report.accuracy.samples)} samples."
        f"{chance} Energy: dynamic, estimated, motion branch."
    )


def _layers(report: Report) -> Iterator[str]:
    if not report.layers:
        return
    readouts = report.readouts if isinstance(report, NetworkReport) else ()
    yield "## Layers, per inference"
    for groups in (columns.MAIN, columns.REST):
        shown = [
            (group.title.lower(), column)
            for group in columns.used(groups, report.layers)
            for column in group.columns
        ]
        yield ""
        yield from table(
            ("layer", *(f"{group}: {column.title}" for group, column in shown)),
            [
                (
                    x.name + (" (read-out)" if x.name in readouts else ""),
                    *(q.FORMATS[column.kind](getattr(x, column.field)) for _, column in shown),
                )
                for x in report.layers
            ],
        )


def _placed(report: Report) -> Iterator[str]:
    if report.fits:
        yield "## Does it fit"
        yield ""
        rows = [(fit.chip, fit.name, reading.fit(fit)) for fit in report.fits]
        yield from table(("chip", "name", "cores"), rows)


def _energy(report: Report) -> Iterator[str]:
    yield "## Energy per inference"
    yield ""
    titles = ("runs", "device", "dynamic", "interval", "static", "latency", "kind", "source",
              "left out", "unknown")  # fmt: skip
    groups = columns.energy_groups(report)
    yield from table(titles, [_energy_row(part, row) for part, rows in groups for row in rows])
    yield ""
    yield (
        "Estimates are counts of this run times published figures; static energy is static power "
        "times latency (on a chip without steps: times the length of the input) and comes on top. "
        "As-if: the chip cannot run this network, and is priced as if it did."
    )
    for names, text in reading.warnings(report.energy):
        yield f"- warning, {cell(names)}: {cell(text)}"


def _energy_row(part: str, row: Energy) -> tuple[str, ...]:
    return (
        part,
        row.name,
        q.si(row.joules, "J"),
        reading.interval(row),
        q.si(row.static_joules, "J"),
        q.si(row.latency_s, "s"),
        reading.kind(row),
        row.source,
        "; ".join(row.excluded),
        "; ".join(row.unknown),
    )


def _comparison(report: Report) -> Iterator[str]:
    if report.comparison is None and report.baseline is None:
        return
    yield "## Spikes against a dense pass"
    yield ""
    if report.comparison is not None:
        yield cell(report.comparison.sentence)
        yield ""
    if report.comparison is not None and report.comparison.rows:
        yield from table(
            ("spiking", "dense", "ratio", "interval", "cheaper", "break-even spike rate"),
            [
                (
                    x.spiking + " with static" * x.with_static + " (as-if)" * x.as_if,
                    x.dense,
                    q.ratio(x.ratio),
                    ""
                    if x.ratio_low is None or x.ratio_high is None
                    else f"{q.ratio(x.ratio_low)} to {q.ratio(x.ratio_high)}",
                    x.advantage,
                    "none" if x.break_even_rate is None else q.share(x.break_even_rate),
                )
                for x in report.comparison.rows
            ],
        )
        yield ""
    if report.baseline is not None:
        yield from _baseline(report.baseline)


def _baseline(base: Baseline) -> Iterator[str]:
    yield f"Dense pass: {cell(base.name)}: {cell(base.description)} ({q.count(base.macs)} MACs)."
    if base.accuracy is not None:
        yield ""
        scores = columns.scores(base.accuracy)
        yield from table(("model", "S", "U", "HM", "ZSL"), [(base.name, *scores)])


def _calibration(report: Report) -> Iterator[str]:
    if not report.calibration:
        return
    yield "## Figures against measured chips"
    yield ""
    verdict = {True: "holds", False: "missed", None: "shown only"}
    rows = []
    for x in report.calibration:
        unit = "J" if x.quantity == "energy" else "W"
        bounds = ""
        if x.low is not None and x.high is not None:
            bounds = f"{q.si(x.low, unit)} to {q.si(x.high, unit)}"
        figures = (q.si(x.published, unit), q.si(x.estimate, unit), bounds, q.ratio(x.ratio))
        rows.append((x.device, x.task, *figures, verdict[x.holds], x.test, x.source))
    yield from table(
        ("device", "task", "published", "estimate", "interval", "ratio", "result", "test",
         "source"),
        rows,
    )  # fmt: skip


def _neurobench(report: Report) -> Iterator[str]:
    if report.neurobench is None:
        return
    found = report.neurobench
    yield "## NeuroBench metrics"
    yield ""
    values = found.model_dump(exclude={"differences"})
    yield from table(tuple(values), [[f"{x:,.6g}" for x in values.values()]])
    for x in found.differences:
        yield ""
        yield (
            f"{cell(x.metric)}: NeuroBench {q.count(x.neurobench)}, exact {q.count(x.exact)}; "
            f"{cell(x.why)}."
        )


def _verification(report: RunReport) -> Iterator[str]:
    found = report.verification
    yield "## Verification"
    yield ""
    if found is None:
        yield "Not run; `neurozsl verify` compares the backends bit by bit."
        return
    yield (
        f"{found.verdict} on {q.count(found.samples)} samples; reference simulator: "
        f"{cell(found.oracle or 'none on this machine')}."
    )
    for pair, agreement in found.backends.items():
        worst = min((x.agree for x in agreement.layers), default=None)
        yield f"- {cell(pair)}: at least {q.share(worst)} equal spike bits in every layer"
    yield from (f"- {cell(note)}" for note in found.notes)


def _limits(report: Report) -> Iterator[str]:
    notes = report.notes + (report.data.notes if isinstance(report, RunReport) else ())
    unknown = reading.unknown(report.energy)
    if notes or unknown:
        yield "## What this rests on"
        yield ""
        yield from (f"- {cell(note)}" for note in (*notes, unknown) if note)


def _origin(report: Report) -> Iterator[str]:
    found = report.provenance
    yield "## How to get the same numbers"
    yield ""
    if found.command:
        yield f"- command: {code(found.command)}"
    yield f"- seed: {found.seed}"
    if found.machine:
        yield f"- machine: {cell(found.machine)}"
    yield "- versions: " + ", ".join(f"{cell(k)} {cell(v)}" for k, v in report.versions.items())
    yield from (f"- {cell(file)}, SHA-256 {digest}" for file, digest in found.files.items())
    if isinstance(report, NetworkReport) and report.sha256 not in found.files.values():
        yield f"- {cell(report.file)}, SHA-256 {report.sha256}"
    yield f"- made: {report.created}"
