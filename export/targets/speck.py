"""Target `speck`: Speck 2f, integrate-and-fire layers on nine cores, in integers."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurozsl.export.targets.base import Check, Fidelity

# Never sinabs' network on the chip: samna is closed, and its package on the index is a stub.
REFERENCE = "sinabs 3.1.3 discretisation, samna replaced by a stand-in: no chip, no validation"


@dataclass(frozen=True)
class Speck:
    """Integers on our emulator; sinabs' discretisation, in a process of its own, is compared."""

    name: str = "speck"
    chip: str | None = "speck2f"
    fidelity: tuple[Fidelity, ...] = ("float", "fixed")
    backends: tuple[str, ...] = ("emulator", "sinabs_discretised", "sinabs", "floatsim", "norse")
    checks: tuple[Check, ...] = (
        Check(
            "emulator_vs_sinabs_discretised", "emulator", "sinabs_discretised", reference=REFERENCE
        ),
        Check("norse_vs_sinabs", "norse", "sinabs"),
        Check("emulator_vs_norse", "emulator", "norse", exact=False),
    )
    features: dict[str, str] = field(
        default_factory=lambda: {
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
        }
    )
