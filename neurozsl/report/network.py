"""The `NetworkReport`: what the network of a `.nir` file did on an input, and what that costs.

The second kind of report: a file without data set, classes or host part. Counts are per inference
(one sample, all steps) of the run that is named, rates are spikes per neuron and step, energies
joules. Terminal and Markdown read a `NetworkReport` and nothing else (`network_text`).
"""

from __future__ import annotations

from datetime import UTC, datetime

from neurozsl import __version__
from neurozsl.export.inspection import CHIPS, ChipFit, fit
from neurozsl.export.manifest import sha256
from neurozsl.export.network_run import NetworkRun, Source
from neurozsl.hardware.energy import estimate_all
from neurozsl.report.rows import dense_baseline, layer_rows, spiking_energy
from neurozsl.report.schema import Fit, NetworkReport, Placement, Provenance
from neurozsl.runs import versions

ESTIMATES = (
    "Energies are estimates: counts of this run times published figures, each with its source. "
    "No chip was measured."
)


def report_of(done: NetworkRun, source: Source, *, command: str) -> NetworkReport:
    """Count, place and estimate a run.

    Args:
        done: of `run_network`.
        source: where its input came from.
        command: the line that gives this report again.
    """
    network, counts = done.fed.network, done.counts()
    readouts = tuple(x.name for x in network.lowered.layers if x.name not in done.spiking)
    rows = estimate_all(counts)
    return NetworkReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={**versions(), "neurozsl": __version__},
        file=str(done.fed.file),
        sha256=sha256(done.fed.file),
        backend=done.backend,
        chip=done.chip,
        samples=counts.samples,
        steps=counts.steps,
        dt_s=network.lowered.dt_s,
        assumptions=network.assumptions,
        repairs=network.repairs,
        notes=(*network.notes, ESTIMATES),
        input_notes=done.fed.given.notes,
        layers=layer_rows(counts, done.trace, readouts=readouts),
        readouts=readouts,
        fits=tuple(_fit(fit(network.lowered, chip)) for chip in CHIPS),
        energy=spiking_energy(rows),
        baseline=dense_baseline(counts, rows),
        provenance=Provenance(
            command=command,
            seed=source.seed,
            files={str(file): sha256(file) for file in (done.fed.file, source.path) if file},
        ),
    )


def _fit(found: ChipFit) -> Fit:
    mapping = found.mapping
    placement = None if mapping is None else Placement.model_validate(mapping.as_json())
    return Fit(**found.as_json(), placement=placement)
