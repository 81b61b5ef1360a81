"""Lava: networks of lava-dl through the script `lava_to_nir.py` of NIR's documentation.

Integers of netx as fractions: decays k / 4096, weights and thresholds k / 64, r = tau_mem / dt and
w_in = tau_syn / dt at dt = 1e-4 s, so that both gains are 1. Lava's neuron resets to zero at
v > theta; delays, graded spikes and the exponent of the weights are dropped.
"""

from typing import Any, Final

import numpy as np

from neurozsl.export.nir.dialects.base import DT_S, Dialect, Evidence, NeuronNode
from neurozsl.export.nir.dialects.snntorch import mend
from neurozsl.hardware.network.neuron import NeuronRule

_DECAYS: Final = 4096
_WEIGHTS: Final = 64


def _wrote(seen: Evidence) -> str:
    def is_a_cell(cell: NeuronNode) -> bool:
        if cell.kind != "CubaLIF" or not cell.gains_are_one:
            return False
        decays = [DT_S / cell.values(key) for key in ("tau_mem", "tau_syn")]
        one_each = all(np.ptp(x) == 0 for x in decays)
        return one_each and all(_whole(x * _DECAYS) for x in decays)

    numbered = all(name.isdigit() for name in seen.names if name not in ("input", "output"))
    if not (numbered and seen.has_type(np.float64) and seen.every(is_a_cell)):
        return ""
    numbers = (*seen.weights, *(cell.values("v_threshold") for cell in seen.cells))
    if not all(_whole(np.asarray(x) * _WEIGHTS) for x in numbers):
        return ""
    return "nodes by number, decays of k / 4096, weights and thresholds of k / 64, double precision"


def _whole(values: Any) -> bool:
    return bool(np.allclose(values, np.rint(values), rtol=1e-5, atol=1e-6))


LAVA: Final = Dialect(
    key="lava",
    title="Lava, lava_to_nir.py",
    wrote=_wrote,
    rule=lambda cell, variant: NeuronRule(),
    step_in_s=lambda seen: DT_S,
    mend=mend,  # the same two gains
    cannot_say=(
        "delays, graded spikes and refractory delays (no option)",
        "the exponent of the weights (no option)",
    ),
)
