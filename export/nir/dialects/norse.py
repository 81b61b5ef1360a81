"""Norse 1.1 (`norse.torch.utils.to_nir`): LIFBoxCell, LIFCell, IAFCell.

Its exporter multiplies tau by dt (1e-3 s unless it is told otherwise), so that a time constant of
10 ms is stored as 1e-5, and writes w_in = 1 for a current that jumps by 1 a spike (in NIR's
equation w_in = tau_syn / dt). Reset and v_reset are dropped, and the Input keeps the batch of the
sample that it was exported with. A sample starts at v_leak.
"""

from typing import Final

import numpy as np

from neurozsl.export.nir.dialects.base import TIMES, Dialect, Evidence, Mended, NeuronNode
from neurozsl.hardware.network.neuron import NeuronRule

_VARIANTS: Final = {
    "shown": "with the factor dt where one is shorter than a step, else without",
    "times-dt": "with the factor dt, as to_nir writes them",
    "in-seconds": "in seconds, as to_nir(dt=1.0) writes them",
}


def _wrote(seen: Evidence) -> str:
    def is_a_cell(cell: NeuronNode) -> bool:
        unmoved = cell.values("v_reset") is None or cell.is_all("v_reset", 0)
        jumps = cell.values("w_in") is None or cell.is_all("w_in", 1)
        return cell.is_all("r", 1) and jumps and unmoved

    if not seen.every(is_a_cell) or not seen.has_type(np.float32):
        return ""
    if seen.leading == 1:
        return "r = 1 in single precision, an Input that counts a batch of 1"
    if seen.every(lambda cell: np.ndim(cell.node.r) == 0):
        return "r = 1 in single precision, one value a layer"
    return ""


def _mend(cell: NeuronNode, dt_s: float, variant: str, seen: Evidence) -> Mended:
    """Time constants without the factor dt, by what the whole file shows or what was said."""
    times = {key: found for key in TIMES if (found := cell.values(key)) is not None}
    scaled = variant == "times-dt" or (variant == "shown" and _shows_factor(seen, dt_s))
    values = {key: value / dt_s for key, value in times.items()} if scaled and times else {}
    said = [f"time constants were divided by {dt_s:g} s, the dt of to_nir"] if values else []
    if cell.kind in ("CubaLIF", "CubaLI"):
        tau_syn = values.get("tau_syn", times["tau_syn"])
        values["w_in"] = tau_syn / dt_s
        said.append("w_in became tau_syn / dt, a jump of 1 a spike")
    return Mended(values, "; ".join(said))


def _shows_factor(seen: Evidence, dt_s: float) -> bool:
    """A time constant shorter than the step cannot be meant: dt is a factor of all of them."""
    found = [cell.values(key) for cell in seen.cells for key in TIMES]
    return any(bool(np.any(value < dt_s)) for value in found if value is not None)


NORSE: Final = Dialect(
    key="norse",
    title="Norse 1.1",
    wrote=_wrote,
    rule=lambda cell, variant: NeuronRule(),
    dt_s=1e-3,
    variants=_VARIANTS,
    variants_say="time constants",
    variants_of=("LIF", "CubaLIF"),
    start="rest",
    mend=_mend,
    cannot_say=(
        "dt of the cells (--dt, 1e-3 s where not given); a to_nir of another dt: --dialect "
        "norse:in-seconds --dt PRODUCT, the product of both",
        "reset_method (--reset subtract for reset_subtract) and v_reset (no option)",
        "w_in of a LIFCell, a jump of 1",
    ),
    other_rules={"--reset subtract": {"reset": "subtract"}},
)
