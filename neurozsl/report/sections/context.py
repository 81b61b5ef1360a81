"""What was profiled, as the sections read it: `Context`, and of a run `Tested`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.report.schema import Host, Raster
from neurozsl.report.sections.costs import Costs
from neurozsl.runs.run import Run
from neurozsl.scoring.evaluation import Evaluation
from neurozsl.scoring.metrics import Ints, Problem


@dataclass(frozen=True)
class Tested:
    """One pass of a run over its test splits.

    opened: its bundle, where it was deployed. distance: `(sample, class)`, as scored. samples,
    classes: embeddings `(sample, proj)` and `(class, proj)`. anytime: what stopping samples did,
    None where all steps ran. frontier: a study's file or folder.
    """

    run: Run
    opened: Bundle | None
    result: Evaluation
    problem: Problem
    predicted: Ints
    distance: npt.NDArray[np.float64]
    samples: Any
    classes: Any
    host: Host
    anytime: AnytimeScore | None = None
    frontier: Path | None = None


@dataclass(frozen=True)
class Context:
    """What was profiled.

    costs: counts and joules; None where nothing spikes. notes: what the numbers rest on. test: of
    a run alone. score: of a network on labelled samples, where there are some.
    """

    costs: Costs | None
    notes: tuple[str, ...]
    raster: Raster | None = None
    test: Tested | None = None
    score: TaskScore | None = None


Fields = Mapping[str, Any]
"""Of the document, by name."""


def of_costs(fill: Callable[[Costs], Fields]) -> Callable[[Context], Fields]:
    """What fills fields from counts and joules: nothing where nothing spikes."""
    return lambda context: {} if context.costs is None else fill(context.costs)


def of_test(fill: Callable[[Tested], Fields]) -> Callable[[Context], Fields]:
    """What fills fields of a run."""
    return lambda context: {} if context.test is None else fill(context.test)
