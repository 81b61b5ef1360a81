"""Several models on one data set: the same protocol, several seeds, one table.

Every model x label alignment x seed is a run folder of its own, trained by `neurozsl train` in a
process of its own; a finished one is not trained again. A row has mean and spread over the seeds
of S, U, HM and ZSL, the parameters and the work of an inference, and of the motion branch the spike
rate and an energy estimate, never a measurement (`measured`). Published scores stand beside it with
paper, table and column; on stand-in data they are not comparable.
"""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.folders import write_json
from neurozsl.data.batch import ZSLData
from neurozsl.data.sets.load import load
from neurozsl.scoring.published import of_data
from neurozsl.studies.base import StudyProgress, Table, sole_writer
from neurozsl.studies.benchmark_kept import check_kept
from neurozsl.studies.benchmark_plan import BenchmarkSettings as BenchmarkSettings
from neurozsl.studies.benchmark_plan import PlannedRun as PlannedRun
from neurozsl.studies.benchmark_plan import plan as plan
from neurozsl.studies.measured import ENERGY_CHIP, ENERGY_SAMPLES, SCORES, measured
from neurozsl.studies.row_cells import WORK_COLUMNS, score_cell, work_cells, work_notes
from neurozsl.studies.trainings import train_all


def run(
    settings: BenchmarkSettings,
    *,
    out: Path,
    on: Workers = ALONE,
    progress: StudyProgress | None = None,
) -> dict[str, Any]:
    """Train what is missing in `out`, and summarise; writes `out/benchmark.json`.

    Raises:
        BadInput: the data cannot be read as asked, or `out` holds runs made in another way.
        NeuroZSLError: a training failed; its message is in the error.
    """
    data: dict[str, ZSLData] = {
        a: load(settings.data, label_alignment=a) for a in settings.alignments
    }
    with sole_writer(out):
        planned = plan(settings, out)
        check_kept(planned, settings, data)
        train_all([one.job for one in planned], on=on, progress=progress)
        result = summarise(settings, planned, data)
        write_json(out / "benchmark.json", result)
        return result


def first_runs(settings: BenchmarkSettings, out: Path) -> dict[str, Path]:
    """The run folder of every model's first seed, with the first alignment."""
    chosen = [p for p in plan(settings, out) if p.alignment == settings.alignments[0]]
    return {p.model: p.job.out for p in chosen if p.seed == 0}


def summarise(
    settings: BenchmarkSettings, planned: list[PlannedRun], data: Mapping[str, ZSLData]
) -> dict[str, Any]:
    """The whole result, as `benchmark.json` keeps it."""
    rows = []
    for model, alignment in product(settings.models, settings.alignments):
        own = [p for p in planned if (p.model, p.alignment) == (model, alignment)]
        epochs = settings.planned(model, 0, data[alignment]).train.epochs
        about = {"model": model, "label_alignment": alignment, "epochs": epochs}
        rows.append({**about, **measured([(p.job.out, data[p.alignment]) for p in own])})
    first = data[settings.alignments[0]]
    listed = of_data(first.name, str(first.meta.get("split", "")))
    return {
        "data": {"name": first.name, "synthetic": first.synthetic},
        "protocol": asdict(settings.planned(settings.models[0], 0, first).train),
        "seeds": settings.seeds,
        "rows": rows,
        "left_out": dict(settings.left_out),
        "published": [asdict(row) for row in listed],
        "comparable": not first.synthetic,
        "energy": {
            "kind": "estimate",
            "of": "the motion branch, per inference",
            "chip": ENERGY_CHIP,
            "samples": ENERGY_SAMPLES,
        },
    }


def _cited(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The published rows of the models that were trained."""
    own = {row["model"] for row in result["rows"]}
    own |= {"mdft"} if "mdst" in own else set()
    return [p for p in result["published"] if p["model"] in own]


def _name(row: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The model, with the order of class vectors where the rows are of both."""
    several = len({x["label_alignment"] for x in result["rows"]}) > 1
    return f"{row['model']} ({row['label_alignment']})" if several else str(row["model"])


def table(result: Mapping[str, Any]) -> Table:
    """The one table: own rows, then the published ones of the same models."""
    printed = "published" if result["comparable"] else "published *"
    rows = [
        (_name(row, result), *(score_cell(row[key]) for key in SCORES), *work_cells(row))
        for row in result["rows"]
    ] + [
        (
            f"{p['name']} ({printed})",
            *(f"{p[key]:.2f}" for key in SCORES),
            *[""] * len(WORK_COLUMNS),
        )
        for p in _cited(result)
    ]
    data = result["data"]
    kind = "synthetic data, " if data["synthetic"] else ""
    every = {row.get("epochs", result["protocol"]["epochs"]) for row in result["rows"]}
    epochs = " or ".join(map(str, sorted(every)))  # with recipes, each model's own
    return Table(
        f"{data['name']}: {kind}protocol {result['protocol']['protocol']['name']}, "
        f"{epochs} epochs, {result['seeds']} seeds, percent, mean±sd",
        ("model", *SCORES, *WORK_COLUMNS),
        tuple(rows),
    )


def footnotes(result: Mapping[str, Any]) -> list[str]:
    """Sources and limits of the table's figures, one line each."""
    notes = work_notes((_name(x, result), x) for x in result["rows"])
    notes += [f"{model} is left out: {why}" for model, why in result["left_out"].items()]
    cited = _cited(result)
    for p in cited:
        note = f"; {p['note']}" if p["note"] else ""
        notes.append(f"{p['name']}: {p['paper']}, {p['table']}, columns {p['column']}{note}")
    if cited and not result["comparable"]:
        notes.append("* real features; not comparable with the synthetic data of this table")
    if not result["published"]:
        notes.append("no published figures for this data set")
    return notes
