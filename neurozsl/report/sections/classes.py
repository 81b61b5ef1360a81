"""Class by class: the recall of each, among all classes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurozsl.report.schema import ClassRecall, RunReport
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    """One row per class of the test."""
    unseen = set(test.problem.unseen_ids.tolist())
    rows = (
        ClassRecall(
            name=test.run.data.classes[c],
            role="unseen" if c in unseen else "seen",
            recall=recall,
            samples=int(np.count_nonzero(test.problem.label == c)),
        )
        for c, recall in test.result.recalls.items()
    )
    return {"classes": tuple(rows)}


def _recall(row: ClassRecall, key: str) -> t.Cell:
    return t.say(t.Number(row.recall, f"{key}.recall", "percent"), bar=min(max(row.recall, 0), 100))


COLUMNS = (
    t.words("class", "name"),
    t.Column("recall", _recall, numeric=True),
    t.number("samples", "samples"),
)


def _tables(report: RunReport) -> Iterator[t.Table]:
    for role in ("seen", "unseen"):
        rows = {f"classes.{k}": x for k, x in enumerate(report.classes) if x.role == role}
        title = f"Recall of {role} classes, among all classes"
        yield t.table(role, title, COLUMNS, rows.values(), keys=rows, on=("page",))


SECTION = Section("classes", "Class by class", ("classes",), fill=_fill, tables=_tables)
