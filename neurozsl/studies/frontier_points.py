"""The points of the frontier: a trained run -> scores, operations and energy of its family.

In: finished runs, one per setting and seed. Out: the document `frontier.json`:

    points      one per setting and seed, with its run's folder
    settings    mean, least and most over the seeds, the interval of HM over test sets; `on_front`
                per cost table among the settings that it prices
    host        work and estimated joules of the rest of the model, of a run of each family
    tables      every cost table: name, source of its figures, what it holds and leaves out
    main        the pairs of tables that figure and report show
    statements  which family is cheaper, one per pair of tables (`frontier_statement`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.score import scored
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.count.tally import Network
from neurozsl.hardware.energy import EnergyRow, estimate_all
from neurozsl.hardware.energy.advantage import spiking_rows
from neurozsl.hardware.lower.lower import lower
from neurozsl.models.base import needed_branch, own_trace
from neurozsl.models.motion import SpikingBranch
from neurozsl.report.schema.frontier import SCHEMA, STUDY
from neurozsl.report.sections.host import estimated
from neurozsl.report.sections.host_work import counted_flops
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.scoring import metrics, road
from neurozsl.scoring.evaluation import Collected, Passed, problem_of, walk
from neurozsl.scoring.road import joined
from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.bootstrap import interval, resampled_harmonic_means
from neurozsl.studies.dense_work import DenseWork, together, work_of
from neurozsl.studies.energy_points import energy_over_seeds, facts, joules_of, marked
from neurozsl.studies.frontier_pairs import main_pairs, statements
from neurozsl.studies.frontier_prices import dense_rows
from neurozsl.studies.frontier_settings import FAMILIES, FrontierSettings, Planned, Setting

SCORES: Final = ("S", "U", "HM", "ZSL", "chance")
COUNTS: Final = ("spikes", "synops", "effective_acs", "effective_macs", "neuron_updates")
RESAMPLES: Final = 1000
_HOST_ROWS: Final = 32
NOTES: Final = (
    "energy: estimates for the motion branch per inference, operations of this test set x "
    "published figures, nothing was measured",
    "the dense network of a sentence is the best of all dense settings, of one pass or T, pruned "
    "or not",
    "host: encoders, attention and projections are the same in every family; their energy is not "
    "in these figures, nor is static power, which statements of their own add",
    "figures of chips hold their memory and routing, those of bare arithmetic hold neither: a chip "
    "against arithmetic favours the dense network, arithmetic against arithmetic leaves memory, "
    "neuron updates and control out of both",
    "intervals of HM differences: Student's t over the seeds, paired; with three seeds it is wide "
    "and says little of differences below several points",
)


@dataclass(frozen=True)
class MeasuredRun:
    """One run. operations: by name, per inference. correct: of every test sample."""

    scores: Mapping[str, Any]
    operations: Mapping[str, float]
    rows: tuple[EnergyRow, ...]
    correct: npt.NDArray[np.bool_]


def measure(
    settings: FrontierSettings,
    planned: Sequence[Planned],
    steps_from: str,
    *,
    progress: StudyProgress | None = None,
) -> dict[str, Any]:
    """The whole document of finished runs.

    steps_from: what T means on this data. progress: called with runs done, runs in all and the
    name of one.
    """
    points: list[dict[str, Any]] = []
    host: dict[str, dict[str, float]] = {}
    tables: dict[str, EnergyRow] = {}
    correct: dict[int, dict[Setting, npt.NDArray[np.bool_]]] = {}
    problems, data, samples = dict[int, metrics.Problem](), None, 0
    for number, one in enumerate(planned):
        run = runs.open_run(one.job.out)
        data, problems[one.seed] = run.data, problem_of(run.data.stage(2))
        part = _part(progress, one.job.label, number, len(planned))
        if FAMILIES[one.setting.family].spiking:
            found = _spiking(run, settings.deployed, part)
        else:
            found = _dense(run, part)
        samples = found.scores["samples"]
        if one.setting.family not in host:
            host[one.setting.family] = _host(run)
        correct.setdefault(one.seed, {})[one.setting] = found.correct
        tables |= {row.key: row for row in found.rows}
        points.append(
            {
                **_named(one.setting),
                "seed": one.seed,
                "run": one.job.out.name,
                **{key: found.scores[key] for key in SCORES},
                "operations": found.operations,
                "energy": joules_of(found.rows),
            }
        )
    assert data is not None
    rows = marked(over_seeds(points, _over_test_sets(correct, problems)), by_seed=False)
    found_pairs = statements(rows, tables.values())
    return {
        "schema": SCHEMA,
        "study": STUDY,
        "model": settings.model,
        "options": settings.options,
        "family_options": settings.family_options,
        "epochs": settings.epochs,
        "sparsity_scope": settings.sparsity_scope,
        "deployed": settings.deployed,
        "data": {"name": data.name, "synthetic": data.synthetic, **_made(settings)},
        "test_samples": samples,
        "seeds": settings.seeds,
        "steps_from": steps_from,
        "notes": list(NOTES),
        "families": {
            name: {"said": FAMILIES[name].said, "spiking": FAMILIES[name].spiking}
            for name in settings.families
        },
        "host": host,
        "tables": facts(tables.values()),
        "main": [list(pair) for pair in main_pairs(found_pairs)],
        "statements": found_pairs,
        "settings": rows,
        "points": points,
    }


def _made(settings: FrontierSettings) -> dict[str, Any]:
    """How the synthetic set was made; nothing of given data."""
    if settings.data is not None:
        return {}
    return {"scene_bias": settings.scene_bias, "unbiased_val": settings.unbiased_val}


def _named(setting: Setting) -> dict[str, Any]:
    return {
        "name": setting.name,
        "family": setting.family,
        "widths": list(setting.widths),
        "density": setting.density,
        "steps": setting.steps,
    }


def _part(progress: StudyProgress | None, label: str, done: int, of: int) -> Progress | None:
    """The progress of one run among all."""
    if progress is None:
        return None
    return lambda samples, total: progress(round(done + samples / total, 2), of, label)


# --- one run -----------------------------------------------------------------------------------


def _spiking(run: Run, deployed: bool, progress: Progress | None) -> MeasuredRun:
    """Of the float spikes, or of those of 8-bit integers; thresholds as trained."""
    spec = canonical(branch_spec(run))
    lowered = lower(to_nir(spec))
    network: Network = lowered
    runs_it: MotionBackend | None = None
    if deployed:
        program = quantize(lowered, "loihi2", bits=8)
        network, runs_it = program, backend("emulator", Parts(spec, lowered, program))

    def kept(_: str, passed: Passed) -> tuple[ChipInput, Trace]:
        return passed.on_chip

    walked = walk(
        run.model, run.data.stage(2), run.data.vectors, {"": runs_it}, keep=kept, progress=progress
    )[""]
    counts = count(network, *joined(walked.kept))
    return MeasuredRun(
        scored(run, walked.collected).as_json(),
        {key: counts.total(key) for key in COUNTS},
        spiking_rows(estimate_all(counts)),
        _correct(run, walked.collected),
    )


def _dense(run: Run, progress: Progress | None) -> MeasuredRun:
    """Of a network without spikes, in float."""
    branch = needed_branch(run.model)
    assert isinstance(branch, SpikingBranch)

    def kept(_: str, passed: Passed) -> DenseWork:
        made = passed.parts.made
        assert made.chip_input is not None and passed.trace is not None
        return work_of(branch, made.chip_input, made.mask, passed.trace)

    walked = walk(
        run.model, run.data.stage(2), run.data.vectors, {"": None}, keep=kept, progress=progress
    )[""]
    work = together(walked.kept)
    return MeasuredRun(
        scored(run, walked.collected).as_json(),
        {
            "macs": work.macs_each,
            "nonzero_macs": work.nonzero_each,
            "adds": work.adds / work.samples,
            "nonzero_adds": work.nonzero_adds / work.samples,
        },
        dense_rows(work),
        _correct(run, walked.collected),
    )


def _correct(run: Run, collected: Collected) -> npt.NDArray[np.bool_]:
    distance = collected.combined(run.selected.head_weight)
    found = metrics.predict(distance, collected.problem, run.selected.beta)
    return np.asarray(found == collected.problem.label)


def _host(run: Run) -> dict[str, float]:
    """FLOPs and estimated joules of one inference, all but the motion branch."""
    split = run.data.stage(2).seen
    batch = split.batch(np.arange(min(_HOST_ROWS, len(split))))
    with road.at_rest(run.model):
        trace = own_trace(run.model, run.model.prepare(batch))
    flops = counted_flops(lambda: run.model.finish(trace, run.model.prepare(batch).context))
    row = estimated(flops / len(batch), "")
    assert row.joules_low is not None and row.joules_high is not None
    return {
        "flops": flops / len(batch),
        "joules_low": row.joules_low,
        "joules": row.joules,
        "joules_high": row.joules_high,
    }


# --- over seeds --------------------------------------------------------------------------------


def _over_test_sets(
    correct: Mapping[int, Mapping[Setting, npt.NDArray[np.bool_]]],
    problems: Mapping[int, metrics.Problem],
) -> dict[str, tuple[float, float]]:
    """95 % interval of every setting's mean HM over other test sets, the trainings as they are.

    All settings of a seed read the same draws, so that their differences are paired.
    """
    drawn: dict[str, list[npt.NDArray[np.float64]]] = {}
    for seed, own in correct.items():
        problem = problems[seed]
        hms = resampled_harmonic_means(
            np.stack(list(own.values())),
            problem.label,
            problem.seen_ids,
            problem.unseen_ids,
            resamples=RESAMPLES,
            generator=np.random.default_rng(seed),
        )
        for setting, values in zip(own, hms, strict=True):
            drawn.setdefault(setting.name, []).append(values)
    return {name: interval(np.mean(values, axis=0)) for name, values in drawn.items()}


def over_seeds(
    points: Sequence[Mapping[str, Any]], test_sets: Mapping[str, tuple[float, float]]
) -> list[dict[str, Any]]:
    """One row per setting: mean and extremes over its seeds, which are in order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault(point["name"], []).append(point)
    what = ("name", "family", "widths", "density", "steps")
    return [
        {
            **{key: own[0][key] for key in what},
            "seeds": [p["seed"] for p in own],
            **{key: base.spread([p[key] for p in own]) for key in SCORES},
            "HM_test_interval": list(test_sets[name]),
            "operations": {
                key: base.spread([p["operations"][key] for p in own])
                for key in own[0]["operations"]
            },
            "energy": energy_over_seeds(own),
        }
        for name, own in groups.items()
    ]
