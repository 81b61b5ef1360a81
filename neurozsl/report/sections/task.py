"""What it is right about: the accuracy of a network on labelled samples, per arithmetic."""

from collections.abc import Iterator, Mapping
from typing import Any

from neurozsl.export.bundle.accuracy import accuracy, drop
from neurozsl.export.bundle.task_score import TaskRecall, TaskRow, TaskScore, told
from neurozsl.report.schema import Report
from neurozsl.report.sections.context import Context
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section

_KEY = "sections.task"


def _fill(context: Context) -> Mapping[str, Any]:
    return {} if context.score is None else {"task": context.score}


def _name(row: TaskRow, _: str) -> t.Cell:
    return t.say(row.name, aside="shipped" * row.shipped)


def _accuracy(row: TaskRow, key: str) -> t.Cell:
    if row.accuracy is None:
        return t.say("cannot run", aside=row.error)
    return t.figure(row.accuracy.percent, f"{key}.accuracy.percent", "percent")


def _interval(row: TaskRow, key: str) -> t.Cell:
    if row.accuracy is None:
        return t.EMPTY
    low, high = row.accuracy.low, row.accuracy.high
    ends = (
        t.Number(x, f"{key}.accuracy.{n}", "percent") for x, n in ((low, "low"), (high, "high"))
    )
    return t.say(next(ends), " to ", next(ends))


def _drop(row: TaskRow, key: str) -> t.Cell:
    if row.drop is None:
        return t.EMPTY
    number = t.Number(row.drop.points, f"{key}.drop.points", "number")
    return t.say(number, aside=f"{row.drop.low:.1f} to {row.drop.high:.1f}")


def _changed(title: str, field: str) -> t.Column:
    def cell(row: TaskRow, key: str) -> t.Cell:
        value = None if row.drop is None else getattr(row.drop, field)
        return t.figure(value, f"{key}.drop.{field}")

    return t.Column(title, cell, numeric=True)


ROWS = (
    t.Column("arithmetic", _name),
    t.Column("accuracy", _accuracy, numeric=True, strong=True),
    t.Column("95 % interval", _interval),
    t.Column("drop in points", _drop, numeric=True),
    _changed("lost", "lost"),
    _changed("won", "won"),
    t.number("ties", "ties"),
    t.number("silent", "silent"),
)


def _recall(title: str, field: str) -> t.Column:
    def cell(row: TaskRecall, key: str) -> t.Cell:
        value = getattr(row, field)
        share = f"{100 * value / row.samples:.1f} %"
        return t.figure(value, f"{key}.{field}", aside=share)

    return t.Column(title, cell, numeric=True)


RECALLS = (
    t.number("class", "label"),
    t.number("samples", "samples"),
    _recall("right in float", "float_right"),
    _recall("right as shipped", "right"),
)


def _tables(report: Report) -> Iterator[t.Table]:
    found = report.own("task", TaskScore)
    if found is None:
        return
    yield t.table(
        "rows",
        f"Accuracy on {found.samples:,} labelled samples",
        ROWS,
        found.rows,
        key=f"{_KEY}.rows",
        notes=(
            "Intervals: 95 %, Wilson. A drop compares both on the same samples, so only those that "
            "changed count: lost were right in float and are wrong, won the reverse; beside it its "
            "95 % interval.",
        ),
    )
    title = "Right samples, class by class"
    yield t.table("recalls", title, RECALLS, found.recalls, key=f"{_KEY}.recalls", on=t.PAPER)


def _lines(report: Report) -> Iterator[Line]:
    found = report.own("task", TaskScore)
    if found is None:
        return
    first = 2 if found.doubt else 1  # the verdict; what it rests on is in the table as well
    for place, text in enumerate(told(found)):
        yield Line(text, t.EVERYWHERE if place < first else t.PAPER)


def _example() -> Mapping[str, Any]:
    """Made up."""
    float_row = TaskRow("float", None, False, accuracy(90, 100), ties=2, silent=1)
    eight = TaskRow("8 bits", 8, True, accuracy(87, 100), ties=4, silent=1, drop=drop(4, 1, 100))
    four = TaskRow("4 bits", 4, False, None, error="a made-up reason")
    return {
        "task": TaskScore(
            readout="count",
            output="a made-up layer",
            classes=3,
            samples=100,
            limit=2.0,
            input_sha256="ab" * 32,
            labels_sha256="cd" * 32,
            rows=(float_row, eight, four),
            recalls=(TaskRecall(0, 60, 55, 54), TaskRecall(2, 40, 35, 33)),
            verdict="FAIL",
            reason="accuracy 87.0 % [79.0, 92.2], float 90.0 % [82.6, 94.5]: drop 3.0 points, "
            "limit 2 (--max-acc-drop)",
        )
    }


SECTION = Section(
    "task", "What it is right about", ("task",),
    fill=_fill, tables=_tables, lines=_lines, example=_example,
)  # fmt: skip
