"""Target `lava`: Loihi 2 as lava-nc 0.10.0 simulates it (archived upstream), float and integers."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurozsl.export.targets.base import Check, Fidelity


@dataclass(frozen=True)
class Lava:
    """Integers on our emulator; lava-nc's CPU simulation is the oracle of both fidelities."""

    name: str = "lava"
    chip: str | None = "loihi2"
    fidelity: tuple[Fidelity, ...] = ("float", "fixed")
    backends: tuple[str, ...] = ("emulator", "lava", "lava_float", "sinabs", "floatsim", "norse")
    checks: tuple[Check, ...] = (
        Check("emulator_vs_lava_fixed", "emulator", "lava", oracle=True),
        Check("norse_vs_lava_float", "norse", "lava_float", oracle=True),
        Check("norse_vs_sinabs", "norse", "sinabs"),
        Check("emulator_vs_norse", "emulator", "norse", exact=False),
    )
    features: dict[str, str] = field(
        default_factory=lambda: {
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
        }
    )
