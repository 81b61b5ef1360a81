"""What was profiled where it is a file, or an estimate: what ran, and what was assumed."""

from collections.abc import Iterator

from neurozsl.report.schema import NetworkReport
from neurozsl.report.show import tables as t
from neurozsl.report.show.reading import is_estimate
from neurozsl.report.show.section import Line, Section


def _facts(report: NetworkReport) -> Iterator[tuple[str, t.Cell]]:
    steps = t.Number(report.steps, "steps")
    if is_estimate(report):
        yield "Widths", t.say(f"{report.file.removeprefix('layers ')}, the input first")
        yield "Ran on", t.say("nothing: expected values of ", steps, " steps")
        return
    on = f", integers of {report.chip}" if report.chip else ", floating point"
    samples, each = t.Number(report.samples, "samples"), t.Number(report.dt_s, "dt_s", "seconds")
    many = "s" * (report.samples != 1)
    yield "File", t.say(report.file)
    yield "SHA-256", t.say(report.sha256)
    yield "Ran on", t.say(f"{report.backend}{on}")
    yield "Input", t.say(samples, f" sample{many} of ", steps, " steps, ", each, " each")


def _lines(report: NetworkReport) -> Iterator[Line]:
    yield from (Line(f"note: {text}") for text in report.input_notes)
    yield from (Line(f"repaired: {text}") for text in report.repairs)
    yield from (Line(f"assumed: {text}") for text in report.assumptions)


SECTION = Section(
    "file", "What it is, and what was assumed", ("file",), lines=_lines,
    tables=lambda report: (t.facts("file", "What ran", _facts(report), on=t.PAPER),),
)  # fmt: skip
