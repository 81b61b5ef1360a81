"""Names that are understood for each other: a target's chip for the target, and back.

The registry says which: each target names its chip (`lava` is `loihi2`, `speck` is `speck2f`).
"""

from neurozsl.core.errors import BadInput
from neurozsl.export.targets import TARGETS, Target
from neurozsl.hardware.chips import CHIPS


def target_called(name: str) -> Target:
    """The target that is called so, or whose chip is.

    Raises:
        BadInput: there is none; lists every name that means one.

    >>> target_called("loihi2").name, target_called("nir").name
    ('lava', 'nir')
    """
    found = TARGETS.get(name) or next((x for x in TARGETS.values() if x.chip == name), None)
    if found is None:
        raise BadInput(
            f"target '{name}' is unknown; use one of {', '.join(TARGETS)}, or by its chip "
            f"{', '.join(dict.fromkeys(_chips().values()))}"
        )
    return found


def chip_called(name: str, also: str = "") -> str:
    """Key of the chip that is called so, or that the target called so means.

    `also` is what else could be given, for the message.

    Raises:
        BadInput: there is none; lists every name that means one.

    >>> chip_called("speck"), chip_called("loihi1")
    ('speck2f', 'loihi1')
    """
    chips = _chips()
    chip = chips.get(name, name)
    if chip not in CHIPS:
        raise BadInput(
            f"chip '{name}' is unknown; choose one of {', '.join(CHIPS)}, or by its target "
            f"{', '.join(chips)}{also}"
        )
    return chip


def _chips() -> dict[str, str]:
    """Chip of every target that means one."""
    return {name: target.chip for name, target in TARGETS.items() if target.chip}
