"""Run tables of the seed papers on a data set: every row that can be, over seeds, one result each.

Runs lie in one folder for all tables, which belongs to one data set. A row has what `measured`
says of its runs, beside what the paper prints for the data set; where the data are not that data
set with those features, or stand in for it, the two are not comparable.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca_layout import FeatureName, is_avca, present_features
from neurozsl.data.sets.load import load
from neurozsl.runs import run as runs
from neurozsl.studies.base import StudyProgress, claim, sole_writer
from neurozsl.studies.kept import check_run
from neurozsl.studies.measured import ENERGY_CHIP, ENERGY_SAMPLES, measured
from neurozsl.studies.tables.catalogue import PaperTable
from neurozsl.studies.tables.pictures import embedded, over_time
from neurozsl.studies.tables.plan import PlannedRow, TableSettings, jobs_of, plan
from neurozsl.studies.trainings import train_all


@dataclass(frozen=True)
class _Folder:
    """What a folder of tables is: the trainings of rows on one data set."""

    study: str
    data: str


def run(
    settings: TableSettings,
    *,
    out: Path,
    on: Workers = ALONE,
    progress: StudyProgress | None = None,
) -> list[dict[str, Any]]:
    """Train what is missing in `out`, and sum up; writes `out/KEY.json` per table.

    Raises:
        BadInput: the data cannot be read as asked, or `out` holds another study or other runs.
        NeuroZSLError: a training failed; its message is in the error.
    """
    read = {table.key: features_of(settings.data, table) for table in settings.tables}
    data = {
        name: load(settings.data, label_alignment=settings.alignment, feature_name=name)
        for name in set(read.values())
    }
    planned = {
        table.key: plan(settings, table, data[read[table.key]], read[table.key], out)
        for table in settings.tables
    }
    every = [row for rows in planned.values() for row in rows]
    if not any(row.jobs for row in every):
        raise BadInput(
            "benchmark --table: no row can be run: "
            + "; ".join(f"{row.row.label}: {row.missing}" for row in every)
        )
    with sole_writer(out):
        claim(_Folder("tables", str(settings.data.resolve())), out)
        for key, rows in planned.items():
            _check_kept(settings, rows, read[key])
        train_all(jobs_of(every), on=on, progress=progress)
        known: dict[Path, dict[str, Any]] = {}
        results = []
        for table in settings.tables:
            found = summarise(
                settings, table, planned[table.key], data[read[table.key]], known=known
            )
            write_json(out / f"{table.key}.json", found)
            results.append(found)
        return results


def features_of(data: Path, table: PaperTable) -> FeatureName | None:
    """Which features of a benchmark root the table is of; None: those that are there first."""
    if not is_avca(data) or table.features not in present_features(data):
        return None
    return table.features


def summarise(
    settings: TableSettings,
    table: PaperTable,
    rows: tuple[PlannedRow, ...],
    data: ZSLData,
    *,
    known: dict[Path, dict[str, Any]],
) -> dict[str, Any]:
    """One table's result, as its JSON file keeps it.

    known: rows that were measured before, by the folder of their first run; gets the new ones.
    """
    dataset, same = printed_for(table, data)
    return {
        "table": table.key,
        "paper": table.paper,
        "printed": table.printed,
        "title": table.title,
        "columns": list(table.columns),
        "column": table.column(dataset),
        "note": table.note,
        "plot": table.plot,
        "axis": table.axis,
        "data": {"name": data.name, "synthetic": data.synthetic},
        "comparable": same and not data.synthetic,
        "seeds": settings.seeds,
        "rows": [_row(row, dataset, data, known) | _pictured(table, row, data) for row in rows],
        "energy": {
            "kind": "estimate",
            "of": "the motion branch, per inference",
            "chip": ENERGY_CHIP,
            "samples": ENERGY_SAMPLES,
        },
    }


def printed_for(table: PaperTable, data: ZSLData) -> tuple[str, bool]:
    """The data set whose printed figures stand beside the rows, and whether the data are of it.

    For other data than the table's, those of UCF, or of the first that it has.
    """
    name = data.name.split(" ")[0]
    features = str(data.meta.get("split", "")).removesuffix("_split")
    if name in table.datasets and features == table.features:
        return name, True
    close = [x for x in (name, "ucf") if x in table.datasets]
    return (close or list(table.datasets))[0], False


def _row(
    planned: PlannedRow, dataset: str, data: ZSLData, known: dict[Path, dict[str, Any]]
) -> dict[str, Any]:
    row = planned.row
    about: dict[str, Any] = {
        "label": row.label,
        "model": row.model,
        "options": dict(row.options),
        "reading": row.reading,
        "series": row.series,
        "place": row.place,
        "published": dict(row.published.get(dataset, {})),
        "missing": planned.missing,
    }
    if planned.missing:
        return about
    first = planned.jobs[0].out
    if first not in known:
        known[first] = measured([(job.out, data) for job in planned.jobs])
    train: Mapping[str, Any] = asdict(planned.train)
    how = {
        "protocol": train["protocol"]["name"],
        **{key: train[key] for key in ("epochs", "batch", "lr")},
        "trained_as": planned.source,
        "runs": [job.out.name for job in planned.jobs],
    }
    return {**about, **how, **known[first]}


def _pictured(table: PaperTable, row: PlannedRow, data: ZSLData) -> dict[str, Any]:
    """What the table's figure shows of the row's first run."""
    if row.missing or table.plot not in ("sweep", "embedding"):
        return {}
    model = runs.load_model(row.jobs[0].out)
    if table.plot == "sweep":
        return {"over_time": over_time(model, data)}
    return {"embedded": embedded(model, data)}


def _check_kept(
    settings: TableSettings, rows: tuple[PlannedRow, ...], features: FeatureName | None
) -> None:
    """Refuse run folders that were made in another way: with any other option, given or not.

    Raises:
        BadInput: naming the run and what differs.
    """
    for row in rows:
        for seed, job in enumerate(row.jobs):
            if (job.out / "run.json").exists():
                check_run(
                    job.out,
                    data=settings.data,
                    options=row.options,
                    whole=True,
                    model=row.row.model,
                    label_alignment=settings.alignment,
                    feature_name=features,
                    train={**vars(row.train), "seed": seed},
                )
