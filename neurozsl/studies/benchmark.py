"""Several models on one data set: the same protocol, several seeds, one table.

Every model x label alignment x seed is a run folder of its own, trained by `neurozsl train` in a
process of its own; a finished one is not trained again. A row has mean and spread over the seeds
of S, U, HM and ZSL, the parameters, and of the motion branch the spike rate and an energy estimate:
counts on test samples times the published figures of `ENERGY_CHIP`, never a measurement. Published
scores stand beside it with paper, table and column; on stand-in data they are not comparable.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import NeuroZSLError
from neurozsl.core.folders import write_json
from neurozsl.core.quantities import si
from neurozsl.data.batch import ZSLData
from neurozsl.data.sets.load import load
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.energy import EnergyRow, estimate_all
from neurozsl.hardware.lower.lower import lower
from neurozsl.models.base import ZSLModel, branch_of
from neurozsl.runs import run as runs
from neurozsl.scoring import road
from neurozsl.scoring.published import of_data
from neurozsl.scoring.samples import spread as spread_rows
from neurozsl.studies.base import StudyProgress, Table, sole_writer, spread
from neurozsl.studies.benchmark_kept import check_kept
from neurozsl.studies.benchmark_plan import BenchmarkSettings as BenchmarkSettings
from neurozsl.studies.benchmark_plan import PlannedRun as PlannedRun
from neurozsl.studies.benchmark_plan import plan as plan
from neurozsl.studies.trainings import train_all

ENERGY_CHIP = "loihi1"  # the chip with published energies for every term that is counted
ENERGY_SAMPLES = 128  # test samples that spikes and operations are counted on
SCORES = ("S", "U", "HM", "ZSL")


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
        rows.append({**about, **_row(own, data)})
    first = data[settings.alignments[0]]
    listed = of_data(first.name, str(first.meta.get("split", "")))
    return {
        "data": {"name": first.name, "synthetic": first.synthetic},
        "protocol": asdict(settings.planned(settings.models[0], 0, first).train),
        "seeds": settings.seeds,
        "rows": rows,
        "published": [asdict(row) for row in listed],
        "comparable": not first.synthetic,
        "energy": {
            "kind": "estimate",
            "of": "the motion branch, per inference",
            "chip": ENERGY_CHIP,
            "samples": ENERGY_SAMPLES,
        },
    }


def _row(own: list[PlannedRun], data: Mapping[str, ZSLData]) -> dict[str, Any]:
    tests, found, model = [], [], None
    for one in own:
        tests.append(runs.load_result(one.job.out)["test"])
        model = runs.load_model(one.job.out)
        found.append(activity(model, data[one.alignment]))
    assert model is not None
    energies = [x.energy for x in found if x.energy is not None]
    rates = [x.spike_rate for x in found if x.spike_rate is not None]
    return {
        **{key: spread([t[key] for t in tests]) for key in SCORES},
        "parameters": sum(p.numel() for p in model.parameters()),
        "spike_rate": spread(rates) if len(rates) == len(found) else None,
        "joules": spread([e.joules for e in energies]) if len(energies) == len(found) else None,
        "energy_name": energies[0].name if energies else None,
        "energy_source": energies[0].source if energies else None,
        "energy_excluded": list(energies[0].excluded) if energies else [],
        "note": found[0].note,
    }


@dataclass(frozen=True)
class MotionActivity:
    """What the motion branch does; None where nothing spikes, with the reason in `note`."""

    spike_rate: float | None
    energy: EnergyRow | None
    note: str = ""


def activity(model: ZSLModel, data: ZSLData) -> MotionActivity:
    """Spike rate and energy estimate of a model's branch on evenly spread test samples."""
    branch = branch_of(model)
    if branch is None:
        return MotionActivity(None, None, "no spiking branch")
    if not branch.spiking_layers():
        return MotionActivity(None, None, "the branch does not spike (neuron=mlp)")
    stage, passed = data.stage(2), []
    with road.at_rest(model):
        for split in (stage.seen, stage.unseen):
            parts = road.prepare(model, split, spread_rows(len(split), ENERGY_SAMPLES // 2))
            passed.append(road.on_chip(parts, road.trace_of(model, parts)))
    chip_input, trace = road.joined(passed)
    values = trace.spikes.values()
    rate = sum(float(v.sum()) for v in values) / sum(v.size for v in values)
    try:
        network = lower(to_nir(branch.spec()))
        counts = count(network, chip_input, trace)
        return MotionActivity(rate, estimate_all(counts, (ENERGY_CHIP,))[0])
    except NeuroZSLError as error:  # a branch that no chip here can take still has a spike rate
        return MotionActivity(rate, None, str(error))


def _cited(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The published rows of the models that were trained."""
    own = {row["model"] for row in result["rows"]}
    own |= {"mdft"} if "mdst" in own else set()
    return [p for p in result["published"] if p["model"] in own]


def table(result: Mapping[str, Any]) -> Table:
    """The one table: own rows, then the published ones of the same models."""
    printed = "published" if result["comparable"] else "published *"
    rows = [
        (
            f"{row['model']}, {row['label_alignment']}",
            *(_cell(row[key]) for key in SCORES),
            f"{row['parameters']:,}",
            "-" if row["spike_rate"] is None else f"{100 * row['spike_rate']['mean']:.1f} %",
            "-" if row["joules"] is None else si(row["joules"]["mean"], "J"),
        )
        for row in result["rows"]
    ] + [
        (f"{p['name']} ({printed})", *(f"{p[key]:.2f}" for key in SCORES), "", "", "")
        for p in _cited(result)
    ]
    data = result["data"]
    kind = "synthetic data, " if data["synthetic"] else ""
    every = {row.get("epochs", result["protocol"]["epochs"]) for row in result["rows"]}
    epochs = " or ".join(map(str, sorted(every)))  # with recipes, each model's own
    return Table(
        f"{data['name']}: {kind}protocol {result['protocol']['protocol']['name']}, "
        f"{epochs} epochs, {result['seeds']} seeds, percent, mean±sd",
        ("model, class vectors", *SCORES, "weights", "spikes", "energy"),
        tuple(rows),
    )


def footnotes(result: Mapping[str, Any]) -> list[str]:
    """Sources and limits of the table's figures, one line each."""
    notes = ["weights: all parameters; spikes: share of neuron-steps of the motion branch with one"]
    notes += [
        f"energy: estimate for the motion branch on {row['energy_name']}, per inference, "
        f"nothing was measured; {row['energy_source']}"
        for row in result["rows"]
        if row["energy_source"]
    ][:1]
    notes += [
        f"{row['model']}, {row['label_alignment']}: {row['note']}"
        for row in result["rows"]
        if row["note"]
    ]
    cited = _cited(result)
    for p in cited:
        note = f"; {p['note']}" if p["note"] else ""
        notes.append(f"{p['name']}: {p['paper']}, {p['table']}, columns {p['column']}{note}")
    if cited and not result["comparable"]:
        notes.append("* real features; not comparable with the synthetic data of this table")
    if not result["published"]:
        notes.append("no published figures for this data set")
    return notes


def _cell(row: Mapping[str, Any]) -> str:
    """Mean and standard deviation over seeds; the mean alone of one seed."""
    return f"{row['mean']:.1f}" + ("" if row["sd"] is None else f"±{row['sd']:.1f}")
