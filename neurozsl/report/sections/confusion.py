"""What samples of unseen classes are taken for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurozsl.report import figures
from neurozsl.report.schema import Confusion, RunReport
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section
from neurozsl.scoring.metrics import Ints, Problem

_LISTED = 12  # pairs of classes


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    return {"confusion": confusion(test.predicted, test.problem, test.run.data.classes)}


def confusion(predicted: Ints, problem: Problem, names: Sequence[str]) -> Confusion:
    """Predictions of the samples of unseen classes; `elsewhere` were called a seen class.

    predicted: class id per sample, among seen and unseen classes. names: of all classes.
    """
    ids = np.sort(problem.unseen_ids)
    rows = np.isin(problem.label, ids)
    true = np.searchsorted(ids, problem.label[rows])
    called = predicted[rows]
    inside = np.isin(called, ids)
    counts = np.zeros((len(ids), len(ids)), np.int64)
    np.add.at(counts, (true[inside], np.searchsorted(ids, called[inside])), 1)
    return Confusion(
        classes=tuple(names[c] for c in ids),
        counts=tuple(map(tuple, counts.tolist())),
        elsewhere=tuple(np.bincount(true[~inside], minlength=len(ids)).tolist()),
    )


def most_confused(found: Confusion) -> list[tuple[int, int]]:
    """Places (true, predicted) of the largest counts off the diagonal, largest first."""
    size = range(len(found.classes))
    pairs = [(a, b) for a in size for b in size if a != b and found.counts[a][b]]
    return sorted(pairs, key=lambda x: -found.counts[x[0]][x[1]])[:_LISTED]


def _tables(report: RunReport) -> Iterator[t.Table]:
    found = report.confusion
    assert found is not None
    columns = (
        t.Column("true class", lambda pair, _: t.say(found.classes[pair[0]])),
        t.Column("called", lambda pair, _: t.say(found.classes[pair[1]])),
        t.Column("samples", lambda pair, key: t.figure(found.counts[pair[0]][pair[1]], key), True),
    )
    pairs, title = most_confused(found), "Most frequent confusions among unseen classes"
    keys = [f"confusion.counts.{a}.{b}" for a, b in pairs]
    yield t.table("pairs", title, columns, pairs, keys=keys, on=("page",))


SECTION = Section(
    "confusion", "What unseen classes are taken for", ("confusion",), fill=_fill, tables=_tables,
    figures={
        "confusion": lambda x: figures.confusion(x.confusion) if x.confusion.classes else None
    },
)  # fmt: skip
