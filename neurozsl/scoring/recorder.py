"""What a motion backend was given and what it spiked, kept while `evaluation.collect` runs it.

In: any backend, ChipInput -> Trace. Out: the same backend, and after the pass one input and one
trace of all samples, `(sample, time, neuron)`, to count on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.scoring.evaluation import MotionBackend


@dataclass
class Recorder:
    """A motion backend that keeps what went in and out."""

    run: MotionBackend
    inputs: list[ChipInput] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)

    def __call__(self, chip_input: ChipInput) -> Trace:
        trace = self.run(chip_input).to_numpy()
        self.inputs.append(chip_input)
        self.traces.append(trace)
        return trace

    def joined(self) -> tuple[ChipInput, Trace]:
        """Inputs and traces of all batches, end to end."""
        first = self.inputs[0]
        codes = {k: np.concatenate([i.codes[k] for i in self.inputs]) for k in first.codes}
        spikes = {
            k: np.concatenate([t.spikes[k] for t in self.traces]) for k in self.traces[0].spikes
        }
        theta = None
        if first.theta is not None:
            parts = [i.theta for i in self.inputs if i.theta is not None]
            theta = {k: np.concatenate([part[k] for part in parts]) for k in first.theta}
        return ChipInput(codes, first.code, theta), Trace(
            spikes, self._summed("overflow"), self._summed("saturation")
        )

    def _summed(self, key: str) -> dict[str, int]:
        names = getattr(self.traces[0], key)
        return {n: sum(getattr(t, key).get(n, 0) for t in self.traces) for n in names}
