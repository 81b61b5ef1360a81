"""Networks in float64 and their layers: integrate-and-fire unless a test says otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurozsl.core.signals import InputCode
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.synapse import Link, Synapse

_PLAIN = {"bias": 0.0, "leak": 0.0, "syn_leak": 1.0, "threshold": 1.0}


def lowered_layer(name: str, source: str, weight: Any, **changes: Any) -> LoweredLayer:
    """No bias, no leak, no synaptic memory, threshold 1.

    changes: fields of the layer; bias, leak, syn_leak and threshold may be one number for all.
    """
    weight = np.asarray(weight, np.float64)
    size = Synapse(source, weight, changes.get("link", Link())).size_out
    values = _PLAIN | changes
    for key in _PLAIN:
        if np.ndim(values[key]) == 0:
            values[key] = np.full(size, values[key])
    return LoweredLayer(name=name, source=source, weight=weight, **values)


def one_layer(*synapses: Synapse) -> LoweredLayer:
    """The layer `a` that reads these synapses."""
    first, *also = synapses
    return lowered_layer("a", first.source, first.weight, link=first.link, also=tuple(also))


def lowered(
    *layers: LoweredLayer, code: InputCode, steps: int = 10, policy: Any = "fixed", **changes: Any
) -> Lowered:
    """A network of one input, the source of the first layer; the last layer is its output."""
    values: dict[str, Any] = {"inputs": {layers[0].source: code}, "dt_s": 1e-3} | changes
    return Lowered(layers=layers, outputs=(layers[-1].name,), steps=steps, policy=policy, **values)
