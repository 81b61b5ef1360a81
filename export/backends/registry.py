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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import BranchSpec, ChipInput, MotionBackend, Trace
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.speck.program import SpeckProgram

P = TypeVar("P", bound=ChipProgram)


@dataclass(frozen=True)
class Parts:
    """One deployment in its three forms; program is None for targets without integers.

    spec: of a model's branch; None of a network that came as a graph, which has no other form.
    """

    spec: BranchSpec | None
    lowered: Lowered
    program: ChipProgram | None = None

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


@dataclass(frozen=True)
class Backend:
    """One row of the table.

    make: from a deployment and how to run it to the function. chip: whose integers it runs unless
    a deployment names another; None in float.
    """

    make: Callable[[Parts, RunOptions], MotionBackend]
    chip: str | None = None


def backend(
    name: str,
    parts: Parts,
    run: RunOptions | None = None,
    *,
    own: Mapping[str, Backend] | None = None,
) -> MotionBackend:
    """The backend called `name`, of the table or of `own` (`Target.own_backends`).

    Raises:
        BadInput: no such backend, or it needs integers and the deployment has none.
    """
    known = {**BACKENDS, **(own or {})}
    if name not in known:
        raise BadInput(f"motion backend '{name}' is unknown; use {', '.join(known)}")
    return _stopping(known[name].make(parts, run or RunOptions()))


def _stopping(motion: MotionBackend) -> MotionBackend:
    """The backend, silent after the steps that run of a sample (`ChipInput.lengths`).

    Only the emulator does less work for it; the steps before are the same either way.
    """

    def stopped(chip: ChipInput) -> Trace:
        trace = motion(chip)
        return trace if chip.lengths is None else trace.stopped(chip.ran)

    return stopped


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
    from neurozsl.hardware.arithmetic.emulate import emulate
    from neurozsl.hardware.arithmetic.registry import of_program

    program = _integers(parts, "emulator")
    record = run.record if of_program(program).compares_membranes else ("spikes",)
    return lambda chip: emulate(
        program, chip, record=record, device=run.device, progress=run.progress
    )


def _lava(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.backends.lava.run import run_lava

    program = integers(parts, "lava", Program, "Loihi", "lava")
    return lambda chip: run_lava(program, chip, timeout_s=run.timeout_s, progress=run.progress)


def _sinabs_discretised(parts: Parts, run: RunOptions) -> MotionBackend:
    from neurozsl.export.backends.speck.run import run_discretised

    program = integers(parts, "sinabs_discretised", SpeckProgram, "Speck", "speck")
    return lambda chip: run_discretised(parts.lowered, program, chip, timeout_s=run.timeout_s)


def integers(parts: Parts, name: str, kind: type[P], whose: str, target: str) -> P:
    """The program of a deployment, for a backend that runs one kind alone.

    Raises:
        BadInput: there is none, or it is for another chip.
    """
    program = _integers(parts, name)
    if not isinstance(program, kind):
        raise BadInput(
            f"motion backend '{name}' runs {whose}'s integers, this deployment is for "
            f"{program.chip}; export with --target {target}"
        )
    return program


def _integers(parts: Parts, name: str) -> ChipProgram:
    if parts.program is None:
        raise BadInput(
            f"motion backend '{name}' runs integers and this deployment has none; export with "
            "--target lava or --target speck"
        )
    return parts.program


BACKENDS: Final[dict[str, Backend]] = {
    "norse": Backend(_norse),
    "floatsim": Backend(_floatsim),
    "sinabs": Backend(_sinabs),
    "lava_float": Backend(_lava_float),
    "emulator": Backend(_emulator, chip="loihi2"),
    "lava": Backend(_lava, chip="loihi2"),
    "sinabs_discretised": Backend(_sinabs_discretised, chip="speck2f"),
}
RUNS_INTEGERS: Final = {name: one.chip for name, one in BACKENDS.items() if one.chip is not None}
"""Backends that run integers, and the chip whose integers they run unless another is named."""
SECOND_FLOAT: Final = "sinabs"
"""Asked where `Parts.reference` would be compared with itself."""
