"""Integer arithmetics that a chip's file may name, and what the file then has to state.

One line an arithmetic; its code is the entry of the same key in `hardware.arithmetic`, which
checks networks against these figures.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class AskedFigures:
    """Keys of [limit] and [allowed], and the registered chip that can lend them."""

    limit: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    lender: str = ""


ASKED: Final[dict[str, AskedFigures]] = {
    "loihi_cuba": AskedFigures(),
    "speck_if": AskedFigures(
        limit=(
            "cores",
            "channels",
            "kernel_side",
            "padding",
            "input_side",
            "map_side",
            "destinations_per_core",
            "readout_classes",
        ),
        allowed=("stride", "pool", "dilation", "groups", "square_kernel"),
        lender="speck2f",
    ),
}
