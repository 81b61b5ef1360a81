"""Target `speck`: Speck 2f, integrate-and-fire layers on nine cores, in integers.

Integers run on our emulator; sinabs' discretisation, in a process of its own, is compared. Never
sinabs' network on the chip: samna is closed, and its package on the index is a stub.
"""

from typing import TYPE_CHECKING, Final

from neurozsl.export.targets.base import Check, Device, Oracle, Target, with_reset

if TYPE_CHECKING:
    from neurozsl.export.backends.registry import Parts
    from neurozsl.hardware.network.lowered import Lowered
    from neurozsl.hardware.network.program import ChipProgram


def _require(device: str, chip: str) -> None:
    from neurozsl.export.backends.speck.run import require_device

    require_device(device, chip)


def _configure(parts: "Parts", device: str) -> None:
    from neurozsl.export.backends.registry import integers
    from neurozsl.export.backends.speck.run import hand_over
    from neurozsl.hardware.speck.program import SpeckProgram

    program = integers(parts, "speck", SpeckProgram, "Speck", "speck")
    hand_over(parts.lowered, program, device)


def _runs(network: "Lowered | ChipProgram") -> bool:
    """Its integers alone: a float network has to become them first."""
    from neurozsl.hardware.speck.program import ARITHMETIC

    return getattr(network, "arithmetic", None) == ARITHMETIC


SPECK: Final = Target(
    name="speck",
    chip="speck2f",
    fidelity=("float", "fixed"),
    backends=("emulator", "sinabs_discretised", "sinabs", "floatsim", "norse"),
    checks=(
        Check("emulator_vs_sinabs_discretised", "emulator", "sinabs_discretised"),
        Check("norse_vs_sinabs", "norse", "sinabs"),
        Check("emulator_vs_norse", "emulator", "norse", exact=False),
    ),
    features={
        "lif": "no",
        "cuba": "no",
        "if": "yes",
        "graded": "as spike code",
        "ternary": "as ON/OFF channels",
        "frozen": "yes",
        "table": "no",
        "dynamic": "no",
        "integers": "8-bit weights, 16-bit state",
        "oracle": "sinabs 3.1.3 discretisation",
    },
    oracle=Oracle(
        "sinabs 3.1.3 discretisation",
        ("sinabs_discretised",),
        left_out="samna replaced by a stand-in: no chip, no validation",
    ),
    device=Device(_require, _configure),
    runs=_runs,
    nearest=lambda rule: with_reset(rule, ("zero", "subtract")),
)
