"""Target `sinabs`: layers of the Sinabs simulator, float; not the chip, which has no leak."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurozsl.export.targets.base import Check, Fidelity


@dataclass(frozen=True)
class Sinabs:
    """Layers that we build (`export.backends.sinabs_layers`), run against the trained branch."""

    name: str = "sinabs"
    chip: str | None = None
    fidelity: tuple[Fidelity, ...] = ("float",)
    backends: tuple[str, ...] = ("sinabs", "floatsim", "norse")
    checks: tuple[Check, ...] = (Check("norse_vs_sinabs", "norse", "sinabs"),)
    features: dict[str, str] = field(
        default_factory=lambda: {
            "lif": "yes",
            "cuba": "yes",
            "if": "yes",
            "graded": "yes",
            "ternary": "yes",
            "frozen": "yes",
            "table": "stepwise",
            "dynamic": "stepwise",
            "integers": "no",
            "oracle": "sinabs 3.1.3",
        }
    )
