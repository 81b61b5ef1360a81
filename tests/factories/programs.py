"""Programs of Loihi and their layers: a plain layer of 8-bit weights unless a test says more."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurozsl.core.signals import InputCode
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.network.synapse import Link, Synapse


def program_layer(name: str, source: str, weight: Any, **changes: Any) -> ProgramLayer:
    """No bias; a current that is gone after its step (du 4095), half of the membrane stays.

    changes: fields of the layer.
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


def program(
    *layers: ProgramLayer, code: InputCode, steps: int, chip: str = "loihi2", policy: Any = "frozen"
) -> Program:
    """A program of one input, the source of the first layer; the last layer is its output."""
    outputs = (layers[-1].name,)
    return Program(chip, {layers[0].source: code}, layers, outputs, steps, 1e-3, policy)
