"""Anytime inference: the host stops a sample once the margin of its class is reached.

After every chip step t the host finishes every sample with what is there: mask and spikes of the
first t steps. With d_1 <= d_2 the two smallest calibrated distances (beta added to all classes that
are not unseen, `metrics.predict`),

    margin_t = (d_2 - d_1) / d_2                           in 0..1, no unit

and the sample stops at the first t >= min_steps with margin_t >= threshold, else at its last real
step (the step before its padding begins); its class is that of the stopping step. A threshold of
infinity gives the scores of the whole run, one of 0 stops everything at min_steps. A model that was
trained on whole clips is sure too early, so `choose_stopping` chooses both on validation data.

The chip is asked once, over all steps: a step depends on earlier ones alone, so the trace of a
sample that stops after t steps is the first t steps of its whole trace. What the chip *reads* must
not depend on later steps either. That holds for the event codes, for audio that is coded step by
step, for thresholds that are constants or a table, for those of a closed loop, and for dynamic ones
whose host part is recurrent (MDFT's RJLU). It does not where a host looks at the whole clip before
the first step. No list of models says so: every batch is prepared again with its first t steps
alone, and refused where what the chip had read by then is something else.

The host pays for this: it prepares and finishes a sample once per step, not once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Policy, Trace
from neurozsl.data.batch import Split, Stage
from neurozsl.models.base import ZSLModel, distances, own_trace
from neurozsl.scoring import metrics, road
from neurozsl.scoring.evaluation import Collected, Passed, weighed
from neurozsl.scoring.metrics import Problem
from neurozsl.scoring.road import PreparedBatch, Rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NEVER: Final = math.inf
"""The threshold that no margin reaches."""


@dataclass(frozen=True)
class Stopping:
    """When a sample stops: its margin reaches the threshold, after min_steps at the earliest.

    Raises:
        BadInput: a threshold below 0 or NaN, or less than one step.
    """

    threshold: float
    min_steps: int = 1

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise BadInput(
                f"margin {self.threshold:g}: expected 0 or more (margins lie in 0..1, inf never "
                "stops), or 'auto' for the one that validation data choose"
            )
        if self.min_steps < 1:
            raise BadInput(f"anytime: min_steps {self.min_steps}, expected 1 or more")

    def steps(self, margin: Floats, last: Ints) -> Ints:
        """Steps after which each sample stops, of margins `(time, sample)` and last real steps.

        >>> margin = np.array([[0.1, 0.4], [0.3, 0.1], [0.5, 0.6]])
        >>> Stopping(0.3).steps(margin, np.array([3, 3])).tolist()
        [2, 1]
        >>> Stopping(0.3, min_steps=2).steps(margin, np.array([3, 2])).tolist()
        [2, 2]
        """
        reached = margin >= self.threshold  # NaN is not
        reached[: self.min_steps - 1] = False
        first = np.where(reached.any(0), reached.argmax(0) + 1, len(margin))
        return np.minimum(first, last).astype(np.int64)


@dataclass(frozen=True)
class EveryStep:
    """Some samples as they stand after every step.

    distance: both heads combined, `(time, sample, class)`; NaN before the first real step of a
    sample. embedded: of the first head, `(time, sample, proj)`. last: last real step, `(sample,)`,
    1 where there is none.
    """

    distance: Floats
    embedded: Floats
    last: Ints

    def margins(self, problem: Problem, beta: float) -> Floats:
        """The margin of every sample after every step, `(time, sample)`."""
        return np.stack([margin(x, problem, beta) for x in self.distance])

    def stopped(self, stopping: Stopping, problem: Problem, beta: float) -> Ints:
        """Steps after which each sample stops."""
        return stopping.steps(self.margins(problem, beta), self.last)

    def distance_at(self, steps: Ints) -> Floats:
        """Distances `(sample, class)` of every sample when it stopped."""
        return self.distance[steps - 1, np.arange(len(steps))]

    def embedded_at(self, steps: Ints) -> Floats:
        """Embeddings `(sample, proj)` of every sample when it stopped."""
        return self.embedded[steps - 1, np.arange(len(steps))]

    def at(self, steps: Ints, problem: Problem) -> Collected:
        """What is scored; the heads are combined already."""
        return Collected(self.distance_at(steps)[None], problem)

    @staticmethod
    def join(parts: "Sequence[EveryStep]") -> "EveryStep":
        """Several batches end to end."""
        return EveryStep(
            np.concatenate([x.distance for x in parts], 1),
            np.concatenate([x.embedded for x in parts], 1),
            np.concatenate([x.last for x in parts]),
        )


def margin(distance: Floats, problem: Problem, beta: float) -> Floats:
    """(d_2 - d_1) / d_2 of distances `(sample, class)`, calibrated; 0 where all are 0."""
    stacked = np.ones(distance.shape[1])
    stacked[problem.unseen_ids] = 0
    allowed = np.concatenate([problem.seen_ids, problem.unseen_ids])
    calibrated = (distance + beta * stacked)[:, allowed]
    first, second = np.partition(calibrated, 1, axis=1)[:, :2].T
    gap: Floats = (second - first) / np.where(second > 0, second, 1.0)
    return gap


@dataclass(frozen=True)
class Finisher:
    """What finishes samples at every step.

    words: embedded class vectors `(classes, proj)`. policy: of the thresholds as the branch ran;
    only dynamic ones are read from the chip's input. own: the model's own branch ran, not a chip's.
    """

    model: ZSLModel
    words: Tensor
    head_weight: float
    policy: Policy
    own: bool
    device: torch.device | str = "cpu"

    @classmethod
    def of(
        cls,
        model: ZSLModel,
        vectors: npt.NDArray[np.float32],
        *,
        head_weight: float,
        policy: Policy,
        own: bool,
        device: torch.device | str = "cpu",
    ) -> "Finisher":
        """With the words of the model."""
        with road.at_rest(model):
            words = road.words(model, vectors, device)
        return cls(model, words, head_weight, policy, own, device)

    def keep(self, stage: Stage) -> Callable[[str, Passed], EveryStep]:
        """To keep of every batch of a test (`evaluation.walk`)."""

        def every_step(_: str, passed: Passed) -> EveryStep:
            seen = len(stage.seen)
            split, first = (stage.seen, 0) if passed.parts.rows[0] < seen else (stage.unseen, seen)
            rows = passed.parts.rows - first
            return self.every_step(split, rows, passed.parts, passed.trace)

        return every_step

    def every_step(
        self, split: Split, rows: Rows, whole: PreparedBatch, trace: Trace | None
    ) -> EveryStep:
        """Finish samples `rows` of a split after each of their steps; the model is at rest.

        whole, trace: what was prepared of all steps, and the spikes.

        Raises:
            BadInput: nothing spikes, the model knows no stop, or what the chip reads in the first
                steps depends on later ones.
        """
        if trace is None or whole.chip_input is None:
            raise BadInput(
                "anytime inference: the model has no motion branch, so there are no steps of a "
                "chip to stop; train with motion=true or leave --margin out"
            )
        if whole.made.mask is None:
            raise _no_stop(self.model)
        steps, found, embedded = whole.chip_input.steps, [], []
        for t in range(1, steps + 1):
            parts = road.prepare(self.model, split, rows, device=self.device, stop=t)
            self._check(whole.chip_input, parts, trace, t)
            shown = trace.stopped(np.full(len(rows), t))
            output = road.finish(self.model, parts, shown)
            heads = distances(output, self.words).double().cpu().numpy()
            found.append(weighed(heads, self.head_weight))
            embedded.append(output.heads[0].double().cpu().numpy())
        real = whole.made.mask.cpu().numpy()
        distance = np.stack(found)
        begun = np.logical_or.accumulate(real, axis=1) | ~real.any(axis=1, keepdims=True)
        distance[~begun.T] = np.nan
        last = np.maximum((real * np.arange(1, steps + 1)).max(axis=1), 1)
        return EveryStep(distance, np.stack(embedded), last.astype(np.int64))

    def _check(self, whole: ChipInput, parts: PreparedBatch, trace: Trace, t: int) -> None:
        """Refuse what a chip that stops after t steps could not have read or done."""
        mask = parts.made.mask
        if mask is None or bool(mask[:, t:].any()):
            raise _no_stop(self.model)
        assert parts.chip_input is not None
        known, now = whole.first_steps(t), parts.chip_input.first_steps(t)
        for name, codes in known.codes.items():
            if not np.array_equal(codes, now.codes[name]):
                raise BadInput(
                    f"anytime inference: the codes of input '{name}' in the first {t} steps "
                    "depend on later ones, so a chip that stops there could not have read them; "
                    "code the input step by step, or leave --margin out"
                )
        if self.policy == "dynamic":
            for name, theta in (known.theta or {}).items():
                if not np.array_equal(theta, (now.theta or {})[name]):
                    raise BadInput(
                        f"anytime inference: the dynamic thresholds of layer '{name}' in the first "
                        f"{t} steps depend on later ones (the host looks ahead), so a chip that "
                        "stops there could not have had them; export with --threshold frozen (or "
                        "table) and give that bundle, or train with threshold=fixed"
                    )
        # A chip cannot look ahead. Of the model's own branch that is tried, once a batch.
        if self.own and t == (whole.steps + 1) // 2:
            again = own_trace(self.model, parts.made)
            assert again is not None
            for name, spikes in again.to_numpy().spikes.items():
                if not np.array_equal(spikes[:, :t], trace.to_numpy().spikes[name][:, :t]):
                    raise BadInput(
                        f"anytime inference: the spikes of layer '{name}' in the first {t} steps "
                        "depend on later ones, so no chip could stop there; export with "
                        "--threshold frozen and give that bundle, or leave --margin out"
                    )


def _no_stop(model: ZSLModel) -> BadInput:
    return BadInput(
        f"anytime inference: model '{type(model).__name__}' does not end its mask at "
        "`AVBatch.stop`, so it cannot finish after fewer steps; let its `prepare` begin with "
        "models.sequence.as_steps"
    )


@dataclass(frozen=True)
class Validated:
    """What a threshold does on the validation data that chose it.

    HM, full_HM: with it and without a stop, in percent. steps: mean with it. max_loss: points of HM
    that it was allowed to cost there.
    """

    HM: float
    full_HM: float
    steps: float
    max_loss: float


def choose_stopping(
    found: EveryStep, problem: Problem, beta: float, *, max_loss: float, candidates: int = 64
) -> tuple[Stopping, Validated]:
    """For every first step the smallest threshold whose HM lies at most `max_loss` points below.

    Below that of all steps, that is. Of these pairs it is the one with the fewest steps, the
    earlier first step on ties. Candidates are 0, quantiles of the margins that occur before the
    last step, and infinity, which loses nothing. Only for validation data.
    """
    margins = found.margins(problem, beta)
    early = margins[:-1][np.isfinite(margins[:-1])]
    grid = {0.0, NEVER}
    if early.size:
        grid |= set(np.quantile(early, np.linspace(0, 1, candidates)).tolist())

    def tried(stopping: Stopping) -> tuple[float, float]:
        steps = stopping.steps(margins, found.last)
        return metrics.score(found.distance_at(steps), problem, beta).HM, float(steps.mean())

    full, all_steps = tried(Stopping(NEVER))
    best, basis = Stopping(NEVER), Validated(full, full, all_steps, max_loss)
    for min_steps in range(1, len(margins) + 1):
        for threshold in sorted(grid):
            stopping = Stopping(threshold, min_steps)
            hm, steps = tried(stopping)
            if full - hm <= max_loss:
                if steps < basis.steps:
                    best, basis = stopping, Validated(hm, full, steps, max_loss)
                break
    return best, basis
