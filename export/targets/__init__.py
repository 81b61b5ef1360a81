"""The registry of targets and the table made from it. Imports neither torch, sinabs nor lava."""

from __future__ import annotations

from collections.abc import Mapping

from neurozsl.core.errors import BadInput
from neurozsl.export.targets.base import FEATURES, Check, Target
from neurozsl.export.targets.lava import Lava
from neurozsl.export.targets.nir import Nir
from neurozsl.export.targets.sinabs import Sinabs
from neurozsl.export.targets.speck import Speck

TARGETS: Mapping[str, Target] = {
    "nir": Nir(),
    "lava": Lava(),
    "sinabs": Sinabs(),
    "speck": Speck(),
}

__all__ = ["FEATURES", "TARGETS", "Check", "Target", "target", "target_table"]


def target(name: str) -> Target:
    """The target called `name`.

    Raises:
        BadInput: no such target; lists those there are.
    """
    if name not in TARGETS:
        raise BadInput(f"target '{name}' is unknown; use one of {', '.join(TARGETS)}")
    return TARGETS[name]


def target_table() -> tuple[dict[str, str], ...]:
    """One row per target: target, chip, fidelity, then every feature under its title.

    >>> [row["target"] for row in target_table()]
    ['nir', 'lava', 'sinabs', 'speck']
    """
    return tuple(
        {
            "target": one.name,
            "chip": one.chip or "-",
            "fidelity": ", ".join(one.fidelity),
            **{title: one.features[key] for key, title in FEATURES.items()},
        }
        for one in TARGETS.values()
    )
