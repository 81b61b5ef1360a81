"""Motion backends by name: functions ChipInput -> Trace over the parts of one deployment.

norse        the trained branch in Norse cells, float64: the reference
floatsim     the lowered branch in numpy, float64
sinabs       the lowered branch in Sinabs layers, float64
lava_float   the lowered branch on lava-nc's floating-point models
emulator     the integers on our batched emulator of their chip
lava         the integers on lava-nc's bit-accurate models
sinabs_discretised  Speck: the float branch, discretised and run by sinabs' DYNAP-CNN backend in a
             process of its own, with a stand-in for the closed samna
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import BranchSpec, MotionBackend
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.speck.program import AnyProgram, SpeckProgram

RUNS_INTEGERS: Final = ("emulator", "lava", "sinabs_discretised")


@dataclass(frozen=True)
class Parts:
    """One deployment in its three forms; program is None for targets without integers.

    spec: of a model's branch; None of a network that came as a graph, which has no other form.
    """

    spec: BranchSpec | None
    lowered: Lowered
    program: AnyProgram | None = None

    @property
    def reference(self) -> str:
        """The float backend that others are compared with."""
        return "floatsim" if self.spec is None else "norse"


@dataclass(frozen=True)
class RunOptions:
    """How to run: limit of a Lava run, progress of the slow backends, device of the emulator.

    record: "membrane" is kept by norse, floatsim and emulator; the others give spikes, and the
    membrane of layers that do not spike.
    """

    timeout_s: float | None = None
    progress: Progress | None = None
    device: str = "cpu"
    record: tuple[Record, ...] = ("spikes",)


def backend(name: str, parts: Parts, run: RunOptions | None = None) -> MotionBackend:
    """The backend called `name`.

    Raises:
        BadInput: no such backend, or it needs integers and the deployment has none.
    """
    if name not in BACKENDS:
        raise BadInput(f"motion backend '{name}' is unknown; use {', '.join(BACKENDS)}")
    return BACKENDS[name](parts, run or RunOptions())


def _norse(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.norse.branch import run_norse

    spec = parts.spec
    if spec is None:
        raise BadInput(
            "motion backend 'norse' runs the branch of a model, this network came as a file; use "
            "floatsim or sinabs"
        )
    return lambda chip: run_norse(spec, chip, record=run.record)


def _floatsim(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.hardware.floatsim.floatsim import simulate

    return lambda chip: simulate(parts.lowered, chip, record=run.record, progress=run.progress)


def _sinabs(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.backends.sinabs_layers import run_sinabs

    return lambda chip: run_sinabs(parts.lowered, chip)


def _lava_float(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.backends.lava.run import run_lava

    return lambda chip: run_lava(
        parts.lowered, chip, timeout_s=run.timeout_s, progress=run.progress
    )


def _emulator(parts: Parts, run: RunOptions) -> MotionBackend:
    program = _integers(parts, "emulator")
    if isinstance(program, SpeckProgram):
        from neurozsl.hardware.speck.emulator import emulate_speck

        return lambda chip: emulate_speck(program, chip, device=run.device, progress=run.progress)
    from neurozsl.hardware.loihi.emulator import emulate

    return lambda chip: emulate(program, chip, record=run.record, device=run.device)


def _lava(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.backends.lava.run import run_lava

    program = _integers(parts, "lava")
    if not isinstance(program, Program):
        raise BadInput(
            f"motion backend 'lava' runs Loihi's integers, this deployment is for {program.chip}; "
            "export with --target lava"
        )
    return lambda chip: run_lava(program, chip, timeout_s=run.timeout_s, progress=run.progress)


def _sinabs_discretised(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.backends.speck.run import run_discretised

    program = _integers(parts, "sinabs_discretised")
    if not isinstance(program, SpeckProgram):
        raise BadInput(
            f"motion backend 'sinabs_discretised' runs Speck's integers, this deployment is for "
            f"{program.chip}; export with --target speck"
        )
    return lambda chip: run_discretised(parts.lowered, program, chip, timeout_s=run.timeout_s)


def _integers(parts: Parts, name: str) -> AnyProgram:
    if parts.program is None:
        raise BadInput(
            f"motion backend '{name}' runs integers and this deployment has none; export with "
            "--target lava or --target speck"
        )
    return parts.program


BACKENDS: Mapping[str, Callable[[Parts, RunOptions], MotionBackend]] = {
    "norse": _norse,
    "floatsim": _floatsim,
    "sinabs": _sinabs,
    "lava_float": _lava_float,
    "emulator": _emulator,
    "lava": _lava,
    "sinabs_discretised": _sinabs_discretised,
}
