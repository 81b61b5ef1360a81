"""`Lowered` -> NIR: the way back, for a network that was changed in chip form (trained, pruned).

The input gain is folded into the weights of a `Lowered`, so the neurons written here undo it: a LIF
has r = tau / dt, which lowering reads as a gain of exactly 1, and lowering the graph gives the same
numbers again. Weights and biases are written as float32, as everywhere; what is to come back bit
for bit holds float32 values.

    layer     [Delay] -> [SumPool2d ...] -> Conv1d, Conv2d, Affine (first) or Linear -> neuron
    neuron    leak > 0: LIF, CubaLIF;  leak 0: IF;  read-outs: LI, CubaLI, I

Times, rules and codes travel in our metadata, decays and tables exactly. Node names: the neuron has
that of the layer, what is before it `<layer>.w`, `<layer>.w1`, ...
"""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.conv_nodes import Shape, f32
from neurozsl.export.nir.nodes import CubaLI
from neurozsl.hardware.lower import metadata
from neurozsl.hardware.network.lowered import Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule
from neurozsl.hardware.network.synapse import Synapse

_SAMPLE = "write the file with the framework that made the network"


def lowered_graph(lowered: Lowered, shapes: Mapping[str, Shape] | None = None) -> nir.NIRGraph:
    """The network as a flat graph that any NIR reader loads.

    shapes: of inputs without batch and time, where they are more than a number of values.

    Raises:
        BadInput: what NIR has no node for: a bias that differs inside a channel or enters apart
            from the weights, paddings that differ between two ends, neurons with and without a
            leak in one layer.
    """
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    seen = _input_shapes(lowered) | dict(shapes or {})
    for name in lowered.inputs:
        nodes[name] = nir.Input(input_type={"input": np.array(seen[name])})
    place = {layer.name: number for number, layer in enumerate(lowered.layers)}
    flat = {name: len(shape) < 3 for name, shape in seen.items()}
    for layer in lowered.layers:  # a loop reads layers whose nodes come later
        shape = _own_shape(layer, flat.get(layer.source, True))
        seen[layer.name], flat[layer.name] = shape, len(shape) < 3
    for layer in lowered.layers:
        for number, synapse in enumerate(layer.synapses):
            waits = synapse.link.delay
            if waits == 1 and place.get(synapse.source, -1) >= place[layer.name]:
                waits = 0  # an edge that closes a loop waits a step by itself
            late = waits * lowered.dt_s
            between = _between(layer, synapse, number, seen[synapse.source], late)
            nodes |= between
            edges += pairwise((synapse.source, *between, layer.name))
        nodes[layer.name] = _neuron(layer, seen[layer.name], lowered.dt_s)
    for name in lowered.outputs:
        end = "output" if len(lowered.outputs) == 1 and "output" not in nodes else f"out.{name}"
        nodes[end] = nir.Output(output_type={"output": np.array(seen[name])})
        edges.append((name, end))
    graph = nir.NIRGraph(nodes=nodes, edges=edges)
    graph.metadata = _metadata(lowered)
    return graph


def _input_shapes(lowered: Lowered) -> dict[str, Shape]:
    """A map where a pool or a kernel reads the input, else a number of values."""
    found: dict[str, Shape] = {name: (code.size,) for name, code in lowered.inputs.items()}
    for layer in lowered.layers:
        for synapse in layer.synapses:
            read = _map_read(synapse)
            if synapse.source in found and read is not None:
                found[synapse.source] = read
    return found


def _map_read(synapse: Synapse) -> Shape | None:
    if synapse.link.pools:
        return synapse.link.pools[0].shape
    return None if synapse.link.conv is None else synapse.link.conv.shape


def _own_shape(layer: LoweredLayer, along_a_line: bool) -> Shape:
    """Of the neurons; a map behind a one-dimensional one is `(C, L)`."""
    shape = layer.shape
    if along_a_line and layer.link.conv is not None and layer.link.conv.shape[1] == 1:
        return shape[0], shape[2]
    return shape


def _between(
    layer: LoweredLayer, synapse: Synapse, number: int, shape: Shape, late: float
) -> dict[str, Any]:
    """The nodes of one synapse, in order; late: seconds."""
    name = f"{layer.name}.w{number or ''}"
    found: dict[str, Any] = {}
    if late:
        found[f"{name}.delay"] = nir.Delay(delay=np.full(shape, late))
    for i, pool in enumerate(synapse.link.pools):
        _refuse_shape(layer, shape, pool.shape)
        found[f"{name}.pool{i}"] = nir.SumPool2d(
            kernel_size=np.array(pool.kernel),
            stride=np.array(pool.stride),
            padding=np.array(pool.padding),
        )
        shape = pool.out_shape
    bias = _bias(layer) if number == 0 else np.zeros(synapse.out_shape[0])
    weight = f32(synapse.weight)
    conv = synapse.link.conv
    if conv is None:
        if len(shape) > 1:
            kind = {"input": np.array(shape)}
            found[f"{name}.flat"] = nir.Flatten(input_type=kind, start_dim=0, end_dim=-1)
        found[name] = nir.Affine(weight=weight, bias=f32(bias))
        if number and not np.any(bias):
            found[name] = nir.Linear(weight=weight)
        return found
    _refuse_shape(layer, shape, conv.shape)
    top, bottom, left, right = conv.padding
    if (top, left) != (bottom, right):
        raise BadInput(
            f"layer '{layer.name}': pads {conv.padding} (top, bottom, left, right), NIR pads both "
            f"ends alike; {_SAMPLE}"
        )
    geometry: dict[str, Any] = {
        "input_shape": conv.shape[1:],
        "stride": conv.stride,
        "padding": (top, left),
        "dilation": conv.dilation,
    }
    build = nir.Conv2d
    if len(shape) == 2:
        build, weight = nir.Conv1d, weight[:, :, 0]
        geometry = {key: along for key, (_, along) in geometry.items()}
    found[name] = build(weight=weight, groups=conv.groups, bias=f32(bias), **geometry)
    if build is nir.Conv2d:  # nir 1.0.4 infers the shape of a square kernel
        found[name].output_type = {"output": np.array(conv.out_shape(synapse.weight.shape))}
    return found


def _refuse_shape(layer: LoweredLayer, found: Shape, read: Shape) -> None:
    line = len(found) == 2 and found == (read[0], read[2]) and read[1] == 1
    if found != read and not line:
        raise BadInput(
            f"layer '{layer.name}': reads a map {read}, its source has the shape {found}; {_SAMPLE}"
        )


def _bias(layer: LoweredLayer) -> Floats:
    """One value an output channel."""
    if layer.drive is not None or layer.start is not None:
        raise BadInput(
            f"layer '{layer.name}': starts or drives its membrane apart from its inputs, which "
            f"has no place here; {_SAMPLE}"
        )
    if layer.bias_to == "membrane" and np.any(layer.syn_leak != 1) and np.any(layer.bias):
        raise BadInput(
            f"layer '{layer.name}': has a synaptic current, and a bias behind it (of v_leak or "
            f"v_reset), which has no place here; {_SAMPLE}"
        )
    channels = layer.bias.reshape(layer.shape[0], -1)
    if np.any(channels != channels[:, :1]):
        raise BadInput(
            f"layer '{layer.name}': its bias differs inside a channel, NIR has one a channel; "
            f"{_SAMPLE}"
        )
    first: Floats = channels[:, 0]
    return first


def _neuron(layer: LoweredLayer, shape: Shape, dt_s: float) -> Any:
    leak, synaptic = layer.leak.reshape(shape), layer.syn_leak.reshape(shape)
    if np.any(leak) and not np.all(leak):
        raise BadInput(
            f"layer '{layer.name}': {int((leak == 0).sum())} of {leak.size} neurons have no leak, "
            f"NIR has one type of neuron a node; {_SAMPLE}"
        )
    current = layer.bias_to == "current" or bool(np.any(synaptic != 1))
    threshold = {"v_threshold": _exact(layer.threshold.reshape(shape))}
    if not layer.rule.spiking:
        threshold = {}
    if not np.any(leak):
        if current:
            raise BadInput(
                f"layer '{layer.name}': a synaptic current into neurons without a leak, NIR has no "
                f"node of them; {_SAMPLE}"
            )
        r = np.ones(shape, np.float32)
        return nir.IF(r=r, **threshold) if threshold else nir.I(r=r)
    rest: dict[str, Any] = {"r": 1 / leak, "v_leak": np.zeros(shape, np.float32), **threshold}
    if not current:
        build = nir.LIF if threshold else nir.LI
        return build(tau=dt_s / leak, **rest)
    times: dict[str, Any] = {
        "tau_mem": dt_s / leak,
        "tau_syn": dt_s / synaptic,
        "w_in": 1 / synaptic,
    }
    return (nir.CubaLIF if threshold else CubaLI)(**times, **rest)


def _exact(values: Floats) -> Any:
    """As float32 where that loses nothing."""
    narrow = f32(values)
    return narrow if np.array_equal(narrow, values) else values


def _metadata(lowered: Lowered) -> dict[str, Any]:
    spiking = [layer for layer in lowered.layers if layer.rule.spiking]
    rules = [layer.rule for layer in spiking]
    common = max(rules, key=rules.count, default=PLAIN_RULE)
    apart = {x.name: _stored(x.rule) for x in spiking if x.rule != common}
    rule = {"v_reset": 0, **_stored(common), **({"rules": apart} if apart else {})}
    arrays: dict[str, dict[str, Any]] = {"kappa": {}, "syn_kappa": {}, "theta_table": {}}
    for layer in lowered.layers:
        if np.any(layer.leak):
            arrays["kappa"][layer.name] = layer.leak
            if layer.bias_to == "current" or np.any(layer.syn_leak != 1):
                arrays["syn_kappa"][layer.name] = layer.syn_leak
        if layer.theta_table is not None:
            arrays["theta_table"][layer.name] = layer.theta_table
    return {**metadata.header(lowered, rule), **{k: v for k, v in arrays.items() if v}}


def _stored(rule: NeuronRule) -> dict[str, Any]:
    return {key: value for key, value in asdict(rule).items() if key != "spiking"}
