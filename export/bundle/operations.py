"""What the branch does in one inference, at every step of a deployment.

In: what a backend read and spiked, batch by batch, the network that it ran, and where that lies on
Loihi 1, whose figures price a step. Out: `mean_operations`, the mean over all samples of spikes,
synaptic operations and neuron updates (`hardware.count.counts`), messages and hops
(`hardware.count.traffic`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.export.bundle.manifest import Operations
from neurozsl.hardware.arithmetic.fit import fit
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.count.counts import Counts, count
from neurozsl.hardware.count.traffic import Traffic, traffic_on
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.place.mapping import Mapping

MESH_CHIP = "loihi1"  # the one chip here whose mesh is published
_COUNTED = ("spikes", "synops", "conv_synops", "active_updates", "inactive_updates")
_SENT = ("messages", "hops_ew", "hops_ns")


def mesh_cores(lowered: Lowered) -> Mapping | None:
    """The cores of a network on Loihi 1; None where it does not fit."""
    return fit(lowered, MESH_CHIP).mapping


def operations_of(counts: Counts, sent: Traffic | None) -> Operations:
    """The sums of counts and messages over the layers."""
    found: dict[str, Any] = {key: counts.total(key) for key in _COUNTED}
    found |= {key: getattr(sent, key, None) for key in _SENT}
    return Operations(**found)


@dataclass(frozen=True)
class BatchOperations:
    """The operations of some samples, per inference."""

    samples: int
    each: Operations


@dataclass(frozen=True)
class ScoredStep:
    """One step of a deployment: what runs its branch, and what its operations are counted on.

    network: gives the weights. cores: where it lies on Loihi 1, None where it does not fit.
    """

    backend: MotionBackend
    network: ChipProgram | Lowered
    cores: Mapping | None = None

    def count(self, chip_input: ChipInput, trace: Trace) -> BatchOperations:
        """The operations of one batch."""
        counts = count(self.network, chip_input, trace)
        chip = load_chip(MESH_CHIP)
        sent = traffic_on(chip, self.network, chip_input, trace, self.cores)
        return BatchOperations(counts.samples, operations_of(counts, sent))


def mean_operations(batches: Sequence[BatchOperations]) -> Operations | None:
    """Per inference, over the samples of all batches; None without any."""
    if not batches:
        return None
    samples = sum(batch.samples for batch in batches)

    def mean(key: str) -> float | None:
        values = [(batch.samples, getattr(batch.each, key)) for batch in batches]
        if any(value is None for _, value in values):
            return None
        return float(sum(number * value for number, value in values)) / samples

    return Operations(**{key: mean(key) for key in Operations.model_fields})  # type: ignore[arg-type]  # None where the model allows it
