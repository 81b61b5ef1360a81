"""The test of a run, that walks through its motion branch once.

In: an opened run, its branch on a backend (`deploy.motion`), and when samples stop, if they do.
Out: `WholeTest`: distances, embeddings, codes and spikes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.deploy.anytime import Rule, walk_every_step
from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.deploy.motion import Motion
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import Collected, Passed, walk


@dataclass(frozen=True)
class WholeTest:
    """Of all test samples, seen before unseen.

    embedded: of the joint head, `(sample, proj)`. classes: embedded too, every one of the data set.
    spiked: what the branch read and its spikes; None without one. anytime: where samples were
    stopped, what that changed; everything else is then as they stopped.
    """

    collected: Collected
    embedded: npt.NDArray[np.float64]
    classes: npt.NDArray[np.float64]
    spiked: tuple[ChipInput, Trace] | None
    anytime: AnytimeScore | None = None


def whole_test(run: Run, branch: Motion | None, progress: Progress | None = None) -> WholeTest:
    """Score the test, with the branch on its backend."""

    def keep(_: str, passed: Passed) -> tuple[Any, tuple[ChipInput, Trace] | None]:
        embedded = passed.output.heads[0].double().cpu().numpy()
        return embedded, passed.on_chip if branch is not None else None

    backends = {"": None if branch is None else branch.run}
    [(collected, kept)] = walk(
        run.model, run.data.stage(2), run.data.vectors, backends, keep=keep, progress=progress
    ).values()
    embedded = np.concatenate([x for x, _ in kept])
    spiked = [x for _, x in kept if x is not None]
    return WholeTest(
        collected,
        embedded,
        _classes(run, embedded.shape[-1]),
        road.joined(spiked) if spiked else None,
    )


def stopped_test(
    run: Run, branch: Motion, rule: Rule, progress: Progress | None = None
) -> WholeTest:
    """Score the test with every sample stopped by a rule.

    Raises:
        BadInput: the model or its thresholds cannot be stopped (`scoring.anytime`).
    """
    tested = walk_every_step(run, branch, branch.run, progress=progress)
    steps = tested.steps(rule.stopping)
    embedded = tested.every.embedded_at(steps)
    return WholeTest(
        tested.every.at(steps, tested.problem),
        embedded,
        _classes(run, embedded.shape[-1]),
        (tested.chip_input.stopped(steps), tested.trace.stopped(steps)),
        tested.score(rule, tested.full()),
    )


def _classes(run: Run, width: int) -> npt.NDArray[np.float64]:
    """Embedded classes as the heads are compared with them; a further place has columns behind."""
    with road.at_rest(run.model):
        words = road.words(run.model, run.data.vectors)
    return words[:, :width].double().cpu().numpy()
