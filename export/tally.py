"""A motion backend that adds up the operations of everything it runs.

In: a backend and the network that it runs. Out, after the samples went through: `operations()`,
the mean over all samples of spikes, synaptic operations and neuron updates (`hardware.counts`).
"""

from __future__ import annotations

from neurozsl.export.backends import MotionBackend
from neurozsl.export.manifest import Operations
from neurozsl.hardware.counts import count
from neurozsl.hardware.lower import Lowered
from neurozsl.hardware.speck.program import AnyProgram
from neurozsl.signals import ChipInput, Trace


class Tally:
    """Runs `backend`; counts on the weights of `network`."""

    def __init__(self, network: AnyProgram | Lowered, backend: MotionBackend) -> None:
        self._network, self._backend = network, backend
        self._sums = dict.fromkeys(Operations.model_fields, 0.0)
        self._samples = 0

    def __call__(self, chip_input: ChipInput) -> Trace:
        trace = self._backend(chip_input)
        counts = count(self._network, chip_input, trace)
        for key in self._sums:
            self._sums[key] += counts.total(key) * counts.samples
        self._samples += counts.samples
        return trace

    def operations(self) -> Operations | None:
        """Per inference; None before the first sample."""
        if self._samples == 0:
            return None
        return Operations(**{key: value / self._samples for key, value in self._sums.items()})
