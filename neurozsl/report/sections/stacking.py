"""Calibrated stacking: what the constant beta does to the scores of the test."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.report import figures
from neurozsl.report.schema import BetaCurve
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.show.section import Section
from neurozsl.scoring import metrics
from neurozsl.scoring.metrics import Problem


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    return {"beta_curve": beta_curve(test.distance, test.problem, test.run.selected.beta)}


def beta_curve(distance: npt.NDArray[np.float64], problem: Problem, chosen: float) -> BetaCurve:
    """Scores of the test over the grid of beta, and at the one that validation data chose.

    distance: `(sample, class)`. chosen: a point of its own where the grid has none.
    """
    points = tuple(
        metrics.score(distance, problem, b) for b in sorted({*metrics.BETA_GRID, chosen})
    )
    return BetaCurve(points=points, chosen=chosen)


SECTION = Section(
    "stacking", "Calibrated stacking", ("beta_curve",), fill=_fill,
    figures={
        "beta_curve": lambda x: figures.beta_curve(x.beta_curve) if x.beta_curve.points else None
    },
)  # fmt: skip
