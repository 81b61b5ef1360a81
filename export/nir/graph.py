"""`BranchSpec` to a NIR graph, and back (`graph_reading`).

Nodes per layer (`conv_nodes`): sums `<layer>.pool0`, ... where it has any, a Flatten `<layer>.flat`
where a matrix is behind a map, Affine or convolution `<layer>.w`, then LIF, CubaLIF or IF
`<layer>`; `nir.Input` per input, `nir.Output` `out.<layer>` per output. Weights are unfolded,
r = 1, tau = dt / kappa in seconds, v_leak = 0, all float32. NIR has no dt, reset or compare rule,
so they travel in `graph.metadata["neurozsl"]` (one JSON string); decays and threshold tables travel
beside it as float64 arrays, because dt / float32(dt / kappa) does not always give kappa back.

    LIF      tau v' = v_leak - v + r I                    v* = v + kappa (I - v)
    CubaLIF  tau_syn i' = -i + w_in I, then as LIF with i  w_in = tau_syn / dt: the jump of Norse
    IF       v' = r I, r read as gain per step             v* = v + I
"""

from itertools import pairwise
from typing import Any

import nir
import numpy as np

from neurozsl.core.signals import BranchSpec, FloatArray, LayerSpec
from neurozsl.export.nir.check import check_spec, is_integrator
from neurozsl.export.nir.conv_nodes import f32, input_shapes, layer_shape, synapse_nodes
from neurozsl.export.nir.graph_reading import from_nir
from neurozsl.hardware.lower import metadata

__all__ = ["canonical", "from_nir", "to_nir"]


def to_nir(spec: BranchSpec) -> nir.NIRGraph:
    """The branch as a graph that any NIR reader can load; weights are written as float32.

    Raises:
        BadInput: the spec is inconsistent or holds values out of range.
    """
    check_spec(spec)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    inputs = input_shapes(spec)
    shapes = inputs | {layer.name: layer_shape(layer) for layer in spec.layers}
    for name, shape in inputs.items():
        nodes[name] = nir.Input(input_type={"input": np.array(shape)})
    for layer in spec.layers:
        synapses = synapse_nodes(layer, shapes[layer.source])
        nodes |= synapses
        nodes[layer.name] = _neuron(layer, spec.dt_s)
        edges += pairwise((layer.source, *synapses, layer.name))
    for name in spec.outputs:
        nodes[f"out.{name}"] = nir.Output(output_type={"output": np.array(shapes[name])})
        edges.append((name, f"out.{name}"))
    graph = nir.NIRGraph(nodes=nodes, edges=edges)
    graph.metadata = _metadata(spec)
    return graph


def canonical(spec: BranchSpec) -> BranchSpec:
    """The spec as a reader of its graph gets it: weights and thresholds rounded to float32."""
    return from_nir(to_nir(spec))


def _neuron(layer: LayerSpec, dt_s: float) -> Any:
    shape = layer_shape(layer)
    ones = np.ones(shape, np.float32)
    threshold = f32(layer.threshold).reshape(shape)
    if is_integrator(layer):
        return nir.IF(r=ones, v_threshold=threshold)
    tau = f32(dt_s / np.asarray(layer.kappa, np.float64)).reshape(shape)
    rest = {"r": ones, "v_leak": 0 * ones, "v_threshold": threshold}
    if layer.syn_kappa is None:
        return nir.LIF(tau=tau, **rest)
    syn = np.asarray(layer.syn_kappa, np.float64).reshape(shape)
    return nir.CubaLIF(tau_mem=tau, tau_syn=f32(dt_s / syn), w_in=f32(1 / syn), **rest)


def _metadata(spec: BranchSpec) -> dict[str, Any]:
    arrays: dict[str, dict[str, FloatArray]] = {"kappa": {}, "syn_kappa": {}, "theta_table": {}}
    for layer in spec.layers:
        for key, found in arrays.items():
            value = getattr(layer, key)
            if value is not None:
                found[layer.name] = np.asarray(value, np.float64)
    rule = {"reset": "zero", "v_reset": 0, "compare": ">"}
    return {**metadata.header(spec, rule), **{k: v for k, v in arrays.items() if v}}
