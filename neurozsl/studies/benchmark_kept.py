"""The runs that a benchmark finds in its folder: rows of its table only where they are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from neurozsl.runs import run as runs
from neurozsl.studies.kept import check_run
from neurozsl.training.train import make_model

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData
    from neurozsl.data.index import Alignment
    from neurozsl.studies.benchmark_plan import BenchmarkSettings, PlannedRun


def check_kept(
    planned: Sequence[PlannedRun], settings: BenchmarkSettings, data: Mapping[str, ZSLData]
) -> None:
    """Refuse run folders that were made in another way: with any other option, given or not.

    data: by label alignment.

    Raises:
        BadInput: naming the run and what differs.
    """

    @cache
    def options(model: str, alignment: Alignment) -> Mapping[str, Any]:
        given = settings.planned(model, 0, data[alignment]).options
        return runs.resolved(make_model(model, data[alignment], given))

    for one in planned:
        if (one.job.out / "run.json").exists():
            check_run(
                one.job.out,
                data=settings.data,
                options=options(one.model, one.alignment),
                whole=True,
                model=one.model,
                label_alignment=one.alignment,
                train=vars(settings.planned(one.model, one.seed, data[one.alignment]).train),
            )
