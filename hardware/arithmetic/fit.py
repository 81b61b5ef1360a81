"""Whether a network fits a chip: its integers on the cores, or the one reason why not."""

from dataclasses import dataclass
from typing import Any

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.place.mapping import Mapping, if_dense
from neurozsl.hardware.place.place import place


@dataclass(frozen=True)
class ChipFit:
    """One chip: the cores of the network on it, or why there are none.

    limited: True where the reason is a size, False where the chip cannot compute it.
    """

    chip: str
    name: str
    cores: int
    mapping: Mapping | None
    reason: str = ""
    limited: bool = False

    @property
    def cores_used(self) -> int | None:
        """Cores that hold a layer or a part of one."""
        return None if self.mapping is None else len(self.mapping.parts)

    @property
    def cores_text(self) -> str:
        """Cores, as "3 of 128 cores", and what zeros free; or the reason why it does not fit."""
        if self.mapping is None:
            return f"no: {self.reason}"
        saved = if_dense(self.mapping.sparse, self.mapping.cores_if_dense)
        return f"{self.cores_used} of {self.cores} cores{saved}"

    def as_json(self) -> dict[str, Any]:
        """Plain values; `reason` is None where the network fits."""
        return {
            "chip": self.chip,
            "name": self.name,
            "fits": self.mapping is not None,
            "cores": self.cores,
            "cores_used": self.cores_used,
            "cores_if_dense": None if self.mapping is None else self.mapping.cores_if_dense,
            "reason": self.reason or None,
        }


def fit(lowered: Lowered, chip: str) -> ChipFit:
    """The network in the integers of a chip, on its cores."""
    found = load_chip(chip)
    cores = int(found.limit["cores"].value)
    try:
        return ChipFit(chip, found.name, cores, place(quantize(lowered, found), found))
    except (BadInput, DoesNotFit) as error:
        return ChipFit(chip, found.name, cores, None, str(error), isinstance(error, DoesNotFit))
