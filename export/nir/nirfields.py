"""How each NIR node type is stored: the names of its datasets, the defaults, the constructor.

The names are those of nir 1.0.8, `SHAPE_NAMES` those that other versions or hands gave to a shape.
A default is what the standard says of a parameter that old files lack; where tools differ (the
stride of a pool, `start_dim`) there is none, and a file without it is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import nir
import numpy as np

from neurozsl.export.nir.nodes import CubaLI

Stored = dict[str, Any]


@dataclass(frozen=True)
class Fields:
    """How one node type is stored: constructor, names of its datasets, defaults of the standard."""

    build: Callable[..., Any]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    defaults: Mapping[str, Callable[[Stored], Any]] = field(default_factory=dict)


def _zero_bias(stored: Stored) -> Any:
    weight = np.asarray(stored["weight"])
    return np.zeros(weight.shape[:1], weight.dtype)


def _port(kind: Any, key: str, shape: Any = None) -> Any:
    return kind({key: None if shape is None else np.asarray(shape)})


def _flatten(start_dim: Any, end_dim: Any, input_type: Any = None) -> Any:
    node = nir.Flatten(start_dim=start_dim, end_dim=end_dim, input_type=None)
    node.input_type = {"input": input_type}
    return node


def _conv(kind: Any) -> Callable[..., Any]:
    def build(input_shape: Any = None, **parameters: Any) -> Any:
        # Without a shape nir 1.0.4 computes none; its rule assumes square kernels and one group.
        node = kind(input_shape=None, **parameters)
        node.input_shape = input_shape
        return node

    return build


_CONV_DEFAULTS: Final[Mapping[str, Callable[[Stored], Any]]] = {
    "stride": lambda stored: 1,
    "padding": lambda stored: 0,
    "dilation": lambda stored: 1,
    "groups": lambda stored: 1,
    "bias": _zero_bias,
}
_W_IN: Final[Mapping[str, Callable[[Stored], Any]]] = {"w_in": lambda stored: 1.0}
_NO_PADDING: Final[Mapping[str, Callable[[Stored], Any]]] = {"padding": lambda stored: 0}
_POOL: Final = ("kernel_size", "stride")
TYPES: Final[Mapping[str, Fields]] = {
    "Affine": Fields(nir.Affine, ("weight",), (), {"bias": _zero_bias}),
    "Linear": Fields(nir.Linear, ("weight",)),
    "Scale": Fields(nir.Scale, ("scale",)),
    "LIF": Fields(nir.LIF, ("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "CubaLIF": Fields(
        nir.CubaLIF, ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold"), ("v_reset",), _W_IN
    ),
    "IF": Fields(nir.IF, ("r", "v_threshold"), ("v_reset",)),
    "LI": Fields(nir.LI, ("tau", "r", "v_leak")),
    "CubaLI": Fields(CubaLI, ("tau_mem", "tau_syn", "r", "v_leak"), (), _W_IN),
    "I": Fields(nir.I, ("r",)),
    "Threshold": Fields(nir.Threshold, ("threshold",)),
    "Delay": Fields(nir.Delay, ("delay",)),
    "Conv1d": Fields(_conv(nir.Conv1d), ("weight",), ("input_shape",), _CONV_DEFAULTS),
    "Conv2d": Fields(_conv(nir.Conv2d), ("weight",), ("input_shape",), _CONV_DEFAULTS),
    "SumPool2d": Fields(nir.SumPool2d, _POOL, (), _NO_PADDING),
    "AvgPool2d": Fields(nir.AvgPool2d, _POOL, (), _NO_PADDING),
    "Flatten": Fields(_flatten, ("start_dim",), ("input_type",), {"end_dim": lambda stored: -1}),
    "Input": Fields(partial(_port, nir.Input, "input"), (), ("shape",)),
    "Output": Fields(partial(_port, nir.Output, "output"), (), ("shape",)),
}
# Where a version stored a shape under another name: type -> (name, key if it is a group).
SHAPE_NAMES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "Input": (("input_type", "input"), ("input_shape", "input")),
    "Output": (("output_type", "output"), ("output_shape", "output")),
}
