"""Anytime inference of a run: thresholds from validation data, scores and counts as used.

In: an opened run, its branch on a backend, margins (`scoring.anytime`). Out: an `AnytimeScore` per
margin, from one walk over the test: scores of the stopping steps, and the operations of the steps
that ran.

"auto" is chosen with the model of stage 1, which never saw the validation classes, its branch in
float; where the thresholds of a deployment are constants or a table in the place of dynamic ones,
those of the stage-1 branch are frozen to their means first. The figure that it may cost holds on
validation data; what it costs on the test is what the scores say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, MotionBackend, Policy, Trace
from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.deploy.deploy import own_branch
from neurozsl.deploy.motion import Motion, motion
from neurozsl.deploy.score import RunScores, scored
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.hardware.count.counts import Counts, count
from neurozsl.models.base import ZSLModel, branch_model, needed_branch
from neurozsl.runs.run import Run, first_stage_model
from neurozsl.scoring import road
from neurozsl.scoring.anytime import (
    NEVER,
    EveryStep,
    Finisher,
    Stopping,
    Validated,
    choose_stopping,
)
from neurozsl.scoring.evaluation import Collected, Passed, walk
from neurozsl.scoring.metrics import Ints, Problem
from neurozsl.scoring.samples import calibration_of

Margin = float | Literal["auto"]
MAX_LOSS: Final = 0.5
"""Points of HM that "auto" may cost on validation data."""


@dataclass(frozen=True)
class Rule:
    """A margin, resolved: when to stop, and on what that rests."""

    stopping: Stopping
    validated: Validated | None = None


@dataclass(frozen=True)
class SteppedTest:
    """One walk over the test, every step of every sample known.

    collected: of all steps. chip_input, trace: what was read and spiked in all steps.
    """

    run: Run
    branch: Motion
    every: EveryStep
    collected: Collected
    chip_input: ChipInput
    trace: Trace

    @property
    def problem(self) -> Problem:
        """What the test asks."""
        return self.collected.problem

    def steps(self, stopping: Stopping) -> Ints:
        """Steps after which every sample stops."""
        return self.every.stopped(stopping, self.problem, self.run.selected.beta)

    def full(self) -> tuple[float, Counts]:
        """HM and counts without a stop."""
        hm = scored(self.run, self.collected).scores.HM
        return hm, count(self.branch.network, self.chip_input, self.trace)

    def score(self, rule: Rule, full: tuple[float, Counts]) -> AnytimeScore:
        """Scores and counts under a rule."""
        steps = self.steps(rule.stopping)
        scores = scored(self.run, self.every.at(steps, self.problem)).scores
        counts = count(self.branch.network, self.chip_input.stopped(steps), self.trace)
        threshold = rule.stopping.threshold
        return AnytimeScore(
            threshold=None if threshold == NEVER else threshold,
            S=scores.S,
            U=scores.U,
            HM=scores.HM,
            ZSL=scores.ZSL,
            mean_steps=float(steps.mean()),
            stopped=tuple(np.bincount(steps, minlength=self.chip_input.steps + 1)[1:].tolist()),
            synops=counts.total("synops"),
            neuron_updates=counts.total("neuron_updates"),
            full_HM=full[0],
            full_synops=full[1].total("synops"),
            min_steps=rule.stopping.min_steps,
            validated=rule.validated,
        )


def evaluate_anytime(
    run: Run,
    margins: Sequence[Margin],
    *,
    bundle: Path | None = None,
    backend: str = "",
    progress: Progress | None = None,
) -> RunScores:
    """As `deploy.evaluate_run`, from the same walk also with every sample stopped at each margin.

    Raises:
        BadInput: as there; nothing spikes, or what the chip reads follows later steps.
    """
    opened = None if bundle is None else open_bundle(bundle)
    if opened is None and backend:
        raise BadInput(f"backend '{backend}': runs a bundle, and none is given; give both or none")
    branch = motion(run, opened, backend)
    if branch is None:
        raise BadInput(
            f"run '{run.path}': nothing spikes, so there are no steps of a chip to stop; leave "
            "--margin out"
        )
    asked = rules(run, margins, branch.policy)
    # Without a bundle the model's own branch runs, as it does without margins.
    backend_of = None if opened is None else branch.run
    tested = walk_every_step(run, branch, backend_of, progress=progress)
    full = tested.full()
    name, policy = own_branch(run) if opened is None else (branch.backend, str(branch.policy))
    return RunScores(
        note="; ".join(filter(None, (run.note, branch.note))),
        **scored(run, tested.collected).as_json(),
        motion_backend=name,
        policy=policy,
        bundle=None if bundle is None else str(bundle),
        anytime=tuple(tested.score(rule, full) for rule in asked),
    )


def walk_every_step(
    run: Run, branch: Motion, backend: MotionBackend | None, *, progress: Progress | None = None
) -> SteppedTest:
    """Walk over the test once; backend: None runs the model's own branch.

    Raises:
        BadInput: see `scoring.anytime.Finisher.every_step`.
    """
    stage, vectors = run.data.stage(2), run.data.vectors
    finish = finisher_of(run, branch.policy, own=backend is None).keep(stage)

    def keep(name: str, passed: Passed) -> tuple[EveryStep, tuple[ChipInput, Trace]]:
        return finish(name, passed), passed.on_chip

    [(collected, kept)] = walk(
        run.model, stage, vectors, {"": backend}, keep=keep, progress=progress
    ).values()
    chip_input, trace = road.joined([on_chip for _, on_chip in kept])
    return SteppedTest(
        run, branch, EveryStep.join([x for x, _ in kept]), collected, chip_input, trace
    )


def rules(run: Run, margins: Sequence[Margin], policy: Policy) -> tuple[Rule, ...]:
    """Margins as rules; "auto" from the validation data, asked once.

    policy: of the thresholds of the branch that will run.

    Raises:
        BadInput: a margin below 0, or "auto" without the model of stage 1.
    """
    auto = chosen_rule(run, policy) if "auto" in margins else None
    made = []
    for margin in margins:
        if margin == "auto":
            assert auto is not None
            made.append(auto)
        else:
            made.append(Rule(Stopping(float(margin))))
    return tuple(made)


def chosen_rule(run: Run, policy: Policy, *, max_loss: float = MAX_LOSS) -> Rule:
    """What takes the fewest steps and costs at most `max_loss` points of HM on validation data.

    Raises:
        BadInput: the model of stage 1 is missing, or it cannot be stopped.
    """
    # Of a fine-tuned run it is that of the run it began with.
    model, stage = first_stage_model(run.path), run.data.stage(1)
    trained = needed_branch(model).spec().policy
    if trained in ("dynamic", "closed") and policy not in ("dynamic", "closed"):
        theta = calibration_of(model, stage.train, trained).to_numpy().theta or {}
        means = {name: float(np.mean(values)) for name, values in theta.items()}
        model, trained = branch_model(model).frozen(means).eval(), "frozen"
    keep = finisher_of(run, trained, own=True, model=model).keep(stage)
    [(collected, kept)] = walk(model, stage, run.data.vectors, {"": None}, keep=keep).values()
    stopping, validated = choose_stopping(
        EveryStep.join(kept), collected.problem, run.selected.beta, max_loss=max_loss
    )
    return Rule(stopping, validated)


def finisher_of(
    run: Run, policy: Policy, *, own: bool = False, model: ZSLModel | None = None
) -> Finisher:
    """What finishes samples of a run; model: another one than the run's."""
    return Finisher.of(
        run.model if model is None else model,
        run.data.vectors,
        head_weight=run.selected.head_weight,
        policy=policy,
        own=own,
    )
