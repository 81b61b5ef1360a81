"""NIR graph -> `Lowered`: float64 layers in the form that chips compute, input gain folded once.

A NIR graph holds unfolded weights W, a gain r and time constants tau. One step of length dt_s is

    u <- (1 - syn_leak) u + sum of W' x   (+ b' where bias_to is "current")
    v* = (1 - leak) v + u                 (+ b' where bias_to is "membrane")
    z  = v* > threshold;   v = 0 where z  (other rules: `neuron`)

with kappa = dt / tau and, per type of node (`lower.neurons`),

    LIF      W' = kappa r W       b' = kappa r b        leak = kappa, syn_leak = 1
    CubaLIF  W' = g W, b' = g b,  g = kappa r kappa_s w_in,  syn_leak = kappa_s = dt / tau_syn
    IF       W' = r W             b' = r b              leak = 0, syn_leak = 1

IF convention: r is the gain of one step (Norse and Sinabs read r = 1 so), dt is not used. The bias
of a CubaLIF passes through its synaptic current, as in Norse's `LIFCell`. dt, T and the rule at the
threshold are not part of NIR: they come from our metadata, else from the caller.

Populations are the neuron nodes, and read-outs: linear nodes that feed an Output. Every path of
linear nodes between two of them (`lower.paths`, `lower.linear`) is one synapse
(`lower.chain`); several paths into one population add up. Loops are recurrent layers: an edge
that closes one acts a step later (`lower.order`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from neurozsl.core.signals import InputCode
from neurozsl.hardware.lower import metadata as stored
from neurozsl.hardware.lower.chain import Chain, finish
from neurozsl.hardware.lower.linear import constants
from neurozsl.hardware.lower.neurons import NEURONS, At, read_out
from neurozsl.hardware.lower.order import Edge, order, stored_order
from neurozsl.hardware.lower.parameters import finite
from neurozsl.hardware.lower.paths import (
    check_nodes,
    find_paths,
    follow_all,
    outputs,
    populations,
    unread_inputs,
)
from neurozsl.hardware.network.lowered import BiasTo, Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.wiring import check_wiring

__all__ = ["BiasTo", "Floats", "Lowered", "LoweredLayer", "lower"]


def lower(
    graph: nir.NIRGraph,
    *,
    dt_s: float | None = None,
    steps: int | None = None,
    inputs: Mapping[str, InputCode] | None = None,
    rule: NeuronRule | Mapping[str, NeuronRule] | None = None,
    tau_unit_s: float = 1.0,
) -> Lowered:
    """Fold a NIR graph into chip form.

    Args:
        graph: flat (no graph inside it); shapes without a batch dimension.
        dt_s: length of a step in seconds; needed where the graph lacks our metadata.
        steps: T of a sample; needed where the graph lacks our metadata.
        inputs: codes per input node of a graph without our metadata; default binary spikes.
        rule: of all spiking neurons, or of each by name, where the metadata has none; default
            reset to zero.
        tau_unit_s: what a time constant of 1 in the graph means, 1e-3 for milliseconds.

    Returns:
        The layers with weights in float64; scalar parameters are broadcast to the layer.

    Raises:
        UnsupportedNode: names every node that has no converter.
        BadInput: dt or T unknown, a value that is not finite, a decay outside (0, 1], a shape that
            does not fit, a loop of linear nodes, a read-out that feeds a layer.

    Example::

        network = nz.lower(graph, dt_s=1e-3, steps=40)  # of another tool's file
        [(layer.name, layer.size) for layer in network.layers]
    """
    check_nodes(graph)
    metadata = stored.read(graph)
    dt_s = stored.positive("dt_s", metadata.get("dt_s", dt_s), "the length of a step in seconds")
    count = stored.positive(
        "steps", metadata.get("steps", steps), "the number of steps of a sample"
    )
    rule_of = stored.rules(metadata, rule)
    codes = stored.input_codes(graph, metadata, inputs)
    names = populations(graph)
    paths = find_paths(graph, names)
    unread = unread_inputs(graph, names, paths)
    shapes, chains = follow_all(graph, paths, dt_s)
    delays: dict[Edge, int] = {}
    for path, made in zip(paths, chains, strict=True):
        least = min(chain.delay for chain in made)
        delays[path.edge] = min(least, delays.get(path.edge, least))
    ordered, waiting = order(names, codes, delays)
    if (listed := metadata.get("layers")) is not None:
        ordered, waiting = stored_order(listed, names, delays)
    layers, notes = [], [f"input '{name}' is read by nothing" for name in unread]
    notes += [f"'{a}' -> '{b}' closes a loop: it acts one step later" for a, b in waiting]
    for name in ordered:
        arriving = [
            c for p, made in zip(paths, chains, strict=True) for c in made if p.target == name
        ]
        ways = [(shapes[p.source], p.named(graph)) for p in paths if p.target == name]
        bias = constants(ways, math.prod(shapes[name]), dt_s)
        at = At(
            name,
            shapes[name],
            dt_s,
            tau_unit_s,
            rule_of(name),
            stored.of_layer(metadata, name),
            from_rest=metadata.get("start") == "rest",
        )
        layer, said = _layer(graph.nodes.get(name), at, arriving, waiting, bias)
        layers.append(layer)
        notes += said
    lowered = Lowered(
        inputs=codes,
        layers=tuple(layers),
        outputs=outputs(graph, names, metadata.get("outputs")),
        dt_s=dt_s,
        steps=int(count),
        policy=stored.policy(metadata.get("policy", "fixed")),
        notes=tuple(dict.fromkeys(notes)),
    )
    check_wiring("NIR graph:", {k: code.size for k, code in codes.items()}, lowered.layers)
    return lowered


def _layer(
    node: Any, at: At, arriving: Sequence[Chain], waiting: Sequence[Edge], bias: Floats
) -> tuple[LoweredLayer, list[str]]:
    """The layer of a population with everything that arrives; node is linear of a read-out."""
    convert = NEURONS.get(type(node).__name__)
    neurons = read_out(at.size) if convert is None else convert(node, at)
    notes, synapses, bias = list(neurons.notes), [], neurons.gain * bias
    on_time = [
        replace(c, delay=1) if (c.source, at.name) in waiting and not c.delay else c
        for c in arriving
    ]
    for chain in sorted(on_time, key=lambda c: c.delay):  # what arrives first comes first
        synapse, said = finish(chain, neurons.gain, at.name)
        synapses.append(synapse)
        notes += said
    bias_to: BiasTo = neurons.bias_to
    apart: Floats | None = None
    if np.any(neurons.drive):
        if bias_to == "current" and np.any(bias):
            apart = neurons.drive  # a CubaLIF: v_leak or v_reset acts behind the current
        else:
            bias_to, bias = "membrane", bias + neurons.drive
    rule = neurons.rule
    if rule.reset == "subtract-late" and rule.low is None and not np.any(neurons.leak):
        rule = replace(rule, reset="subtract")
        notes.append(
            f"'{at.name}': has no leak, so its late subtraction is one at once: the same spikes"
        )
    first, *others = synapses
    table = at.stored("theta_table")
    return LoweredLayer(
        name=at.name,
        source=first.source,
        weight=first.weight,
        bias=bias,
        leak=neurons.leak,
        syn_leak=neurons.syn_leak,
        threshold=neurons.threshold,
        theta_table=None if table is None else finite(at.name, "theta_table", table).reshape(-1),
        bias_to=bias_to,
        link=first.link,
        also=tuple(others),
        rule=rule,
        drive=apart,
        start=neurons.start,
    ), notes
