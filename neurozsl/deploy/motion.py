"""The motion branch of a run on its backend, and the network that its operations are counted on."""

from dataclasses import dataclass, replace

from neurozsl.core.signals import MotionBackend, Policy
from neurozsl.deploy.belonging import check_belongs
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.deploy import default_backend
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.base import branch_of
from neurozsl.runs.run import Run


@dataclass(frozen=True)
class Motion:
    """The branch as it ran: where, with which thresholds, and the network that counts.

    run: None where the model's own branch runs. lowered: its float layers, the network itself where
    it ran in float. note: what is not known of the bundle that it came from.
    """

    backend: str
    policy: Policy
    run: MotionBackend | None
    network: ChipProgram | Lowered
    lowered: Lowered
    note: str = ""


def motion(run: Run, opened: Bundle | None, named: str = "") -> Motion | None:
    """The branch of a bundle, else the run's own; None where nothing spikes.

    named: backend of the bundle; "" for the first of its target.

    Raises:
        BadInput: the bundle belongs to another run.
    """
    if opened is not None:
        note = check_belongs(run, opened)
        network = opened.program or opened.parts.lowered
        name = named or default_backend(opened)
        runs, lowered = opened.backend(name), opened.parts.lowered
        return Motion(name, opened.spec.policy, runs, network, lowered, note)
    branch = branch_of(run.model)
    if branch is None or not branch.spiking_layers():
        return None
    spec = branch_spec(run)
    if spec.policy == "closed":  # counts ask for the wiring alone
        lowered = lower(to_nir(replace(spec, policy="fixed")))
        return Motion("norse", spec.policy, None, lowered, lowered)
    lowered = lower(to_nir(spec))
    if run.program is not None:  # trained in integers: they are the model
        integers = backend("emulator", Parts(spec, lowered, run.program))
        return Motion("emulator", spec.policy, integers, run.program, lowered)
    return Motion("norse", spec.policy, backend("norse", Parts(spec, lowered)), lowered, lowered)
