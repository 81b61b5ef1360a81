"""Scores of a run on its test splits, with its branch on any backends.

In: an opened `Run`; beta and head weight are those that it chose on validation data.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neurozsl.core.progress import Progress
from neurozsl.core.signals import MotionBackend
from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.export.bundle.build_branch import StepScore
from neurozsl.export.bundle.operations import ScoredStep, mean_operations
from neurozsl.runs.run import Run
from neurozsl.scoring.evaluation import Collected, Evaluation, evaluate, nothing, walk


@dataclass(frozen=True)
class RunScores:
    """What `neurozsl evaluate` reports: scores in percent, and where the motion branch ran.

    beta, head_weight: chosen on validation data. chance: 95th percentile of HM by chance.
    policy: of the thresholds. bundle: its folder, None where the run's own branch was scored.
    anytime: the same test with samples that stop, one per margin. note: of the
    run, where an earlier version made it.
    """

    S: float
    U: float
    HM: float
    ZSL: float
    beta: float
    chance: float
    head_weight: float
    samples: int
    motion_backend: str
    policy: str
    bundle: str | None
    host_device: str = "cpu"
    anytime: tuple[AnytimeScore, ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """What `neurozsl evaluate --json` prints; `anytime` and `note` where there are any."""
        found = {k: v for k, v in asdict(self).items() if k not in ("anytime", "note")}
        found |= {"anytime": [x.as_json() for x in self.anytime]} if self.anytime else {}
        return found | ({"note": self.note} if self.note else {})


def scored(run: Run, collected: Collected) -> Evaluation:
    """The scores that distances lead to, with beta and head weight as the run chose them."""
    return evaluate(collected, beta=run.selected.beta, head_weight=run.selected.head_weight)


def score_backend(
    run: Run, backend: MotionBackend | None, *, progress: Progress | None = None
) -> Evaluation:
    """Scores on the test splits with the branch on a backend (None: the model's own, Norse)."""
    return score_each(run, {"": backend}, progress=progress)[""]


def score_each(
    run: Run, backends: Mapping[str, MotionBackend | None], *, progress: Progress | None = None
) -> dict[str, Evaluation]:
    """Scores with the branch on each of several backends; the host part runs once for all."""
    stage = run.data.stage(2)
    found = walk(run.model, stage, run.data.vectors, backends, keep=nothing, progress=progress)
    return {name: scored(run, collected) for name, (collected, _) in found.items()}


def score_steps(
    run: Run, steps: Mapping[str, ScoredStep], *, progress: Progress | None = None
) -> dict[str, StepScore]:
    """Scores and operations of every step of a deployment; the host part runs once for all."""
    found = walk(
        run.model,
        run.data.stage(2),
        run.data.vectors,
        {name: step.backend for name, step in steps.items()},
        keep=lambda step, passed: steps[step].count(*passed.on_chip),
        progress=progress,
    )
    return {
        name: StepScore(asdict(scored(run, collected).scores), mean_operations(counted))
        for name, (collected, counted) in found.items()
    }
