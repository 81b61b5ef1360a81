"""The points of the Pareto study: a trained run -> scores, counts and energy of each deployment.

In: finished runs, one per T and seed. Out: the document `pareto.json`:

    points     one per T, seed, bits, policy and target; `on_front` is among the points of its seed
    settings   mean, least and most over the seeds; `on_front` is among these means
    refused    what cannot be made, with the reason
    trained    the runs themselves, in float and with the thresholds they were trained with
    tables     every cost table: name, source of its figures, what it leaves out

The front of a cost table is over HM (more is better) and its dynamic joules per inference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.progress import Progress
from neurozsl.core.signals import BranchSpec, ChipInput, MotionBackend, Trace
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.samples import calibration_input
from neurozsl.deploy.score import scored
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.bundle.policy import apply_policy
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.count.counts import Counts, count
from neurozsl.hardware.energy import ANCHOR, EnergyRow, estimate_all
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.place.place import place
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.scoring.evaluation import Walked, walk
from neurozsl.scoring.road import joined
from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.energy_points import energy_over_seeds, facts, joules_of, marked
from neurozsl.studies.pareto_settings import ParetoSettings, PlannedPoint

SCHEMA: Final = 1
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "loihi2": ("loihi1", "loihi1_sanafe", "loihi2", "cmos45_fp32"),
    "speck2f": ("speck2f", "cmos45_fp32"),
}
"""Cost tables for the integers of each chip."""
SCORES: Final = ("S", "U", "HM", "ZSL", "chance")
COUNTS: Final = (
    "spikes",
    "synops",
    "effective_acs",
    "effective_macs",
    "active_updates",
    "inactive_updates",
)
NOTES: Final = (
    "energy: estimates for the motion branch per inference, counts of this test set x published "
    "figures, nothing was measured; host and static power are not in it",
    "no published figure depends on the width of a weight: fewer bits save energy here only where "
    "weights become 0 or neurons spike less",
)


def measure(
    settings: ParetoSettings,
    planned: Sequence[PlannedPoint],
    refused_steps: Mapping[int, str],
    steps_from: str,
    *,
    progress: StudyProgress | None = None,
) -> dict[str, Any]:
    """The whole document of finished runs.

    refused_steps: T that the data cannot have, with the reason. steps_from: what T means on this
    data. progress: called with points done, points in all and the point.
    """
    points: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = [
        {"steps": t, "policy": None, "bits": None, "target": None, "seed": None, "reason": why}
        for t, why in refused_steps.items()
    ]
    trained, tables = [], dict[str, dict[str, Any]]()
    wanted, data = settings.deployments(), None
    for number, one in enumerate(planned):
        run = runs.open_run(one.job.out)
        data = run.data
        test = {key: run.result["test"][key] for key in (*SCORES, "samples")}
        trained.append({"steps": one.steps, "seed": one.seed, **test})
        deployed, reasons = _all_deployed(run, one, wanted)
        refused += reasons
        done = (number * len(wanted), len(wanted), len(planned) * len(wanted))
        # All operations of a step count as MACs where any sample has a graded value in it, so what
        # was read and spiked is counted together.
        for name, walked in walk(
            run.model,
            run.data.stage(2),
            run.data.vectors,
            {name: x.backend for name, x in deployed.items()},
            keep=lambda _, passed: passed.on_chip,
            progress=_part(progress, one.job.label, *done),
        ).items():
            found, rows = _point(run, deployed[name], walked)
            points.append({**deployed[name].what, **found})
            tables |= facts(rows)
        if progress is not None:
            progress((number + 1) * len(wanted), len(planned) * len(wanted), one.job.label)
    assert data is not None
    return {
        "schema": SCHEMA,
        "model": settings.model,
        "options": settings.trained_options,
        "data": {"name": data.name, "synthetic": data.synthetic},
        "test_samples": trained[0]["samples"],
        "seeds": settings.seeds,
        "steps_from": steps_from,
        "notes": list(NOTES),
        "tables": tables,
        "trained": trained,
        "points": marked(points, by_seed=True),
        "settings": marked(over_seeds(points), by_seed=False),
        "refused": refused,
    }


def _part(
    progress: StudyProgress | None, label: str, before: int, points: int, of: int
) -> Progress | None:
    """The progress of some of the points, which are made together."""
    if progress is None:
        return None
    return lambda done, total: progress(round(before + points * done / total, 2), of, label)


# --- the points of one run -------------------------------------------------------------------


@dataclass(frozen=True)
class _Deployed:
    """The branch of a run in one policy and rounding, on one target.

    what: the keys of its point. cores: of the chip, in use.
    """

    what: Mapping[str, Any]
    program: ChipProgram
    backend: MotionBackend
    cores: int


def _all_deployed(
    run: Run, planned: PlannedPoint, wanted: Sequence[tuple[str, str, int]]
) -> tuple[dict[str, _Deployed], list[dict[str, Any]]]:
    """What can be made of (target, policy, bits), by names, and what cannot, with the reasons."""
    made, refused = dict[str, _Deployed](), []
    spec = canonical(branch_spec(run))
    calibration = calibration_input(run, spec)
    for target, policy, bits in wanted:
        what = {"steps": planned.steps, "policy": policy, "bits": bits, "target": target}
        what["seed"] = planned.seed
        try:
            made[f"{policy}, {bits} bits, {target}"] = _deployed(spec, calibration, what)
        except (BadInput, DoesNotFit) as error:
            refused.append({**what, "reason": str(error)})
    return made, refused


def _deployed(trained: BranchSpec, calibration: ChipInput, what: Mapping[str, Any]) -> _Deployed:
    """Change the policy, round and place.

    Raises:
        BadInput: policy or integers cannot be made. DoesNotFit: not on this chip.
    """
    policy, chosen = what["policy"], find_target(what["target"])
    if chosen.features[policy] == "no":
        raise BadInput(f"target '{what['target']}': it has no {policy} thresholds, use frozen")
    assert chosen.chip is not None
    spec, _ = apply_policy(trained, policy, calibration)
    spec = canonical(spec)
    lowered = lower(to_nir(spec))
    program = quantize(lowered, chosen.chip, bits=what["bits"])
    cores = len(place(program, program.chip).parts)
    return _Deployed(what, program, backend("emulator", Parts(spec, lowered, program)), cores)


def _point(
    run: Run, deployed: _Deployed, walked: Walked[tuple[ChipInput, Trace]]
) -> tuple[dict[str, Any], tuple[EnergyRow, ...]]:
    """Scores, counts and energy, and the rows that the energies come from."""
    result = scored(run, walked.collected).as_json()
    counts = count(deployed.program, *joined(walked.kept))
    rows = energy_rows(counts, deployed.program.chip)
    found = {
        **{key: result[key] for key in SCORES},
        "counts": {key: counts.total(key) for key in COUNTS},
        "spike_rate": counts.total("spikes") / sum(x.neurons * x.steps for x in counts.layers),
        "cores": deployed.cores,
        "energy": joules_of(rows),
    }
    return found, rows


def energy_rows(counts: Counts, chip: str) -> tuple[EnergyRow, ...]:
    """The rows that grow with the counts of a spiking run, one per cost table."""
    rows = estimate_all(counts, TABLES[chip])
    return tuple(row for row in rows if row.method not in ("dense_pass", ANCHOR))


# --- all points ------------------------------------------------------------------------------

_SETTING: Final = ("steps", "policy", "bits", "target")


def over_seeds(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per setting: mean and extremes over its seeds."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault(tuple(point[key] for key in _SETTING), []).append(point)
    rows = []
    for own in groups.values():
        row: dict[str, Any] = {key: own[0][key] for key in _SETTING} | {"seeds": len(own)}
        row |= {key: base.spread([p[key] for p in own]) for key in (*SCORES, "spike_rate")}
        row["counts"] = {key: base.spread([p["counts"][key] for p in own]) for key in COUNTS}
        row["energy"] = energy_over_seeds(own)
        rows.append(row)
    return rows
