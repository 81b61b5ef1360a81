"""What the numbers rest on, and what they leave out."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from neurozsl.core import quantities as q
from neurozsl.deploy.motion import Motion
from neurozsl.models.base import host_parts
from neurozsl.report.schema import NetworkReport, Report, RunReport
from neurozsl.report.show.reading import NOTHING_SPIKES
from neurozsl.report.show.section import Line, Section
from neurozsl.runs.run import Run

_MANY: Final = 0.9  # of the weights: where fewer are left, the branch was pruned
ESTIMATES = (
    "Energies are estimates: counts of this run times published figures, each with its source. "
    "No chip was measured."
)


def notes(run: Run, motion: Motion | None, *, deployed: bool) -> tuple[str, ...]:
    """Of a run."""
    said = [
        ESTIMATES,
        "Host latency is wall time on this machine, batch of up to 32"
        + (", motion branch left out." if motion is not None else "."),
    ]
    if motion is None:
        said.append(NOTHING_SPIKES)
    elif not deployed:
        said.append("The branch ran in Norse on the host; give a bundle to profile a deployment.")
    if motion is not None and motion.policy == "closed":
        said.append(
            "Thresholds follow the layers' own spikes: that ran on the host, no chip here has the "
            "controller for it; a deployment has them frozen."
        )
    if motion is not None:
        said += [f"Input {name}: {x.words}." for name, x in motion.lowered.inputs.items()]
        said += _pruned(motion)
    said += [f"On the host: {part}." for part in host_parts(run.model)]
    if motion is not None and motion.policy == "dynamic":
        said.append("Dynamic thresholds need a programmable neuron (Loihi 2 microcode).")
    said += run.result["warnings"]
    if motion is not None and motion.note:
        said.append(f"{motion.note[0].upper()}{motion.note[1:]}.")
    if run.data.synthetic:
        said.append("Scores on synthetic data say nothing about real videos.")
    return tuple(said)


def _pruned(motion: Motion) -> list[str]:
    """How many weights are left, where many are 0."""
    weights = [s.weight for layer in motion.network.layers for s in layer.synapses]
    left, size = sum(int(np.count_nonzero(w)) for w in weights), sum(w.size for w in weights)
    if left > _MANY * size:
        return []
    return [f"{q.share(left / size)} of the branch's weights are not 0 ({q.count(left)})."]


def _lines(report: Report) -> Iterator[Line]:
    data = report.data.notes if isinstance(report, RunReport) else ()
    yield from (Line(x, ("page", "card")) for x in (*report.notes, *data))
    if isinstance(report, NetworkReport):
        yield from (Line(f"note: {x}", ("terminal",)) for x in report.notes)


SECTION = Section(
    "limits", "Limits, stated plainly", ("notes",),
    fill=lambda context: {"notes": context.notes}, lines=_lines,
)  # fmt: skip
