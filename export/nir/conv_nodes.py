"""The synapses of a layer as NIR nodes, and back: a matrix, or a convolution on a map.

    matrix       Affine `(out, in)`;  behind a map a Flatten comes first
    convolution  Conv1d where the map is `(C, 1, L)`, Conv2d else; bias per channel

NIR writes a one-dimensional map as `(C, L)`, a `LayerSpec` as `(C, 1, L)`. NIR pads both ends of an
axis alike, so that other paddings have no node.
"""

import math
from typing import Any

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, Conv, FloatArray, LayerSpec
from neurozsl.hardware.lower.linear import follow

SYNAPSES = (nir.Affine, nir.Linear, nir.Conv1d, nir.Conv2d)
Shape = tuple[int, ...]


def node_shape(conv: Conv | None, shape: Shape) -> Shape:
    """The shape of a value in a graph: `(C, 1, L)` that is one-dimensional loses its height."""
    if conv is not None and len(shape) == 3 and conv.shape[1] == 1:
        return shape[0], shape[2]
    return shape


def layer_shape(layer: LayerSpec) -> Shape:
    """The shape of a layer's neurons in a graph."""
    return node_shape(layer.conv, layer.shape)


def input_shapes(spec: BranchSpec) -> dict[str, Shape]:
    """The shape of every input in a graph: a map where a convolution reads it."""
    found: dict[str, Shape] = {name: (code.size,) for name, code in spec.inputs.items()}
    for layer in spec.layers:
        if layer.source in found and layer.conv is not None:
            found[layer.source] = node_shape(layer.conv, layer.conv.shape)
    return found


def synapse_nodes(layer: LayerSpec, source: Shape) -> tuple[Any, ...]:
    """The nodes between a source of this shape and the neurons, in order."""
    weight, bias = f32(layer.weight), f32(layer.bias)
    conv = layer.conv
    if conv is None:
        affine = nir.Affine(weight=weight, bias=bias)
        if len(source) == 1:
            return (affine,)
        flat = nir.Flatten(input_type={"input": np.array(source)}, start_dim=0, end_dim=-1)
        return flat, affine
    top, _, left, _ = conv.padding
    build = nir.Conv2d
    geometry: dict[str, Any] = {
        "input_shape": conv.shape[1:],
        "stride": conv.stride,
        "padding": (top, left),
        "dilation": conv.dilation,
    }
    if conv.shape[1] == 1:
        build, weight = nir.Conv1d, weight[:, :, 0]
        geometry = {key: along for key, (_, along) in geometry.items()}
    return (build(weight=weight, groups=conv.groups, bias=bias, **geometry),)


def read_synapse(
    name: str, node: Any, source: str, shape: Shape
) -> tuple[FloatArray, FloatArray, Conv | None]:
    """Weight, bias and geometry that a node, one of `SYNAPSES`, gives a layer.

    `source` is what it reads, `shape` that of the source as the graph has it.

    Raises:
        BadInput: the node does not fit its source.
    """
    weight = np.asarray(node.weight)
    if isinstance(node, nir.Affine | nir.Linear):
        conv = None
        if math.prod(shape) != weight.shape[1]:
            raise BadInput(
                f"NIR node '{name}': {weight.shape[1]} columns, '{source}' has shape {shape}"
            )
    else:
        conv = follow(source, shape, [(name, node)], 1.0)[0].conv
        weight = weight[:, :, None] if isinstance(node, nir.Conv1d) else weight
    bias = getattr(node, "bias", None)
    zero = np.zeros(weight.shape[0], weight.dtype)
    return weight, zero if bias is None else np.asarray(bias), conv


def f32(x: Any) -> FloatArray:
    """What a file holds: float32, in one piece."""
    return np.ascontiguousarray(np.asarray(x), dtype=np.float32)
