"""Target `lava`: Loihi 2 as lava-nc 0.10.0 simulates it (archived upstream), float and integers.

Integers run on our emulator; lava-nc's CPU simulation is the oracle of both fidelities.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from neurozsl.core.errors import BadInput
from neurozsl.export.backends.lava.environment import INSTALL_LINE, locate
from neurozsl.export.targets.base import Check, Oracle, Target
from neurozsl.hardware.network.neuron import NeuronRule

if TYPE_CHECKING:
    from neurozsl.hardware.network.lowered import Lowered
    from neurozsl.hardware.network.program import ChipProgram


def _script() -> tuple[Path, ...]:
    """The worker itself: numpy + lava-nc only, runs golden.npz through program.npz."""
    from neurozsl.export.backends.lava.run import WORKER

    return (WORKER,)


def _runs(network: "Lowered | ChipProgram") -> bool:
    from neurozsl.export.backends.lava.limits import check_network
    from neurozsl.hardware.loihi.program import ARITHMETIC

    if getattr(network, "arithmetic", ARITHMETIC) != ARITHMETIC:
        return False  # integers of another chip
    try:
        check_network(network)
    except BadInput:
        return False
    return True


LAVA: Final = Target(
    name="lava",
    chip="loihi2",
    fidelity=("float", "fixed"),
    backends=("emulator", "lava", "lava_float", "sinabs", "floatsim", "norse"),
    checks=(
        Check("emulator_vs_lava_fixed", "emulator", "lava"),
        Check("norse_vs_lava_float", "norse", "lava_float"),
        Check("norse_vs_sinabs", "norse", "sinabs"),
        Check("emulator_vs_norse", "emulator", "norse", exact=False),
    ),
    features={
        "lif": "yes",
        "cuba": "yes",
        "if": "yes",
        "graded": "yes",
        "ternary": "yes",
        "frozen": "yes",
        "table": "programmable neuron",
        "dynamic": "programmable neuron",
        "integers": "8-bit weights, 24-bit state",
        "oracle": "lava-nc 0.10.0",
    },
    oracle=Oracle(
        "lava-nc 0.10.0",
        ("lava", "lava_float"),
        installed=lambda: locate() is not None,
        install=INSTALL_LINE,
    ),
    ships=_script,
    runs=_runs,
    nearest=lambda rule: NeuronRule(spiking=rule.spiking),  # lava-nc's LIF has this rule alone
)
