"""The registry of targets and the table made from it. Imports neither torch, sinabs nor lava."""

from typing import TYPE_CHECKING, Final

from neurozsl.core.errors import BadInput
from neurozsl.export.targets.base import FEATURES, Check, Target
from neurozsl.export.targets.lava import LAVA
from neurozsl.export.targets.nir import NIR
from neurozsl.export.targets.sinabs import SINABS
from neurozsl.export.targets.speck import SPECK

if TYPE_CHECKING:
    from neurozsl.hardware.network.lowered import Lowered
    from neurozsl.hardware.network.program import ChipProgram

TARGETS: Final[dict[str, Target]] = {one.name: one for one in (NIR, LAVA, SINABS, SPECK)}

__all__ = ["FEATURES", "TARGETS", "Check", "Target", "suggested", "target", "target_table"]


def target(name: str) -> Target:
    """The target called `name`.

    Raises:
        BadInput: no such target; lists those there are.
    """
    if name not in TARGETS:
        raise BadInput(f"target '{name}' is unknown; use one of {', '.join(TARGETS)}")
    return TARGETS[name]


def suggested(network: "Lowered | ChipProgram") -> str:
    """The target to carry on with after a network ran: of a chip that runs it, else a simulator."""
    takes = (one.name for one in TARGETS.values() if one.chip and one.runs(network))
    return next(takes, SINABS.name)


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
