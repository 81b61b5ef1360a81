"""The `NetworkReport` of a network that does not exist yet: layer widths, steps and one spike rate.

Nothing runs: counts are expected values of a chain of dense layers in which every neuron spikes at
the same rate (`hardware.energy.uniform`), so there is no raster, no dead neuron and no placement,
and the report says so. Energies are joules of one inference, as in a report of a run.
"""

import hashlib
from collections.abc import Iterator, Sequence

from neurozsl.core.quantities import si
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy import EnergyRow, uniform_counts
from neurozsl.report.schema import NetworkReport
from neurozsl.report.sections.context import Context
from neurozsl.report.sections.costs import Devices, expected
from neurozsl.report.sections.document import document

BACKEND = "none: expected values"
_DT_S = 1e-3


def report_of_sizes(
    sizes: Sequence[int],
    rate: float,
    steps: int,
    *,
    command: str,
    devices: Sequence[Chip] = (),
    step_s: float | None = None,
) -> NetworkReport:
    """Estimate a feed-forward dense network before it is trained; the rest as `network.report_of`.

    sizes: width of the input, then of every layer. rate: spikes per channel or neuron and step,
    0..1. steps: of one inference.

    Raises:
        BadInput: fewer than two sizes, or a value out of range.
    """
    counts = uniform_counts(sizes, steps, rate)
    found = expected(counts, Devices(tuple(devices), step_s))
    name = "-".join(map(str, sizes))
    notes = (
        "An estimate before training: nothing ran, counts are expected values. Energies are "
        "these counts times published figures, each with its source. Whether a chip holds the "
        "layers was not looked at.",
        *_other_convention(counts, found.rows),
    )
    return document(
        NetworkReport,
        Context(found, notes),
        command=command,
        seed=0,
        file=f"layers {name}",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        backend=BACKEND,
        chip=None,
        samples=counts.samples,
        steps=counts.steps,
        dt_s=_DT_S if step_s is None else step_s,
        assumptions=(
            f"every channel and neuron spikes in a step with probability {rate:g}, each on its own",
            "dense layers without biases, none of their weights 0",
        ),
        repairs=(),
        input_notes=(f"input is assumed: {rate:g} spikes per channel and step",),
        readouts=(),
    )


def _other_convention(counts: Counts, rows: Sequence[EnergyRow]) -> Iterator[str]:
    """Loihi's energy where "active" means a neuron that spikes; both readings are in use."""
    for row in rows:
        each = {term.figure: term.joules_each for term in row.terms}
        if row.key == "loihi1" and "neuron_inactive" in each:
            idle = counts.total("active_updates") - counts.total("spikes")
            joules = row.joules - idle * (each["neuron_active"] - each["neuron_inactive"])
            yield (
                f"An active update is a neuron-step that receives an event: {row.name} takes "
                f"{si(row.joules, 'J')}. Where only neurons that spike are called active it takes "
                f"{si(joules, 'J')}."
            )
