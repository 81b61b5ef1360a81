"""NIR graph -> `Lowered`: float64 layers in the form that chips compute, input gain folded once.

A NIR graph holds unfolded weights W, a gain r and time constants tau. One step of length dt_s is

    u <- (1 - syn_leak) u + W' x          (+ b' where bias_to is "current")
    v* = (1 - leak) v + u                 (+ b' where bias_to is "membrane")
    z  = v* > threshold;   v = 0 where z

with kappa = dt / tau and, per type of node,

    LIF      W' = kappa r W       b' = kappa r b        leak = kappa, syn_leak = 1
    CubaLIF  W' = g W, b' = g b,  g = kappa r kappa_s w_in,  syn_leak = kappa_s = dt / tau_syn
    IF       W' = r W             b' = r b              leak = 0, syn_leak = 1

IF convention: r is the gain of one step (Norse and Sinabs read r = 1 so), dt is not used. The bias
of a CubaLIF passes through its synaptic current, as in Norse's `LIFCell`. dt and T are not part
of NIR: they come from our metadata, else from the caller.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import nir
import numpy as np
import numpy.typing as npt

from neurozsl.errors import BadInput, UnsupportedNode
from neurozsl.hardware.neuron import PLAIN_RULE, NeuronRule
from neurozsl.hardware.synapse import PLAIN, LayerLinks, Link, Synapse
from neurozsl.signals import InputCode, Policy

Floats = npt.NDArray[np.float64]
BiasTo = Literal["membrane", "current"]

METADATA_KEY: Final = "neurozsl"
METADATA_SCHEMA: Final = 1
# float32 rounds tau to 6e-8 relative; a larger distance means that the exact kappa is not tau's.
KAPPA_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class LoweredLayer(LayerLinks):
    """Synapses and neurons of a layer; see the module docstring for the equations.

    weight: `(out, in)`, or a kernel where `link` says so; `source` names an input or a layer, and
    `also` holds further synapses. bias, leak, syn_leak, threshold `(size,)`; theta_table `(T,)` or
    None. rule: what happens at the threshold.
    """

    name: str
    source: str
    weight: Floats
    bias: Floats
    leak: Floats
    syn_leak: Floats
    threshold: Floats
    theta_table: Floats | None = None
    bias_to: BiasTo = "membrane"
    link: Link = PLAIN
    also: tuple[Synapse, ...] = ()
    rule: NeuronRule = PLAIN_RULE


@dataclass(frozen=True)
class Lowered:
    """A spiking network in chip form.

    layers: each after its sources, except those that it sees one or more steps late.
    notes: one sentence for everything that was decided or rewritten on the way.
    """

    inputs: Mapping[str, InputCode]
    layers: tuple[LoweredLayer, ...]
    outputs: tuple[str, ...]
    dt_s: float
    steps: int
    policy: Policy
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Context:
    """What a neuron converter needs beside its node."""

    name: str
    size: int
    dt_s: float
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class _Neuron:
    """Folded gain and decays of one layer, each `(out,)`."""

    gain: Floats
    leak: Floats
    syn_leak: Floats
    bias_to: BiasTo


def lower(
    graph: nir.NIRGraph,
    *,
    dt_s: float | None = None,
    steps: int | None = None,
    inputs: Mapping[str, InputCode] | None = None,
) -> Lowered:
    """Fold a NIR graph of Affine/Linear and LIF/CubaLIF/IF nodes into chip form.

    Args:
        graph: feed-forward; each neuron node is fed by exactly one Affine or Linear node.
        dt_s: length of a step in seconds; needed where the graph lacks our metadata.
        steps: T of a sample; needed where the graph lacks our metadata.
        inputs: codes per input node of a graph without our metadata; default binary spikes.

    Returns:
        The layers with weights in float64; scalar parameters are broadcast to the layer.

    Raises:
        UnsupportedNode: names every node that has no converter.
        BadInput: dt or T unknown, a value that is not finite, a leak or reset that is not 0, a
            decay outside (0, 1], a shape that does not fit, a loop.
    """
    _check_nodes(graph)
    metadata = _metadata(graph)
    dt_s = _positive("dt_s", metadata.get("dt_s", dt_s), "the length of a step in seconds")
    count = _positive("steps", metadata.get("steps", steps), "the number of steps of a sample")
    codes = _input_codes(graph, metadata, inputs)
    source_of = _single_sources(graph)
    sizes = {name: code.size for name, code in codes.items()}
    layers = []
    for name in _neuron_order(graph, source_of, metadata.get("layers")):
        layer = _layer(graph, name, source_of, sizes, dt_s, metadata)
        sizes[name] = layer.weight.shape[0]
        layers.append(layer)
    return Lowered(
        inputs=codes,
        layers=tuple(layers),
        outputs=_outputs(graph, source_of, metadata.get("outputs")),
        dt_s=dt_s,
        steps=int(count),
        policy=_policy(metadata.get("policy", "fixed")),
    )


# --- converters: node type -> function -------------------------------------------------------


def _affine(node: Any) -> tuple[Any, Any]:
    return node.weight, node.bias


def _linear(node: Any) -> tuple[Any, Any]:
    return node.weight, np.zeros(np.shape(node.weight)[0])


def _lif(node: Any, at: _Context) -> _Neuron:
    _check_rest(node, at)
    kappa = _kappa(at, "kappa", node.tau)
    gain = kappa * _vector(at, "r", node.r)
    return _Neuron(gain, kappa, np.ones(at.size), "membrane")


def _cuba_lif(node: Any, at: _Context) -> _Neuron:
    _check_rest(node, at)
    kappa = _kappa(at, "kappa", node.tau_mem)
    kappa_syn = _kappa(at, "syn_kappa", node.tau_syn)
    jump = kappa_syn * _vector(at, "w_in", node.w_in)
    # Our graphs write w_in = 1 / kappa_s (a jump of exactly 1, Norse's LIFCell) in float32.
    jump = np.where(np.abs(jump - 1.0) <= KAPPA_TOLERANCE, 1.0, jump)
    gain = kappa * _vector(at, "r", node.r) * jump
    return _Neuron(gain, kappa, kappa_syn, "current")


def _if(node: Any, at: _Context) -> _Neuron:
    _check_rest(node, at)
    return _Neuron(_vector(at, "r", node.r), np.zeros(at.size), np.ones(at.size), "membrane")


SYNAPSES: Final[Mapping[type, Callable[[Any], tuple[Any, Any]]]] = {
    nir.Affine: _affine,
    nir.Linear: _linear,
}
NEURONS: Final[Mapping[type, Callable[[Any, _Context], _Neuron]]] = {
    nir.LIF: _lif,
    nir.CubaLIF: _cuba_lif,
    nir.IF: _if,
}


# --- one layer -------------------------------------------------------------------------------


def _layer(
    graph: nir.NIRGraph,
    name: str,
    source_of: Mapping[str, str],
    sizes: Mapping[str, int],
    dt_s: float,
    metadata: Mapping[str, Any],
) -> LoweredLayer:
    synapse = source_of.get(name, "")
    node = graph.nodes.get(synapse)
    if type(node) not in SYNAPSES:
        raise BadInput(
            f"NIR node '{name}': fed by {synapse or 'nothing'}, expected an Affine or Linear node; "
            "put an identity Affine in front of it"
        )
    source = source_of.get(synapse, "")
    if source not in sizes:
        raise BadInput(
            f"NIR node '{synapse}': fed by {source or 'nothing'}, expected an input or a spiking "
            "layer; merge successive linear nodes into one"
        )
    raw_weight, raw_bias = SYNAPSES[type(node)](node)
    weight = _finite(synapse, "weight", raw_weight)
    if weight.ndim != 2 or weight.shape[1] != sizes[source]:
        raise BadInput(
            f"NIR node '{synapse}': weight has shape {weight.shape}, expected (out, "
            f"{sizes[source]}) after '{source}'"
        )
    at = _Context(name, weight.shape[0], dt_s, metadata)
    bias = _broadcast(synapse, "bias", _finite(synapse, "bias", raw_bias), at.size)
    neuron = NEURONS[type(graph.nodes[name])](graph.nodes[name], at)
    table = _stored(metadata, "theta_table", name)
    return LoweredLayer(
        name=name,
        source=source,
        weight=neuron.gain[:, None] * weight,
        bias=neuron.gain * bias,
        leak=neuron.leak,
        syn_leak=neuron.syn_leak,
        threshold=_vector(at, "v_threshold", graph.nodes[name].v_threshold),
        theta_table=None if table is None else _finite(name, "theta_table", table).reshape(-1),
        bias_to=neuron.bias_to,
    )


def _kappa(at: _Context, key: str, tau: Any) -> Floats:
    """Decay dt / tau in (0, 1]; the exact value of the metadata where it is stored."""
    tau_s = _vector(at, "tau", tau)
    if np.any(tau_s <= 0):
        raise BadInput(f"NIR node '{at.name}': tau {tau_s.min():g} s, expected a positive time")
    kappa = at.dt_s / tau_s
    stored = _stored(at.metadata, key, at.name)
    if stored is not None:
        exact = _broadcast(at.name, key, _finite(at.name, key, stored), at.size)
        if np.any(np.abs(exact - kappa) > KAPPA_TOLERANCE * np.abs(exact)):
            raise BadInput(
                f"NIR node '{at.name}': stored {key} {exact[0]:.9g} is not dt / tau = "
                f"{kappa[0]:.9g}; the file was changed after its export, export it again"
            )
        kappa = exact
    # Within float32 of 1 a foreign tau = dt is meant to forget everything.
    kappa = np.where(np.abs(kappa - 1.0) <= KAPPA_TOLERANCE, 1.0, kappa)
    if np.any(kappa > 1):
        raise BadInput(
            f"NIR node '{at.name}': dt / tau = {kappa.max():g}, expected a decay in (0, 1]; the "
            f"step of {at.dt_s:g} s is longer than tau: check the unit of tau or use a smaller dt_s"
        )
    return kappa


def _check_rest(node: Any, at: _Context) -> None:
    """Chips rest at 0 and reset to 0; nothing else is silently changed."""
    for key in ("v_leak", "v_reset"):
        value = getattr(node, key, None)
        if value is not None and np.any(_vector(at, key, value) != 0):
            raise BadInput(
                f"NIR node '{at.name}': {key} is not 0 and the chip neuron rests and resets at 0; "
                "shift the membrane (v - v_reset), move kappa * v_leak into the bias, and export "
                f"{key} = 0 (the membrane then starts at 0, not at v_leak)"
            )


def _vector(at: _Context, key: str, value: Any) -> Floats:
    return _broadcast(at.name, key, _finite(at.name, key, value), at.size)


def _broadcast(name: str, key: str, value: Floats, size: int) -> Floats:
    if value.size not in (1, size):
        raise BadInput(
            f"NIR node '{name}': {key} has shape {value.shape}, expected one value or {size}"
        )
    return np.broadcast_to(value.reshape(-1), (size,)).astype(np.float64)


def _finite(name: str, key: str, value: Any) -> Floats:
    """The array in float64; names the first entry that is not a finite number."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"NIR node '{name}': {key} is not an array of numbers") from None
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(int(i) for i in bad[0])
        raise BadInput(
            f"NIR node '{name}': {key}{list(first)} is {array[first]}, and {len(bad)} of "
            f"{array.size} values are not finite; train or export again"
        )
    return array


# --- the graph -------------------------------------------------------------------------------


def _check_nodes(graph: nir.NIRGraph) -> None:
    known = {*SYNAPSES, *NEURONS, nir.Input, nir.Output}
    unknown = [f"{k} ({type(n).__name__})" for k, n in graph.nodes.items() if type(n) not in known]
    if unknown:
        names = ", ".join(sorted(t.__name__ for t in known))
        raise UnsupportedNode(unknown, "NIR graph", f"the chips here run {names}")


def _edges(graph: nir.NIRGraph) -> list[tuple[str, str]]:
    """Each edge once, in the order of the graph."""
    edges = list(dict.fromkeys((str(a), str(b)) for a, b in graph.edges))
    for end in {name for edge in edges for name in edge} - set(graph.nodes):
        raise BadInput(f"NIR graph: an edge names '{end}', which is not a node")
    return edges


def _single_sources(graph: nir.NIRGraph) -> dict[str, str]:
    sources: dict[str, str] = {}
    for before, after in _edges(graph):
        if after in sources:
            raise BadInput(
                f"NIR node '{after}': fed by '{sources[after]}' and '{before}', expected one "
                "source; recurrent and merging graphs are not lowered"
            )
        sources[after] = before
    return sources


def _neuron_order(
    graph: nir.NIRGraph, source_of: Mapping[str, str], stored: Iterable[str] | None
) -> list[str]:
    """Neuron nodes so that each comes after its source (the stored order where there is one)."""
    neurons = [name for name, node in graph.nodes.items() if type(node) in NEURONS]
    if not neurons:
        raise BadInput("NIR graph: holds no spiking layer (LIF, CubaLIF or IF)")

    def depth(name: str) -> int:
        walked = [name]
        while (name := source_of.get(name, "")) in graph.nodes:
            if name in walked:
                loop = " -> ".join(reversed(walked[walked.index(name) :]))
                raise BadInput(f"NIR graph: loop {loop}; recurrent graphs are not lowered")
            walked.append(name)
        return len(walked)

    depths = {name: depth(name) for name in neurons}
    if stored is None:
        return sorted(neurons, key=lambda name: depths[name])
    order = [str(name) for name in stored]
    if sorted(order) != sorted(neurons):
        raise BadInput(
            f"NIR graph: metadata lists layers {order}, the graph holds {neurons}; export it again"
        )
    for i, name in enumerate(order):
        source = source_of.get(source_of.get(name, ""), "")
        if source in order[i:]:
            raise BadInput(f"NIR graph: metadata lists '{name}' before its source '{source}'")
    return order


def _outputs(
    graph: nir.NIRGraph, source_of: Mapping[str, str], stored: Iterable[str] | None
) -> tuple[str, ...]:
    found = tuple(
        source_of.get(name, "")
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Output)
    )
    wanted = found if stored is None else tuple(str(name) for name in stored)
    for name in wanted:
        if type(graph.nodes.get(name)) not in NEURONS:
            raise BadInput(f"NIR graph: output '{name}' is not a spiking layer")
    if not wanted:
        raise BadInput("NIR graph: has no Output node; nothing would be read")
    return wanted


def _input_codes(
    graph: nir.NIRGraph, metadata: Mapping[str, Any], given: Mapping[str, InputCode] | None
) -> dict[str, InputCode]:
    sizes = {
        name: int(np.prod(np.asarray(node.input_type["input"])))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Input)
    }
    if not sizes:
        raise BadInput("NIR graph: has no Input node")
    codes = dict(given or {})
    for name, raw in metadata.get("inputs", {}).items():
        try:
            codes[name] = InputCode(**raw)
        except TypeError as error:
            raise BadInput(f"NIR graph: metadata of input '{name}' is invalid ({error})") from None
    for name in set(codes) - set(sizes):
        raise BadInput(f"NIR graph: a code is given for input '{name}', nodes are {sorted(sizes)}")
    for name, size in sizes.items():
        code = codes.setdefault(name, InputCode(size, "binary", 1, False, 1.0))
        if code.size != size:
            raise BadInput(f"NIR input '{name}': {size} wide, its code says {code.size}")
        mantissa, _ = math.frexp(code.scale)
        if not math.isfinite(code.scale) or mantissa != 0.5:
            raise BadInput(f"NIR input '{name}': scale {code.scale:g} is not a power of two")
    return {name: codes[name] for name in sizes}


# --- metadata --------------------------------------------------------------------------------


def _metadata(graph: nir.NIRGraph) -> dict[str, Any]:
    """Our JSON header merged over the arrays that travel beside it; {} for foreign graphs."""
    plain = dict(getattr(graph, "metadata", None) or {})
    text = plain.pop(METADATA_KEY, None)
    if text is None:
        return {}
    if isinstance(text, np.ndarray):
        text = text[()]
    try:
        header = json.loads(text)
    except (TypeError, ValueError) as error:
        raise BadInput(f"NIR graph: metadata '{METADATA_KEY}' is not JSON ({error})") from None
    if not isinstance(header, dict) or header.get("schema") != METADATA_SCHEMA:
        found = header.get("schema") if isinstance(header, dict) else header
        raise BadInput(
            f"NIR graph: metadata schema {found!r}, this version reads {METADATA_SCHEMA}"
        )
    return {**plain, **header}


def _stored(metadata: Mapping[str, Any], key: str, layer: str) -> Any | None:
    """Array `key` of `layer`; HDF5 turns `key/layer` into nested groups, memory may not."""
    nested = metadata.get(key)
    if isinstance(nested, Mapping) and layer in nested:
        return nested[layer]
    return metadata.get(f"{key}/{layer}")


def _positive(key: str, value: Any, meaning: str) -> float:
    if value is None:
        raise BadInput(f"NIR graph: {key} ({meaning}) is not stored in NIR; pass {key}=")
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise BadInput(f"NIR graph: {key} is {value!r}, expected a positive number")
    return value


def _policy(value: object) -> Policy:
    for policy in get_args(Policy):
        if value == policy:
            found: Policy = policy
            return found
    raise BadInput(f"NIR graph: policy {value!r}, expected one of {', '.join(get_args(Policy))}")
