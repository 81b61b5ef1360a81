"""The synapses of a layer as NIR nodes, and back: [sums,] a matrix or a convolution on a map.

    sums         SumPool2d, one for each of the layer's pools
    matrix       Affine `(out, in)`;  behind a map a Flatten comes first
    convolution  Conv1d where the map is `(C, 1, L)`, Conv2d else; bias per channel

NIR writes a one-dimensional map as `(C, L)`, a `LayerSpec` as `(C, 1, L)`. NIR pads both ends of an
axis alike, so that other paddings have no node.
"""

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.maps import Conv, Pool
from neurozsl.core.signals import BranchSpec, FloatArray, LayerSpec
from neurozsl.hardware.lower.linear import follow

SYNAPSES = (nir.Affine, nir.Linear, nir.Conv1d, nir.Conv2d)
BEFORE = (nir.Flatten, nir.SumPool2d)  # what may stand between a source and its synapse
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
    """The shape of every input in a graph: a map where a convolution or a pool reads it."""
    found: dict[str, Shape] = {name: (code.size,) for name, code in spec.inputs.items()}
    for layer in spec.layers:
        if layer.source in found and layer.map_read is not None:
            conv = None if layer.pools else layer.conv  # pools read maps of two dimensions
            found[layer.source] = node_shape(conv, layer.map_read)
    return found


def synapse_nodes(layer: LayerSpec, source: Shape) -> dict[str, Any]:
    """The nodes between a source of this shape and the neurons by name, in order."""
    found: dict[str, Any] = {}
    for i, pool in enumerate(layer.pools):
        sizes = {"kernel_size": pool.kernel, "stride": pool.stride, "padding": pool.padding}
        found[f"{layer.name}.pool{i}"] = nir.SumPool2d(
            **{key: np.array(value) for key, value in sizes.items()}
        )
        source = pool.out_shape
    if layer.conv is None:
        if len(source) > 1:
            kind = {"input": np.array(source)}
            found[f"{layer.name}.flat"] = nir.Flatten(input_type=kind, start_dim=0, end_dim=-1)
        found[f"{layer.name}.w"] = nir.Affine(weight=f32(layer.weight), bias=f32(layer.bias))
    else:
        found[f"{layer.name}.w"] = _kernel(layer.conv, layer)
    return found


def _kernel(conv: Conv, layer: LayerSpec) -> Any:
    top, _, left, _ = conv.padding
    build, weight = nir.Conv2d, f32(layer.weight)
    geometry: dict[str, Any] = {
        "input_shape": conv.shape[1:],
        "stride": conv.stride,
        "padding": (top, left),
        "dilation": conv.dilation,
    }
    if conv.shape[1] == 1:
        build, weight = nir.Conv1d, weight[:, :, 0]
        geometry = {key: along for key, (_, along) in geometry.items()}
    return build(weight=weight, groups=conv.groups, bias=f32(layer.bias), **geometry)


def read_synapse(
    name: str, node: Any, source: str, shape: Shape, before: Sequence[tuple[str, Any]] = ()
) -> tuple[FloatArray, FloatArray, Conv | None, tuple[Pool, ...]]:
    """Weight, bias, geometry and pools that a node, one of `SYNAPSES`, gives a layer.

    `source` is what it reads, `shape` that of the source as the graph has it; before: the nodes
    between them with their names, in order.

    Raises:
        BadInput: the node does not fit its source, or a pool its map.
    """
    chain = follow(source, shape, before, 1.0)[0]
    weight = np.asarray(node.weight)
    conv = None
    if isinstance(node, nir.Affine | nir.Linear):
        if chain.size != weight.shape[1]:
            raise BadInput(
                f"NIR node '{name}': {weight.shape[1]} columns, '{source}' has shape {shape}"
            )
    else:
        conv = follow(source, chain.shape, [(name, node)], 1.0)[0].conv
        weight = weight[:, :, None] if isinstance(node, nir.Conv1d) else weight
    bias = getattr(node, "bias", None)
    zero = np.zeros(weight.shape[0], weight.dtype)
    return weight, zero if bias is None else np.asarray(bias), conv, chain.pools


def f32(x: Any) -> FloatArray:
    """What a file holds: float32, in one piece."""
    return np.ascontiguousarray(np.asarray(x), dtype=np.float32)
