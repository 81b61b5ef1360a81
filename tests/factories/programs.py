"""Layers of Loihi's programs: eight bits and no bias unless a test says more."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurozsl.hardware.loihi.program import ProgramLayer
from neurozsl.hardware.network.synapse import Link, Synapse


def program_layer(name: str, source: str, weight: Any, **changes: Any) -> ProgramLayer:
    """A current that is gone after its step (du 4095); half of the membrane leaks in a step.

    changes: fields of the layer; its threshold `vth` has no default.
    """
    size = Synapse(source, weight, changes.get("link", Link())).size_out
    values: dict[str, Any] = {
        "weight_bits": 8,
        "weight_exp": 0,
        "bias_mant": np.zeros(size, np.int32),
        "bias_exp": 0,
        "du": 4095,
        "dv": 2048,
        "unit": 1.0,
    }
    return ProgramLayer(name=name, source=source, weight=weight, **(values | changes))
