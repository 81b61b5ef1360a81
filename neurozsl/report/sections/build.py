"""`build(run)`: one pass over the test splits gives everything that the report of a run says.

The motion branch runs on its backend: with a bundle as it was deployed (the emulator for integers),
and the host model uses none of its weights. Scores, predictions, embeddings, spikes and the counts
of operations come from the same pass.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.deploy.anytime import Margin, rules
from neurozsl.deploy.motion import motion
from neurozsl.deploy.score import scored
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.hardware.chips.chip import Chip
from neurozsl.report.schema import RunReport
from neurozsl.report.sections import pictures
from neurozsl.report.sections.context import Context, Tested
from neurozsl.report.sections.costs import Devices, costs
from neurozsl.report.sections.document import document
from neurozsl.report.sections.host import host
from neurozsl.report.sections.limits import notes
from neurozsl.report.sections.motion import stopped_test, whole_test
from neurozsl.report.sections.provenance import digests
from neurozsl.runs.run import Run
from neurozsl.scoring.metrics import predict

_TIMED_ROWS = 32


def build(
    run: Run,
    *,
    bundle: Path | None = None,
    command: str = "",
    devices: Sequence[Chip] = (),
    step_s: float | None = None,
    clips: Path | None = None,
    margin: Margin | None = None,
    frontier: Path | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Profile an opened run; command, devices and step_s as in `network.report_of`.

    bundle: folder of a bundle of this run; None profiles the float branch (Norse). clips: folder of
    the recorded clips, to show pictures of one. margin: stop every sample once the margin of its
    class is reached, or where validation data choose ("auto"); scores and counts are then as used.
    frontier: file or folder of a study (`benchmark --frontier`); that of the folder which the run
    lies in needs no name. progress: called with (done, total) test samples.

    Raises:
        BadInput: the bundle is damaged or belongs to another run, or its samples cannot be stopped.
    """
    if step_s is not None and not step_s > 0:
        raise BadInput(f"profile: step_s={step_s}, expected seconds of a time step above 0")
    opened = open_bundle(bundle) if bundle is not None else None
    branch = motion(run, opened)
    if margin is None:
        test = whole_test(run, branch, progress)
    else:
        if branch is None:
            raise BadInput(
                f"run '{run.path}': nothing spikes, so there are no steps of a chip to stop; leave "
                "--margin out"
            )
        [rule] = rules(run, (margin,), branch.policy)
        test = stopped_test(run, branch, rule, progress)
    collected, result = test.collected, scored(run, test.collected)
    distance, problem = collected.combined(run.selected.head_weight), collected.problem
    predicted = predict(distance, problem, run.selected.beta)
    cost = raster = None
    if branch is not None and test.spiked is not None:
        chip_input, trace = test.spiked
        seconds_in = run.data.step_s * float(chip_input.ran.mean())
        unseen = np.isin(problem.label, problem.unseen_ids)
        cost = costs(
            branch.network,
            branch.lowered,
            chip_input,
            trace,
            groups={"seen": ~unseen, "unseen": unseen},
            devices=Devices(tuple(devices), step_s, seconds_in),
            policy=branch.policy,
        )
        raster = pictures.raster(run, chip_input, trace, predicted, problem.label, clips=clips)
    split = run.data.stage(2).seen
    on_host = host(
        run.model,
        split.batch(np.arange(min(_TIMED_ROWS, len(split)))),
        motion_backend=branch.backend if branch else "none",
        spikes=branch is not None,
        link_bytes=cost.counts.link_bytes if cost else None,
    )
    tested = Tested(
        run=run,
        opened=opened,
        result=result,
        problem=problem,
        predicted=predicted,
        distance=distance,
        samples=test.embedded,
        classes=test.classes,
        host=on_host,
        anytime=test.anytime,
        frontier=frontier,
    )
    return document(
        RunReport,
        Context(cost, notes(run, branch, deployed=opened is not None), raster, tested),
        command=command,
        seed=run.settings.train.seed,
        files=digests(run, opened),
    )
