"""Whether the network fits a chip, and where it lies there."""

from neurozsl.hardware.place.mapping import if_dense
from neurozsl.hardware.place.placement import Placement
from neurozsl.report.schema.value import Value


class Fit(Value):
    """One chip: where the integers of the network lie, or the reason why they do not fit."""

    chip: str
    name: str
    cores: int
    reason: str | None = None
    placement: Placement | None = None

    def __str__(self) -> str:
        """The cores that it takes, or why it does not fit."""
        if self.placement is None:
            return f"no: {self.reason}"
        saved = if_dense(self.placement.sparse, self.placement.cores_if_dense)
        return f"{self.placement.cores_used} of {self.cores} cores{saved}"
