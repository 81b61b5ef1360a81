"""NIR graph -> `Lowered`: float64 layers in the form that chips compute, input gain folded once.

A NIR graph holds unfolded weights W, a gain r and time constants tau. One step of length dt_s is

    u <- (1 - syn_leak) u + sum of W' x   (+ b' where bias_to is "current")
    v* = (1 - leak) v + u                 (+ b' where bias_to is "membrane")
    z  = v* > threshold;   v = 0 where z  (other rules: `neuron`)

with kappa = dt / tau and, per type of node (`lowering.neurons`),

    LIF      W' = kappa r W       b' = kappa r b        leak = kappa, syn_leak = 1
    CubaLIF  W' = g W, b' = g b,  g = kappa r kappa_s w_in,  syn_leak = kappa_s = dt / tau_syn
    IF       W' = r W             b' = r b              leak = 0, syn_leak = 1

IF convention: r is the gain of one step (Norse and Sinabs read r = 1 so), dt is not used. The bias
of a CubaLIF passes through its synaptic current, as in Norse's `LIFCell`. dt, T and the rule at the
threshold are not part of NIR: they come from our metadata, else from the caller.

Populations are the neuron nodes, and read-outs: linear nodes that feed an Output. Between two of
them every path of linear nodes is one synapse (`lowering.chain`); several paths into one population
add up. Loops are recurrent layers: an edge that closes one acts a step later (`lowering.order`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import nir
import numpy as np

from neurozsl.errors import BadInput, UnsupportedNode
from neurozsl.hardware.lowered import BiasTo, Floats, Lowered, LoweredLayer
from neurozsl.hardware.lowering import metadata as stored
from neurozsl.hardware.lowering.chain import LINEAR, Chain, Named, Shape, constants, finish, follow
from neurozsl.hardware.lowering.neurons import NEURONS, At, convert, read_out
from neurozsl.hardware.lowering.order import Edge, order
from neurozsl.hardware.neuron import PLAIN_RULE, NeuronRule
from neurozsl.hardware.synapse import check_wiring
from neurozsl.signals import InputCode

__all__ = ["BiasTo", "Floats", "Lowered", "LoweredLayer", "lower"]

_MOST_PATHS: Final = 1024  # between two populations


def lower(
    graph: nir.NIRGraph,
    *,
    dt_s: float | None = None,
    steps: int | None = None,
    inputs: Mapping[str, InputCode] | None = None,
    rule: NeuronRule | None = None,
    tau_unit_s: float = 1.0,
) -> Lowered:
    """Fold a NIR graph into chip form.

    Args:
        graph: flat (no graph inside it); shapes without a batch dimension.
        dt_s: length of a step in seconds; needed where the graph lacks our metadata.
        steps: T of a sample; needed where the graph lacks our metadata.
        inputs: codes per input node of a graph without our metadata; default binary spikes.
        rule: of all spiking neurons, where the metadata has none; default reset to zero.
        tau_unit_s: what a time constant of 1 in the graph means, 1e-3 for milliseconds.

    Returns:
        The layers with weights in float64; scalar parameters are broadcast to the layer.

    Raises:
        UnsupportedNode: names every node that has no converter.
        BadInput: dt or T unknown, a value that is not finite, a decay outside (0, 1], a shape that
            does not fit, a loop of linear nodes, a read-out that feeds a layer.
    """
    _check_nodes(graph)
    metadata = stored.read(graph)
    dt_s = stored.positive("dt_s", metadata.get("dt_s", dt_s), "the length of a step in seconds")
    count = stored.positive(
        "steps", metadata.get("steps", steps), "the number of steps of a sample"
    )
    rule = stored.rule(metadata) or rule or PLAIN_RULE
    codes = stored.input_codes(graph, metadata, inputs)
    populations = _populations(graph)
    paths = [
        _Path(source, target, nodes)
        for target, ends in populations.items()
        for source, nodes in _paths(graph, target, ends)
    ]
    _check_sources(graph, populations, paths)
    unread = _check_all_used(graph, populations, paths)
    shapes, chains = _follow_all(graph, populations, paths, dt_s)
    delays: dict[Edge, int] = {}
    for path, made in zip(paths, chains, strict=True):
        least = min(chain.delay for chain in made)
        delays[path.edge] = min(least, delays.get(path.edge, least))
    names, waiting = order(list(populations), codes, delays)
    if (listed := metadata.get("layers")) is not None:
        names, waiting = _stored_order(listed, populations, delays, graph)
    layers, notes = [], [f"input '{name}' is read by nothing" for name in unread]
    notes += [f"'{a}' -> '{b}' closes a loop: it acts one step later" for a, b in waiting]
    for name in names:
        arriving = [
            c for p, made in zip(paths, chains, strict=True) for c in made if p.target == name
        ]
        ways = [(shapes[p.source], p.named(graph)) for p in paths if p.target == name]
        bias = constants(ways, math.prod(shapes[name]), dt_s)
        at = At(name, shapes[name], dt_s, tau_unit_s, rule, stored.of_layer(metadata, name))
        layer, said = _layer(graph.nodes.get(name), at, arriving, waiting, bias)
        layers.append(layer)
        notes += said
    lowered = Lowered(
        inputs=codes,
        layers=tuple(layers),
        outputs=_outputs(graph, populations, metadata.get("outputs")),
        dt_s=dt_s,
        steps=int(count),
        policy=stored.policy(metadata.get("policy", "fixed")),
        notes=tuple(dict.fromkeys(notes)),
    )
    check_wiring("NIR graph:", {k: code.size for k, code in codes.items()}, lowered.layers)
    return lowered


# --- one layer -------------------------------------------------------------------------------


def _layer(
    node: Any, at: At, arriving: Sequence[Chain], waiting: Sequence[Edge], bias: Floats
) -> tuple[LoweredLayer, list[str]]:
    """The layer of a population with everything that arrives; node is linear of a read-out."""
    is_neuron = type(node).__name__ in NEURONS
    neurons = convert(node, at) if is_neuron else read_out(at.size)
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
    if np.any(neurons.drive):
        if bias_to == "current" and np.any(bias):
            raise BadInput(
                f"NIR node '{at.name}': has a v_leak and its synapses a bias, which reach a "
                "CubaLIF at two places; move v_leak to v_reset or drop the bias"
            )
        bias_to, bias = "membrane", bias + neurons.drive
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
        theta_table=None if table is None else stored.table(at.name, table),
        bias_to=bias_to,
        link=first.link,
        also=tuple(others),
        rule=neurons.rule,
    ), notes


# --- the graph -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Path:
    """Linear nodes between two populations."""

    source: str
    target: str
    nodes: tuple[str, ...]

    @property
    def edge(self) -> Edge:
        """From, to."""
        return self.source, self.target

    def named(self, graph: nir.NIRGraph) -> list[Named]:
        """Names with their nodes."""
        return [(name, graph.nodes[name]) for name in self.nodes]


def _check_nodes(graph: nir.NIRGraph) -> None:
    known = {*LINEAR, *NEURONS, "Input", "Output"}
    unknown = [f"{k} ({type(n).__name__})" for k, n in graph.nodes.items() if _kind(n) not in known]
    if unknown:
        raise UnsupportedNode(
            unknown, "NIR graph", f"the chips here run {', '.join(sorted(known))}"
        )


def _kind(node: Any) -> str:
    return type(node).__name__


def _before(graph: nir.NIRGraph) -> dict[str, list[str]]:
    """Per node those that feed it, each edge once."""
    found: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in dict.fromkeys((str(a), str(b)) for a, b in graph.edges):
        for end in (a, b):
            if end not in graph.nodes:
                raise BadInput(f"NIR graph: an edge names '{end}', which is not a node")
        found[b].append(a)
    return found


def _populations(graph: nir.NIRGraph) -> dict[str, str]:
    """Name of every population -> the node whose value it takes in.

    A neuron node takes in what feeds it; a read-out is the linear node before an Output.
    """
    before = _before(graph)
    found = {name: name for name, node in graph.nodes.items() if _kind(node) in NEURONS}
    if not found:
        raise BadInput(
            f"NIR graph: holds no spiking layer ({', '.join(NEURONS)}); a network without neurons "
            "needs no neuromorphic chip"
        )
    for name, node in graph.nodes.items():
        if _kind(node) == "Output":
            for fed in before[name]:
                if _kind(graph.nodes[fed]) in LINEAR:
                    found[fed] = fed
    return found


def _paths(graph: nir.NIRGraph, target: str, end: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every way back from a population through linear nodes to an input or another population."""
    before = _before(graph)
    start = (end,) if _kind(graph.nodes[end]) in LINEAR else ()
    found: list[tuple[str, tuple[str, ...]]] = []
    open_ends = [(source, start) for source in before[end]]
    while open_ends:
        name, nodes = open_ends.pop(0)
        if _kind(graph.nodes[name]) not in LINEAR:
            found.append((name, nodes))
        elif name in nodes:
            loop = " -> ".join((name, *nodes[: nodes.index(name) + 1]))
            raise BadInput(
                f"NIR graph: loop {loop} of linear nodes; a loop needs a neuron that ends it"
            )
        elif not before[name]:
            raise BadInput(f"NIR node '{name}': fed by nothing; connect it to an Input")
        else:
            open_ends += [(source, (name, *nodes)) for source in before[name]]
        if len(found) + len(open_ends) > _MOST_PATHS:
            raise BadInput(
                f"NIR node '{target}': more than {_MOST_PATHS} paths lead to it; merge linear nodes"
            )
    return found


def _check_sources(
    graph: nir.NIRGraph, populations: Mapping[str, str], paths: Sequence[_Path]
) -> None:
    for name in populations:
        if not any(path.target == name for path in paths):
            raise BadInput(f"NIR node '{name}': fed by nothing; connect it to an Input")
    for path in paths:
        kind = _kind(graph.nodes[path.source])
        if kind == "Output":
            raise BadInput(f"NIR node '{path.target}': fed by the output '{path.source}'")
        if kind in ("LI", "CubaLI", "I"):
            raise BadInput(
                f"NIR node '{path.source}' ({kind}): feeds '{path.target}'; it does not spike, and "
                "chips send spikes between layers: read it, or give it a threshold"
            )


def _check_all_used(
    graph: nir.NIRGraph, populations: Mapping[str, str], paths: Sequence[_Path]
) -> list[str]:
    """Inputs that nothing reads; any other such node is an error, for nothing is dropped."""
    used = {name for path in paths for name in (path.source, *path.nodes)} | set(populations)
    idle = {k: _kind(n) for k, n in graph.nodes.items() if k not in used and _kind(n) != "Output"}
    lost = [f"{name} ({kind})" for name, kind in idle.items() if kind != "Input"]
    if lost:
        raise BadInput(
            f"NIR graph: no neuron and no output reads {', '.join(lost)}; connect or remove"
        )
    return list(idle)


def _follow_all(
    graph: nir.NIRGraph, populations: Mapping[str, str], paths: Sequence[_Path], dt_s: float
) -> tuple[dict[str, Shape], list[list[Chain]]]:
    """Shapes of all populations, and the chains of every path; shapes spread from the inputs."""
    shapes: dict[str, Shape] = {
        name: tuple(int(n) for n in np.ravel(node.input_type["input"]))
        for name, node in graph.nodes.items()
        if _kind(node) == "Input"
    }
    chains: dict[int, list[Chain]] = {}
    while len(chains) < len(paths):
        known = [i for i, p in enumerate(paths) if i not in chains and p.source in shapes]
        if not known:
            names = sorted({path.target for i, path in enumerate(paths) if i not in chains})
            raise BadInput(f"NIR graph: no input reaches {', '.join(names)}; connect them")
        for i in known:
            path = paths[i]
            chains[i] = follow(path.source, shapes[path.source], path.named(graph), dt_s)
            shape = chains[i][0].shape
            given = shapes.setdefault(path.target, shape)
            if math.prod(given) != math.prod(shape):
                raise BadInput(
                    f"NIR node '{path.target}': '{path.source}' brings a value of shape {shape}, "
                    f"another source one of {given}"
                )
    return shapes, [chains[i] for i in range(len(paths))]


def _stored_order(
    listed: Iterable[str],
    populations: Mapping[str, str],
    delays: Mapping[Edge, int],
    graph: nir.NIRGraph,
) -> tuple[tuple[str, ...], tuple[Edge, ...]]:
    """The order of our metadata, after a check that only loops go back in it."""
    names = tuple(str(name) for name in listed)
    if sorted(names) != sorted(populations):
        raise BadInput(
            f"NIR graph: metadata lists layers {list(names)}, the graph holds "
            f"{list(populations)}; export it again"
        )
    place = {name: i for i, name in enumerate(names)}
    back = [
        (a, b)
        for (a, b), delay in delays.items()
        if a in place and not delay and place[a] >= place[b]
    ]
    for a, b in back:
        if a not in _reached(b, delays):
            raise BadInput(f"NIR graph: metadata lists '{b}' before its source '{a}'")
    return names, tuple(back)


def _reached(start: str, edges: Iterable[Edge]) -> set[str]:
    """Everything that spikes of `start` lead to, itself included."""
    found, before = {start}, 0
    while len(found) > before:
        before = len(found)
        found |= {b for a, b in edges if a in found}
    return found


def _outputs(
    graph: nir.NIRGraph, populations: Mapping[str, str], listed: Iterable[str] | None
) -> tuple[str, ...]:
    before = _before(graph)
    found = [
        a for name, node in graph.nodes.items() if _kind(node) == "Output" for a in before[name]
    ]
    wanted = tuple(dict.fromkeys(found if listed is None else (str(name) for name in listed)))
    for name in wanted:
        if name not in populations:
            raise BadInput(f"NIR graph: output '{name}' is not a layer")
    if not wanted:
        raise BadInput("NIR graph: has no Output node; nothing would be read")
    return wanted
