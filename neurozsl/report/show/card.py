"""A report of either kind -> a model card in Markdown, as model hubs show them.

What it is, intended use and limits, then every section with its tables and sentences. The head is
YAML whose values are written as JSON strings, which YAML reads alike. Names are data and escaped.
"""

import json
from collections.abc import Iterable, Iterator

from neurozsl.core.markdown import cell, table
from neurozsl.report.schema import NetworkReport, Report, RunReport
from neurozsl.report.show import reading
from neurozsl.report.show.section import Section, Sections, lines_of, tables_of, there
from neurozsl.report.show.tables import Table, shown, texts


def card(report: Report, sections: Sections) -> str:
    """The card as text."""
    parts: list[Iterable[str]] = [_head(report)]
    if isinstance(report, RunReport):
        parts.append(_run(report))
    elif isinstance(report, NetworkReport):
        parts.append(_network(report))
    parts += [_section(x, report) for x in there(sections, report)]
    blocks = [list(part) for part in parts]
    return "\n".join(line for block in blocks if block for line in (*block, ""))


def _section(section: Section, report: Report) -> Iterator[str]:
    """Title, sentences, tables."""
    tables, lines = tables_of(section, report, "card"), lines_of(section, report, "card")
    if not tables and not lines:
        return
    yield from (f"## {section.title}", "")
    yield from (f"- {cell(line)}" for line in lines)
    for place, found in enumerate(tables):
        yield from ("",) * (place > 0 or bool(lines))
        yield from _table(shown(found, "card"))


def _table(found: Table) -> Iterator[str]:
    yield from (f"**{cell(found.caption)}**", "")
    titles, rows = texts(found)
    yield from table(list(map(cell, titles)), rows)
    if found.notes:
        yield from ("", " ".join(map(cell, found.notes)))


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
    yield from (f"# {cell(f'{report.model.name}{preset} on {report.data.name}')}", "")
    yield f"**{report.verdict}.** {cell(reading.headline(report))}"
    yield from _use(
        report,
        "Recognises classes of short audio-visual clips, also classes that were not in the "
        "training data, from their class vectors. "
        + (
            "The motion branch is built for neuromorphic hardware, the rest runs on the host. "
            if report.layers
            else "All of it runs on the host. "
        )
        + "It is a research model: do not let it decide about people, and do not expect these "
        "scores on classes, cameras or microphones other than those of its data.",
    )
    if report.data.synthetic:
        yield ""
        yield (
            "**The data is synthetic.** These scores show that the path works; they say nothing "
            "about real videos."
        )


def _network(report: NetworkReport) -> Iterator[str]:
    yield from (f"# {cell(report.file)}", "", cell(reading.headline(report)))
    yield from _use(
        report,
        "Layers that nobody has trained. This card states what they would cost if their neurons "
        "spiked at the assumed rate; it knows no task, no accuracy, and not where they fit."
        if reading.is_estimate(report)
        else "A spiking network of a file. "
        + (
            "Its accuracy is that on the labelled samples of the named input, and says nothing "
            "about others: this "
            if report.holds("task")
            else "Nothing is known here of its task or accuracy: this "
        )
        + "card states what it did on the named input, where it fits, and what that costs.",
    )


def _use(report: Report, text: str) -> Iterator[str]:
    """The result in one paragraph, and what the card is good for."""
    yield from ("", cell(reading.reading(report)), "", "## Intended use and limits", "", text)
