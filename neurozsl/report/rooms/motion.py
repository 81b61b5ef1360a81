"""The motion branch of a run on its backend, with everything that went in and came out.

In: an opened run and, where it was deployed, its bundle. Out: `Motion`, a backend for
`evaluation.collect` that keeps codes and spikes, and the network that they are counted on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from neurozsl.deploy import branch_spec, check_belongs, default_backend, own_branch
from neurozsl.evaluation import MotionBackend
from neurozsl.export.backends import Parts, backend
from neurozsl.export.bundle import Bundle
from neurozsl.export.graph import to_nir
from neurozsl.hardware.lower import Lowered, lower
from neurozsl.hardware.speck.program import AnyProgram
from neurozsl.runs import Run
from neurozsl.signals import ChipInput, Trace


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


@dataclass(frozen=True)
class Motion:
    """The branch as it ran: where, with which thresholds, and the network that counts.

    lowered: its float layers, the network itself where it ran in float.
    """

    backend: str
    policy: str
    recorder: Recorder
    network: AnyProgram | Lowered
    lowered: Lowered


def motion(run: Run, opened: Bundle | None) -> Motion | None:
    """The branch of a bundle, else the run's own; None where nothing spikes.

    Raises:
        BadInput: the bundle belongs to another run.
    """
    if opened is not None:
        check_belongs(run, opened)
        network = opened.program or opened.parts.lowered
        name = default_backend(opened)
        return Motion(
            name, opened.spec.policy, Recorder(opened.backend(name)), network, opened.parts.lowered
        )
    if run.model.branch is None or run.model.branch.neuron == "mlp":
        return None
    spec = branch_spec(run)
    if spec.policy == "closed":  # counts ask for the wiring alone
        lowered = lower(to_nir(replace(spec, policy="fixed")))
        return Motion("norse", spec.policy, Recorder(own_branch(run.model)), lowered, lowered)
    lowered = lower(to_nir(spec))
    if run.program is not None:  # trained in integers: they are the model
        integers = backend("emulator", Parts(spec, lowered, run.program))
        return Motion("emulator", spec.policy, Recorder(integers), run.program, lowered)
    return Motion(
        "norse", spec.policy, Recorder(backend("norse", Parts(spec, lowered))), lowered, lowered
    )
