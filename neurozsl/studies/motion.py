"""What the motion branch is worth: the paper's Table 2 asked again on the synthetic set.

Results are means with the smallest and largest seed; the difference to the model without motion is
paired by seed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from neurozsl.cluster.tasks import Workers
from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress, StudySettings, Table
from neurozsl.studies.trainings import Job, new_run, train_all

SCORES = ("S", "U", "HM", "ZSL")
# variant -> model options on top of the preset `deploy`
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no motion": {"motion": False},
    "SNN, paper's fused head": {"motion_head": False, "gate": "sigmoid"},
    "SNN, motion head": {},
    "MLP, motion head": {"neuron": "mlp"},
    # Control: how much of the head's gain is sound that no scene can bias.
    "SNN on audio alone, motion head": {"motion_inputs": ["audio"]},
}


@dataclass(frozen=True)
class PlannedVariant:
    """One training of the study."""

    variant: str
    bias: float
    seed: int
    job: Job


@dataclass(frozen=True)
class MotionStudy:
    """Every variant at every scene bias."""

    scene_biases: tuple[float, ...] = (0.0, 0.9)

    def run(
        self, settings: StudySettings, *, out: Path, on: Workers, progress: StudyProgress | None
    ) -> dict[str, Any]:
        """Train and compare; see `base.Study`."""
        planned = plan(settings, out)
        base.make_data(settings, out, progress=progress)
        train_all([x.job for x in planned], on=on, progress=progress)
        return {"study": asdict(settings), "rows": summarise(settings, planned)}

    def tables(self, result: Mapping[str, Any]) -> list[Table]:
        """One table per scene bias."""
        return base.tables_by_bias(
            result,
            ", percent, mean (smallest to largest)",
            ("variant", *SCORES, "HM against no motion"),
            lambda row: (
                row["variant"],
                *(base.show_spread(row[k]) for k in SCORES),
                "" if row["hm_gain"] is None else f"{row['hm_gain']:+.1f} points",
            ),
        )


def plan(settings: StudySettings, out: Path) -> list[PlannedVariant]:
    """All trainings of a study, in the order of its variants."""
    planned = []
    for bias, seed, variant in product(settings.scene_biases, range(settings.seeds), VARIANTS):
        slug = "".join(c if c.isalnum() else "-" for c in variant)
        job = new_run(
            f"{variant}, bias {bias}, seed {seed}",
            data=base.data_folder(out, bias, seed),
            out=out / f"{slug}-bias{bias}-seed{seed}",
            seed=seed,
            epochs=settings.epochs,
            options=VARIANTS[variant],
        )
        planned.append(PlannedVariant(variant, bias, seed, job))
    return planned


def summarise(settings: StudySettings, planned: list[PlannedVariant]) -> list[dict[str, Any]]:
    """Mean, extremes and standard deviation per variant and bias, and the paired gain in HM."""
    from neurozsl.runs.run import load_result

    rows: list[dict[str, Any]] = []
    for bias in settings.scene_biases:
        reference: dict[int, float] = {}
        for variant in VARIANTS:
            tests = {
                x.seed: load_result(x.job.out)["test"]
                for x in planned
                if x.variant == variant and x.bias == bias
            }
            row: dict[str, Any] = {"variant": variant, "scene_bias": bias}
            for key in SCORES:
                row[key] = base.spread([t[key] for t in tests.values()])
            reference = reference or {s: t["HM"] for s, t in tests.items()}
            gains = [t["HM"] - reference[s] for s, t in tests.items()]
            row["hm_gain"] = mean(gains) if rows and rows[-1]["scene_bias"] == bias else None
            row["hm_gain_sd"] = stdev(gains) if len(gains) > 1 else None
            rows.append(row)
    return rows
