"""Lava: networks of lava-dl through the script `lava_to_nir.py` of NIR's documentation.

Integers of netx as fractions: decays k / 4096, weights and thresholds k / 64, r = tau_mem / dt and
w_in = tau_syn / dt at dt = 1e-4 s, so that both gains are 1. Lava's neuron resets to zero at
v > theta; delays, graded spikes and the exponent of the weights are dropped.
"""

from typing import Any, Final

import numpy as np

from neurozsl.export.nir.dialects.base import DT_S, Dialect, Evidence, Mended, NeuronNode
from neurozsl.export.nir.dialects.snntorch import SNNTORCH
from neurozsl.hardware.network.neuron import NeuronRule

_DECAYS: Final = 4096
_WEIGHTS: Final = 64


def _wrote(seen: Evidence) -> str:
    def is_a_cell(cell: NeuronNode) -> bool:
        if cell.kind != "CubaLIF" or not cell.gains_are_one:
            return False
        decays = (DT_S / cell.values(key) for key in ("tau_mem", "tau_syn"))
        return all(_whole(x * _DECAYS) for x in decays) and _whole(
            cell.values("v_threshold") * _WEIGHTS
        )

    whole = seen.every(is_a_cell) and all(_whole(np.asarray(w) * _WEIGHTS) for w in seen.weights)
    return "decays of k / 4096, weights and thresholds of k / 64" if whole else ""


def _whole(values: Any) -> bool:
    return bool(np.allclose(values, np.rint(values), rtol=1e-5, atol=1e-6))


def _mend(cell: NeuronNode, dt_s: float, variant: str) -> Mended:
    return SNNTORCH.mend(cell, dt_s, variant)  # the same two gains


LAVA: Final = Dialect(
    key="lava",
    title="Lava, lava_to_nir.py",
    wrote=_wrote,
    rule=lambda cell, variant: NeuronRule(),
    step_in_s=lambda seen: DT_S,
    mend=_mend,
    cannot_say=(
        "delays, graded spikes and refractory delays (no option)",
        "the exponent of the weights (no option)",
    ),
)
