"""`NetworkReport` -> tables for people at a terminal, and a Markdown page for those who are not.

Names of layers and files are data: cells of the page escape what Markdown or HTML would read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.text import Text

from neurozsl.errors import BadInput
from neurozsl.report import quantities as q
from neurozsl.report import reading
from neurozsl.report.files import replace_text
from neurozsl.report.schema import Baseline, Energy, Fit, NetworkReport, to_json
from neurozsl.report.terminal import console, energy_table, layers_table


def print_network(report: NetworkReport, out: Console | None = None) -> None:
    """Print the layers, what fits, the energy by device, and everything that was assumed."""
    base = _baseline(report)
    parts: list[RenderableType] = [
        Text(_head(report), style="bold"),
        Text(),
        layers_table("Layers, per inference", report.layers),
        Text(),
        energy_table([("network", report.energy), (base.name, base.energy)]),
        Text(),
    ]
    parts += [Text(f"{fit.chip}: {_fits(fit)}") for fit in report.fits]
    parts += [Text(f"{word}: {text}") for word, text in _said(report)]
    (out or console()).print(Group(*parts), soft_wrap=True)


def write_markdown(report: NetworkReport, path: Path) -> Path:
    """Write the page and the same report as JSON beside it (`x.md`, `x.json`); returns the latter.

    Raises:
        BadInput: another suffix, or the files cannot be written.
    """
    if path.suffix != ".md":
        raise BadInput(
            f"--report {path}: the report of a network is a Markdown page, its name ends in .md"
        )
    beside = path.with_suffix(".json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(beside, to_json(report))
        replace_text(path, markdown(report))
    except OSError as error:
        raise BadInput(f"--report {path}: cannot be written ({error.strerror})") from None
    return beside


def markdown(report: NetworkReport) -> str:
    """The page as text."""
    base = _baseline(report)
    lines = [f"# {_cell(report.file)}", "", _cell(_head(report)), "", f"{_cell(_reading(report))}"]
    lines += ["", "## Layers, per inference", ""]
    lines += _table(
        ("layer", "inputs", "neurons", "parameters", "spike rate", "spikes", "SynOps",
         "of dense", "silent neurons", "overflow", "saturation"),
        [
            (
                x.name + (" (read-out)" if x.name in report.readouts else ""),
                q.count(x.inputs),
                q.count(x.neurons),
                q.count(x.parameters),
                q.share(x.spike_rate),
                q.count(x.spikes),
                q.count(x.synops),
                q.share(x.synops / x.dense) if x.dense else q.MISSING,
                q.count(x.dead_neurons),
                q.count(x.overflow),
                q.count(x.saturation),
            )
            for x in report.layers
        ],
    )  # fmt: skip
    lines += ["", "## Does it fit", ""]
    lines += _table(
        ("chip", "name", "cores"), [(fit.chip, fit.name, _fits(fit)) for fit in report.fits]
    )
    lines += ["", "## Energy per inference", ""]
    lines += _table(
        ("device", "energy", "published interval", "kind", "latency", "source", "left out"),
        [*map(_energy_row, report.energy), *map(_energy_row, base.energy)],
    )
    lines += ["", f"The last {len(base.energy)} rows: {base.name} ({_cell(base.description)})."]
    lines += ["", "## What this rests on", ""]
    lines += [f"- {word}: {_cell(text)}" for word, text in _said(report)]
    lines += ["", "## Where this comes from", ""]
    lines += [
        f"- {_cell(file)}, SHA-256 {digest}" for file, digest in report.provenance.files.items()
    ]
    lines += [
        f"- command: `{report.provenance.command.replace('`', '')}`",
        "- versions: " + ", ".join(f"{k} {v}" for k, v in report.versions.items()),
        f"- made: {report.created}",
    ]
    return "\n".join(lines) + "\n"


def _baseline(report: NetworkReport) -> Baseline:
    assert report.baseline is not None, "a network report is made with its dense pass"
    return report.baseline


def _head(report: NetworkReport) -> str:
    where = "the float network" if report.chip is None else f"the integers of {report.chip}"
    return (
        f"{report.file}: {q.count(report.samples)} samples of {q.count(report.steps)} steps, "
        f"counts of {where} ({report.backend})"
    )


def _reading(report: NetworkReport) -> str:
    """Activity and energy in two sentences."""
    updates = sum(x.neuron_updates for x in report.layers if x.name not in report.readouts)
    spikes = sum(x.spikes for x in report.layers)
    synops, dense = (sum(getattr(x, key) for x in report.layers) for key in ("synops", "dense"))
    text = (
        f"The network spikes at a mean rate of {q.share(spikes / updates if updates else 0.0)}: "
        f"{q.count(synops)} synaptic operations per inference"
    )
    text += f", {q.share(synops / dense)} of those without sparsity." if dense else "."
    known = sorted((e.joules, e.name) for e in report.energy if e.joules is not None)
    if known:
        (low, low_name), (high, high_name) = known[0], known[-1]
        text += (
            f" Its energy is estimated at {q.si(low, 'J')} ({low_name}) to {q.si(high, 'J')} "
            f"({high_name}), depending on whose figures are used."
        )
    return text


def _fits(fit: Fit) -> str:
    return f"{fit.cores_used} of {fit.cores} cores" if fit.fits else f"no: {fit.reason}"


def _said(report: NetworkReport) -> Iterator[tuple[str, str]]:
    for word, texts in (
        ("note", report.input_notes),
        ("repaired", report.repairs),
        ("assumed", report.assumptions),
        ("note", report.notes),
    ):
        yield from ((word, text) for text in texts)


def _energy_row(row: Energy) -> tuple[str, ...]:
    kind = ("estimate" if row.estimate else "measured") + (", inherited" if row.inherited else "")
    return (
        row.name,
        q.si(row.joules, "J"),
        reading.interval(row),
        kind,
        q.si(row.latency_s, "s"),
        row.source,
        "; ".join(row.excluded),
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *([_cell(x) for x in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cell(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> _cell("a|b <c> *d*")
    'a\\|b \\<c\\> \\*d\\*'
    """
    return re.sub(r"([\\|<>*`\[\]])", r"\\\1", " ".join(text.split()))
