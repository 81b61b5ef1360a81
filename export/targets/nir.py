"""Target `nir`: the float graph in a file, for any NIR reader."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurozsl.export.targets.base import Check, Fidelity


@dataclass(frozen=True)
class Nir:
    """The `.nir` file is the product; it is read back and run against the trained branch."""

    name: str = "nir"
    chip: str | None = None
    fidelity: tuple[Fidelity, ...] = ("float",)
    backends: tuple[str, ...] = ("floatsim", "norse")
    checks: tuple[Check, ...] = (Check("norse_vs_nir_file", "norse", "floatsim"),)
    features: dict[str, str] = field(
        default_factory=lambda: {
            "lif": "yes",
            "cuba": "yes",
            "if": "yes",
            "graded": "code in metadata",
            "ternary": "code in metadata",
            "frozen": "yes",
            "table": "in metadata",
            "dynamic": "rule in metadata",
            "integers": "no",
            "oracle": "no",
        }
    )
