"""The motion branch of a run on its backend, with everything that went in and came out.

In: an opened run and, where it was deployed, its bundle. Out: `Motion`, a backend for
`evaluation.collect` that keeps codes and spikes, and the network that they are counted on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from neurozsl.deploy.deploy import branch_spec, check_belongs, default_backend, own_branch
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.base import branch_of
from neurozsl.runs.run import Run
from neurozsl.scoring.recorder import Recorder


@dataclass(frozen=True)
class Motion:
    """The branch as it ran: where, with which thresholds, and the network that counts.

    lowered: its float layers, the network itself where it ran in float.
    """

    backend: str
    policy: str
    recorder: Recorder
    network: ChipProgram | Lowered
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
    branch = branch_of(run.model)
    if branch is None or not branch.spiking_layers():
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
