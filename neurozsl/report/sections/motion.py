"""The motion branch of a run on its backend, and the test that walks through it once.

In: an opened run and, where it was deployed, its bundle. Out: `Motion`, a backend and the network
that its operations are counted on, and `WholeTest`: distances, embeddings, codes and spikes.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.deploy.deploy import branch_spec, check_belongs, default_backend
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.base import branch_of
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import Collected, Passed, walk


@dataclass(frozen=True)
class Motion:
    """The branch as it ran: where, with which thresholds, and the network that counts.

    run: None where the model's own branch runs. lowered: its float layers, the network itself where
    it ran in float.
    """

    backend: str
    policy: str
    run: MotionBackend | None
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
        return Motion(name, opened.spec.policy, opened.backend(name), network, opened.parts.lowered)
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


@dataclass(frozen=True)
class WholeTest:
    """Of all test samples, seen before unseen.

    embedded: of the joint head, `(sample, proj)`. classes: embedded too, every one of the data set.
    spiked: what the branch read and its spikes; None without one.
    """

    collected: Collected
    embedded: npt.NDArray[np.float64]
    classes: npt.NDArray[np.float64]
    spiked: tuple[ChipInput, Trace] | None


def whole_test(run: Run, branch: Motion | None, progress: Progress | None = None) -> WholeTest:
    """Score the test, with the branch on its backend."""

    def keep(_: str, passed: Passed) -> tuple[Any, tuple[ChipInput, Trace] | None]:
        embedded = passed.output.heads[0].double().cpu().numpy()
        return embedded, passed.on_chip if branch is not None else None

    backends = {"": None if branch is None else branch.run}
    [(collected, kept)] = walk(
        run.model, run.data.stage(2), run.data.vectors, backends, keep=keep, progress=progress
    ).values()
    with road.at_rest(run.model):
        classes = road.words(run.model, run.data.vectors).double().cpu().numpy()
    spiked = [x for _, x in kept if x is not None]
    return WholeTest(
        collected,
        np.concatenate([x for x, _ in kept]),
        classes,
        road.joined(spiked) if spiked else None,
    )
