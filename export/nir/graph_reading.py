"""A NIR graph to a `BranchSpec`: of `graph.to_nir`, or a feed-forward one of another tool.

    LIF      kappa = dt / tau                                gain r
    CubaLIF  kappa = dt / tau_mem, kappa_s = dt / tau_syn    gain kappa_s w_in r
    IF       kappa = 0                                       gain r, read as gain per step

A gain other than 1 is folded into the weights. Where our metadata holds the exact decays they are
taken, after a check against the time constants of the nodes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

import nir
import numpy as np

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import BranchSpec, FloatArray, InputCode, LayerSpec, Policy
from neurozsl.export.nir.check import check_spec
from neurozsl.export.nir.conv_nodes import SYNAPSES, Shape, layer_shape, read_synapse, scaled
from neurozsl.hardware.lower.metadata import METADATA_KEY, METADATA_SCHEMA
from neurozsl.hardware.lower.order import natural

# A stored gain or decay that equals its float32 form to this relative error is the same number.
_SAME = 1e-6


def from_nir(
    graph: nir.NIRGraph,
    *,
    dt_s: float | None = None,
    steps: int | None = None,
    inputs: Mapping[str, InputCode] | None = None,
) -> BranchSpec:
    """The branch that a feed-forward graph of linear maps, kernels and spiking nodes describes.

    Args:
        graph: ours, or one of another tool.
        dt_s: length of a step in seconds; needed when the graph does not carry it.
        steps: steps of a sample; needed when the graph does not carry them.
        inputs: input codes of a foreign graph; binary spikes where not given.

    Returns:
        BranchSpec; float32 weights, float64 decays.

    Raises:
        UnsupportedNode: names every node that has no entry in the table.
        BadInput: dt or steps unknown, v_leak or v_reset other than 0, recurrence, NaN.
    """
    _refuse_unknown(graph)
    meta = _own_metadata(graph)
    if meta is None:
        if dt_s is None or steps is None:
            missing = " and ".join(k for k, v in (("dt_s", dt_s), ("steps", steps)) if v is None)
            raise BadInput(
                f"NIR graph: {missing} not known (NIR stores no time step); pass {missing}"
            )
        meta = {"dt_s": dt_s, "steps": steps, "policy": "fixed"}
    dt_s, before = float(meta["dt_s"]), _predecessors(graph)
    order = meta.get("layers") or _topological(graph, before)
    shapes, layers = _input_shapes(graph), []
    for name in order:
        layers.append(_layer(graph, name, before, shapes, dt_s))
        shapes[name] = layer_shape(layers[-1])
    spec = BranchSpec(
        inputs=_codes(graph, meta, inputs),
        layers=tuple(layers),
        outputs=tuple(meta.get("outputs") or _outputs(graph, before)),
        dt_s=dt_s,
        steps=int(meta["steps"]),
        policy=_policy(meta["policy"]),
    )
    check_spec(spec)
    return spec


def _own_metadata(graph: nir.NIRGraph) -> dict[str, Any] | None:
    text = getattr(graph, "metadata", {}).get(METADATA_KEY)
    if text is None:
        return None
    try:
        meta = json.loads(text)
        missing = {"schema", "dt_s", "steps", "policy", "inputs", "outputs", "layers"} - set(meta)
    except (TypeError, ValueError) as error:
        raise BadInput(f"NIR graph: metadata['{METADATA_KEY}'] is not JSON ({error})") from error
    if missing:
        raise BadInput(
            f"NIR graph: metadata['{METADATA_KEY}'] lacks {sorted(missing)}; export it again"
        )
    if meta["schema"] != METADATA_SCHEMA:
        raise BadInput(
            f"NIR graph: schema {meta['schema']} of metadata['{METADATA_KEY}'], this version reads "
            f"{METADATA_SCHEMA}; export it again"
        )
    unknown = sorted(set(meta["layers"]) - set(graph.nodes))
    if unknown:
        raise BadInput(f"NIR graph: metadata names layers that are not nodes: {unknown}")
    return dict(meta)


def _refuse_unknown(graph: nir.NIRGraph) -> None:
    known = (nir.Input, nir.Output, nir.Flatten, *SYNAPSES, *_NEURONS)
    found = [
        f"{name} ({type(node).__name__})"
        for name, node in graph.nodes.items()
        if not isinstance(node, known)
    ]
    if found:
        raise UnsupportedNode(
            found,
            "NIR graph",
            "a branch holds Affine, Linear, Conv1d, Conv2d, Flatten, LIF, CubaLIF and IF nodes",
        )


def _predecessors(graph: nir.NIRGraph) -> dict[str, str]:
    """Per node the one node that feeds it."""
    before: dict[str, list[str]] = {}
    for source, target in dict.fromkeys(map(tuple, graph.edges)):
        before.setdefault(target, []).append(source)
    many = [f"{name} <- {', '.join(sorted(v))}" for name, v in before.items() if len(v) > 1]
    if many:
        raise BadInput(
            "NIR graph: nodes with more than one source (recurrence or a sum): " + "; ".join(many)
        )
    absent = {n for edge in graph.edges for n in edge} - set(graph.nodes)
    if absent:
        raise BadInput(f"NIR graph: edges name nodes that do not exist: {sorted(absent)}")
    return {name: v[0] for name, v in before.items()}


def _topological(graph: nir.NIRGraph, before: Mapping[str, str]) -> list[str]:
    """Spiking nodes, every one after its source; equal depths by name."""
    depth: dict[str, int] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, tuple(_NEURONS)):
            at, steps = name, 0
            while at in before:
                at, steps = before[at], steps + 1
                if steps > len(graph.nodes):
                    raise BadInput(f"NIR graph: '{name}' lies on a loop; recurrence is not read")
            depth[name] = steps
    return sorted(depth, key=lambda n: (depth[n], natural(n)))


def _codes(
    graph: nir.NIRGraph, meta: Mapping[str, Any], given: Mapping[str, InputCode] | None
) -> dict[str, InputCode]:
    if "inputs" in meta:
        return {name: InputCode(**code) for name, code in meta["inputs"].items()}
    codes = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            size = int(np.prod(next(iter(node.input_type.values()))))
            binary = InputCode(size=size, kind="binary", bits=1, signed=False, scale=1.0)
            codes[name] = (given or {}).get(name, binary)
    return codes


def _outputs(graph: nir.NIRGraph, before: Mapping[str, str]) -> list[str]:
    return [before[n] for n, v in graph.nodes.items() if isinstance(v, nir.Output) and n in before]


def _policy(value: Any) -> Policy:
    allowed: tuple[Policy, ...] = get_args(Policy)
    for policy in allowed:
        if value == policy:
            return policy
    raise BadInput(f"NIR graph: policy {value!r}, expected one of {', '.join(allowed)}")


def _input_shapes(graph: nir.NIRGraph) -> dict[str, Shape]:
    return {
        name: tuple(int(n) for n in np.ravel(next(iter(node.input_type.values()))))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Input)
    }


def _source(graph: nir.NIRGraph, synapse: str | None, before: Mapping[str, str]) -> str | None:
    """What a synapse reads; a Flatten in between changes the shape alone."""
    source = before.get(synapse or "")
    while source is not None and isinstance(graph.nodes[source], nir.Flatten):
        source = before.get(source)
    return source


def _layer(
    graph: nir.NIRGraph,
    name: str,
    before: Mapping[str, str],
    shapes: Mapping[str, Shape],
    dt_s: float,
) -> LayerSpec:
    node, at = graph.nodes[name], before.get(name)
    source = _source(graph, at, before)
    fed = at is not None and isinstance(graph.nodes[at], SYNAPSES)
    if at is None or not fed or source is None or source not in shapes:
        raise BadInput(
            f"NIR graph: neuron '{name}' is not fed by one matrix or kernel on a layer or an input"
        )
    weight, bias, conv = read_synapse(at, graph.nodes[at], source, shapes[source])
    out = LayerSpec(name, source, weight, bias, bias, bias, conv=conv).size
    for key in ("v_leak", "v_reset"):
        value = np.asarray(getattr(node, key, 0.0))
        if np.any(value != 0):
            raise BadInput(f"NIR graph: '{name}' has {key} other than 0; only 0 can be exported")
    kappa, syn_kappa, gain = _NEURONS[type(node)](node, dt_s, out, name)
    extra = getattr(graph, "metadata", {})
    kappa = _exact(kappa, extra.get("kappa", {}).get(name), f"kappa of '{name}'")
    if syn_kappa is not None:
        stored = extra.get("syn_kappa", {}).get(name)
        syn_kappa = _exact(syn_kappa, stored, f"syn_kappa of '{name}'")
    if not np.allclose(gain, 1, rtol=_SAME, atol=0):
        weight, bias = scaled(weight, bias, gain)
    table = extra.get("theta_table", {}).get(name)
    return LayerSpec(
        name=name,
        source=source,
        weight=weight,
        bias=bias,
        kappa=kappa,
        threshold=_vector(node.v_threshold, out, name),
        syn_kappa=syn_kappa,
        theta_table=None if table is None else np.asarray(table, np.float64),
        conv=conv,
    )


def _exact(rounded: FloatArray, stored: Any, what: str) -> FloatArray:
    """The stored float64 decay, after a check against the one that tau gives."""
    if stored is None:
        return rounded
    exact: FloatArray = np.asarray(stored, np.float64)
    if exact.shape != rounded.shape or not np.allclose(exact, rounded, rtol=_SAME, atol=0):
        raise BadInput(
            f"NIR graph: {what} in the metadata contradicts tau; the file was changed by a tool "
            "that does not know the metadata: remove metadata['neurozsl'] or export it again"
        )
    return exact


def _vector(value: Any, size: int, name: str) -> FloatArray:
    """A parameter as `(size,)`; scalars are the same for all neurons."""
    array = np.asarray(value)
    if array.size not in (1, size):
        raise BadInput(f"NIR graph: '{name}' has {array.size} parameters for {size} neurons")
    return np.array(np.broadcast_to(array.reshape(-1), (size,)))


Decays = tuple[FloatArray, FloatArray | None, FloatArray]


def _lif(node: Any, dt_s: float, size: int, name: str) -> Decays:
    """kappa, no synaptic current, gain of the input."""
    tau = _vector(node.tau, size, name).astype(np.float64)
    return dt_s / tau, None, _vector(node.r, size, name)


def _cuba(node: Any, dt_s: float, size: int, name: str) -> Decays:
    """Euler form: i <- (1 - k_s) i + k_s w_in I; the gain is 1 where w_in = 1 / k_s."""
    tau_mem = _vector(node.tau_mem, size, name).astype(np.float64)
    syn = dt_s / _vector(node.tau_syn, size, name).astype(np.float64)
    gain = syn * _vector(node.w_in, size, name) * _vector(node.r, size, name)
    return dt_s / tau_mem, syn, gain


def _if(node: Any, dt_s: float, size: int, name: str) -> Decays:
    """No leak; r is the gain per step, as Norse and Sinabs read it."""
    return np.zeros(size), None, _vector(node.r, size, name)


_NEURONS: Mapping[Any, Callable[[Any, float, int, str], Decays]] = {
    nir.LIF: _lif,
    nir.CubaLIF: _cuba,
    nir.IF: _if,
}
