"""The `NetworkReport`: what the network of a `.nir` file did on an input, and what that costs.

The second kind of report: a file without data set, classes or host part. Counts are per inference
(one sample, all steps) of the run that is named, rates are spikes per neuron and step, energies
joules. Page, card and terminal read a `NetworkReport` and nothing else.
"""

from collections.abc import Sequence

import numpy as np

from neurozsl.core.digest import sha256
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.export.network.network_run import NetworkRun, Source
from neurozsl.export.network.other_choices import other_choices
from neurozsl.hardware.chips.chip import Chip
from neurozsl.report import schema
from neurozsl.report.schema import NetworkReport
from neurozsl.report.sections.context import Context
from neurozsl.report.sections.costs import Devices, costs
from neurozsl.report.sections.document import document
from neurozsl.report.sections.limits import ESTIMATES
from neurozsl.report.sections.pictures import raster_inputs

_RASTER_EVENTS = 40_000  # drawn at most; more are a grey area and megabytes


def report_of(
    done: NetworkRun,
    source: Source,
    *,
    command: str,
    devices: Sequence[Chip] = (),
    step_s: float | None = None,
    score: TaskScore | None = None,
) -> NetworkReport:
    """Count, place and estimate a run of `run_network` on the input of a source.

    command: the line that gives this report again. devices: chips of the user, for energy rows of
    their own. step_s: length of a step in seconds, for static power; None: each chip's own. score:
    of the same input, where it has labels.
    """
    network = done.fed.network
    said = (f"dialect: {network.dialect}, as said",) if network.why == "as said" else ()
    readouts = tuple(x.name for x in network.lowered.layers if x.name not in done.spiking)
    cost = costs(
        done.network,
        network.lowered,
        done.fed.given.chip_input,
        done.trace,
        readouts=readouts,
        devices=Devices(tuple(devices), step_s),
    )
    return document(
        NetworkReport,
        Context(
            cost, (*said, *done.warnings(), *network.notes, ESTIMATES), _raster(done), score=score
        ),
        command=command,
        seed=source.seed,
        files={str(file): sha256(file) for file in (done.fed.file, source.path) if file},
        file=str(done.fed.file),
        sha256=sha256(done.fed.file),
        backend=done.backend,
        chip=done.chip,
        samples=cost.counts.samples,
        steps=cost.counts.steps,
        dt_s=network.lowered.dt_s,
        assumptions=network.assumptions,
        repairs=network.repairs,
        input_notes=(*done.fed.given.notes, *map(str, other_choices(done.fed))),
        readouts=readouts,
    )


def _raster(done: NetworkRun) -> schema.Raster:
    """The first sample, from its first step on: spikes, and the codes that came in."""
    chip_input = done.fed.given.chip_input
    shown = [done.trace.spikes[name][0] for name in done.spiking]
    shown += [codes[0] for codes in chip_input.codes.values()]
    events = sum(np.count_nonzero(x, axis=1) for x in shown)  # (time,)
    steps = max(1, int(np.count_nonzero(np.cumsum(events) <= _RASTER_EVENTS)))
    part = "" if steps == len(events) else f"; the first {steps} of {len(events)} steps"
    return schema.raster(
        {name: done.trace.spikes[name][0, :steps] for name in done.spiking},
        sample="the first sample of the input",
        true_class="",
        predicted_class="",
        inputs=raster_inputs(chip_input, 0, steps),
        frames_note=f"none, the input is codes{part}",
    )
