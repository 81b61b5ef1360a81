"""How to get the same numbers: command, seed, versions, and the data and model of a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.core.markdown import Marked, code
from neurozsl.report.schema import NetworkReport, Report, RunReport
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.sections.subject import data_summary, model_summary
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section

_NAMED = 40  # classes that a card lists; the JSON has all


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    return {"data": data_summary(test.run), "model": model_summary(test.run, test.host.flops)}


def _facts(report: Report) -> Iterator[tuple[str, t.Cell]]:
    found = report.provenance
    yield "Seed", t.figure(found.seed, "provenance.seed", "number")
    if found.machine:
        yield "Machine", t.say(found.machine)
    yield "Versions", t.say(", ".join(f"{k} {v}" for k, v in report.versions.items()))
    yield "Made", t.say(report.created)
    if isinstance(report, RunReport):
        yield from _of_run(report)
    elif isinstance(report, NetworkReport) and report.sha256 not in found.files.values():
        yield report.file, t.say(f"SHA-256 {report.sha256}")


def _of_run(report: RunReport) -> Iterator[tuple[str, t.Cell]]:
    data, model, accuracy = report.data, report.model, report.accuracy
    steps = t.Number(data.steps, "data.steps")
    step = t.Number(data.step_s, "data.step_s", "seconds")
    synthetic = " (synthetic)" * data.synthetic
    yield "Data", t.say(f"{data.name}{synthetic}; ", steps, " steps of ", step)
    samples: list[t.Piece] = []
    for split, n in data.samples.items():
        named = f"{', ' * bool(samples)}{split.replace('_', ' ')} "
        samples += [named, t.Number(n, f"data.samples.{split}")]
    if data.skipped:
        samples += ["; ", t.Number(data.skipped, "data.skipped"), " files skipped"]
    scored = t.Number(accuracy.samples, "accuracy.samples")
    yield "Samples", t.say(*samples, "; ", scored, " behind the scores")
    preset = f", preset {model.preset}" if model.preset else ""
    seed = t.Number(model.seed, "model.seed", "number")
    yield "Model", t.say(f"{model.name}{preset}, seed ", seed)
    total, motion, host = (
        t.Number(getattr(model.parameters, part), f"model.parameters.{part}")
        for part in ("total", "motion", "host")
    )
    yield "Parameters", t.say(total, " in all: ", motion, " motion (chip), ", host, " host")
    yield (
        "Calibrated stacking",
        t.say("beta = ", t.Number(accuracy.beta, "accuracy.beta", "number")),
    )
    if model.options:
        options = ", ".join(f"{name}={_text(value)}" for name, value in model.options.items())
        yield "Options", t.say(options)


def _text(value: object) -> str:
    """An option value as text."""
    if isinstance(value, dict):
        return ", ".join(f"{k}={_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


FILES = (
    t.Column("file", lambda pair, _: t.say(pair[0])),
    t.Column("SHA-256", lambda pair, _: t.say(pair[1])),
)


def _tables(report: Report) -> Iterator[t.Table]:
    yield t.facts("facts", "What it was made with", _facts(report), on=t.PAPER)
    files = report.provenance.files.items()
    yield t.table("files", "Files that were read", FILES, files, on=t.PAPER)


def _lines(report: Report) -> Iterator[Line]:
    command = report.provenance.command
    if command:
        yield Line(Marked(f"command: {code(command)}"), ("card",))
    if isinstance(report, RunReport):
        names = report.data.classes
        for title, listed in (("seen", names.seen), ("unseen", names.unseen)):
            shown = "; ".join(listed[:_NAMED]) or "not listed"  # names may hold commas
            more = f" and {q.count(len(listed) - _NAMED)} more" if len(listed) > _NAMED else ""
            yield Line(f"{title} classes ({len(listed)}): {shown}{more}", ("card",))


SECTION = Section(
    "origin", "How to get the same numbers", ("created",),
    fill=_fill, tables=_tables, lines=_lines,
)  # fmt: skip
