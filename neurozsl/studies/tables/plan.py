"""Trainings of the rows of tables. Rows that are the same run share it, whatever table they are of.

A run is known by all that it depends on but its data and seed: its folder is named after the model
and the digest of resolved options and training. So Table 2 of a paper finds the runs of Table 1.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput, NeuroZSLError
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca_layout import FeatureName
from neurozsl.data.index import Alignment
from neurozsl.models.baselines.recipes import data_key
from neurozsl.runs import run as runs
from neurozsl.studies.tables.catalogue import PaperTable, TableRow, system
from neurozsl.studies.trainings import Job, new_run
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.published import planned as planned_training
from neurozsl.training.train import make_model


@dataclass(frozen=True)
class TableSettings:
    """What the rows are trained on, and how.

    protocol: "" for each row's own. rules: of every row's protocol, over its own. options: model
    name -> options of that model, under those of a row.
    """

    data: Path
    tables: tuple[PaperTable, ...]
    seeds: int = 3
    protocol: str = ""
    alignment: Alignment = "by_name"
    epochs: int | None = None
    device: str = "cpu"
    rules: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"benchmark: {self.seeds} seeds, expected at least 1")
        compared = {row.model for table in self.tables for row in table.rows}
        other = sorted(set(self.options) - compared)
        if other:
            raise BadInput(
                f"--set {other[0]}.*: no row is of that model; the rows are of "
                f"{', '.join(sorted(compared))}"
            )


@dataclass(frozen=True)
class PlannedRow:
    """A row and its trainings, one per seed; none where it is missing, with the reason.

    options: all of the model's, resolved. train: of seed 0.
    """

    row: TableRow
    missing: str = ""
    jobs: tuple[Job, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    source: str = ""


def plan(
    settings: TableSettings,
    table: PaperTable,
    data: ZSLData,
    features: FeatureName | None,
    out: Path,
) -> tuple[PlannedRow, ...]:
    """The rows of a table on a data set, in order. features: which of a benchmark root are read.

    A row that this data set does not allow is missing, with the reason.

    Raises:
        BadInput: a rule, a protocol or an option that the user gave is not allowed.
    """
    return tuple(_planned(settings, row, data, features, out) for row in table.rows)


def _planned(
    settings: TableSettings, row: TableRow, data: ZSLData, features: FeatureName | None, out: Path
) -> PlannedRow:
    if row.missing:
        return PlannedRow(row, row.missing)
    how = system(row.model, data_key(data.name, str(data.meta.get("split", ""))))
    own = not settings.protocol  # sizes belong to the protocol that they were printed with
    protocol = settings.protocol or row.protocol or how.protocol
    sizes = {**how.train, **row.train} if own else {}
    if settings.epochs is not None:
        sizes["epochs"] = settings.epochs
    given = settings.options.get(row.model, {})
    options = {**how.options, **(how.of_protocol if own else {}), **given, **row.options}
    rules = {**(row.rules if own else {}), **settings.rules}
    asked: dict[str, Any] = {"rules": rules, "device": settings.device, **sizes}
    training = planned_training(protocol, model=row.model, data=data, options=options, **asked)
    try:
        resolved = runs.resolved(make_model(row.model, data, training.options))
    except NeuroZSLError as error:
        if given:  # not the row's fault, perhaps
            raise
        return PlannedRow(row, str(error))
    digest = _digest(row.model, settings.alignment, features, resolved, training.train)
    name = f"{row.model.replace('+', 'p')}-{digest[:12]}"
    jobs = tuple(
        new_run(
            f"{row.label} ({row.model}), seed {seed}",
            out=out / f"{name}-seed{seed}",
            data=settings.data,
            model=row.model,
            seed=seed,
            protocol=protocol,
            label_alignment=settings.alignment,
            features=features,
            options=options,
            **asked,
        )
        for seed in range(settings.seeds)
    )
    return PlannedRow(row, "", jobs, resolved, training.train, how.source)


def _digest(*what: Any) -> str:
    """SHA-256 of values; of a configuration all fields but seed and device."""
    plain = [
        {k: v for k, v in asdict(x).items() if k not in ("seed", "device")}
        if isinstance(x, TrainConfig)
        else x
        for x in what
    ]
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def jobs_of(rows: Sequence[PlannedRow]) -> list[Job]:
    """Every training once, in order."""
    return list({job.out: job for row in rows for job in row.jobs}.values())
