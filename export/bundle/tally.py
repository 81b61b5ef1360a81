"""A motion backend that adds up the operations of everything it runs.

In: a backend, the network that it runs, and where that lies on Loihi 1, whose figures price a step
of a deployment. Out, after the samples went through: `operations()`, the mean over all samples of
spikes, synaptic operations and neuron updates (`hardware.count.counts`), messages and hops
(`hardware.count.traffic`).
"""

from __future__ import annotations

from typing import Any

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.backends.registry import MotionBackend
from neurozsl.export.bundle.manifest import Operations
from neurozsl.hardware.arithmetic.fit import fit
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.count.counts import Counts, count
from neurozsl.hardware.count.traffic import Mesh, Traffic, traffic
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.place.mapping import Mapping

MESH_CHIP = "loihi1"  # the one chip here whose mesh is published
_COUNTED = ("spikes", "synops", "conv_synops", "active_updates", "inactive_updates")
_SENT = ("messages", "hops_ew", "hops_ns")


def mesh_cores(lowered: Lowered) -> Mapping | None:
    """The cores of a network on Loihi 1; None where it does not fit."""
    return fit(lowered, MESH_CHIP).mapping


def mesh_traffic(
    network: ChipProgram | Lowered, chip_input: ChipInput, trace: Trace, cores: Mapping | None
) -> Traffic | None:
    """Messages and hops on these cores; None without them."""
    return traffic(network, chip_input, trace, cores, Mesh.of(load_chip(MESH_CHIP)))


def operations_of(counts: Counts, sent: Traffic | None) -> Operations:
    """The sums of counts and messages over the layers."""
    found: dict[str, Any] = {key: counts.total(key) for key in _COUNTED}
    found |= {key: getattr(sent, key, None) for key in _SENT}
    return Operations(**found)


class Tally:
    """Runs `backend`; counts on the weights of `network`, on `cores`."""

    def __init__(
        self, network: ChipProgram | Lowered, backend: MotionBackend, cores: Mapping | None = None
    ) -> None:
        self._network, self._backend, self._cores = network, backend, cores
        self._found: list[tuple[int, Operations]] = []  # samples, per inference

    def __call__(self, chip_input: ChipInput) -> Trace:
        trace = self._backend(chip_input)
        counts = count(self._network, chip_input, trace)
        sent = mesh_traffic(self._network, chip_input, trace, self._cores)
        self._found.append((counts.samples, operations_of(counts, sent)))
        return trace

    def operations(self) -> Operations | None:
        """Per inference; None before the first sample."""
        if not self._found:
            return None
        samples = sum(number for number, _ in self._found)

        def mean(key: str) -> float | None:
            values = [(number, getattr(one, key)) for number, one in self._found]
            if any(value is None for _, value in values):
                return None
            return float(sum(number * value for number, value in values)) / samples

        return Operations(**{key: mean(key) for key in Operations.model_fields})  # type: ignore[arg-type]  # None where the model allows it
