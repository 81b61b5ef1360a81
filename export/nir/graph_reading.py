"""A NIR graph with our metadata to a `BranchSpec`: of `graph.to_nir`, or a plain stack of Norse's.

    LIF      kappa = dt / tau                                gain r
    CubaLIF  kappa = dt / tau_mem, kappa_s = dt / tau_syn    gain kappa_s w_in r
    IF       kappa = 0                                       gain r, read as gain per step

The gain is 1 in every file of ours. The exact decays of the metadata are taken, after a check
against the time constants of the nodes. Graphs of other tools: `foreign`, `hardware.lower`.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import nir
import numpy as np

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import BranchSpec, FloatArray, LayerSpec, Policy
from neurozsl.core.stored_codes import read_codes
from neurozsl.export.nir.check import check_spec
from neurozsl.export.nir.conv_nodes import BEFORE, SYNAPSES, Shape, layer_shape, read_synapse
from neurozsl.hardware.lower import metadata

# A stored gain or decay that equals its float32 form to this relative error is the same number.
_SAME = 1e-6


def from_nir(graph: nir.NIRGraph) -> BranchSpec:
    """The branch that a feed-forward graph of linear maps, kernels and spiking nodes describes.

    The graph has our metadata; the branch has weights in float32 and decays in float64.

    Raises:
        UnsupportedNode: names every node that has no entry in the table.
        BadInput: no metadata of ours, a reset that no branch has, recurrence, NaN, a gain.
    """
    _refuse_unknown(graph)
    before, meta = _predecessors(graph), _own_metadata(graph)
    shapes, layers = graph_inputs(graph), []
    for name in meta["layers"]:
        layers.append(_layer(graph, name, before, shapes, meta))
        shapes[name] = layer_shape(layers[-1])
    spec = BranchSpec(
        inputs=read_codes(meta["inputs"], "NIR graph: metadata", remedy="export it again"),
        layers=tuple(layers),
        outputs=tuple(meta["outputs"]),
        dt_s=float(meta["dt_s"]),
        steps=int(meta["steps"]),
        policy=meta["policy"],
    )
    check_spec(spec)
    return spec


def _own_metadata(graph: nir.NIRGraph) -> dict[str, Any]:
    meta = metadata.read(graph)
    missing = {"dt_s", "steps", "policy", "inputs", "outputs", "layers"} - set(meta)
    if missing:
        raise BadInput(
            f"NIR graph: metadata['{metadata.METADATA_KEY}'] lacks {sorted(missing)}; export it "
            "again, or read a graph of another tool with `nz.lower`"
        )
    if meta.get("reset", "zero") != "zero":
        raise BadInput(f"NIR graph: reset {meta['reset']!r}; the neurons of a branch reset to zero")
    if meta["policy"] not in get_args(Policy):
        allowed = ", ".join(get_args(Policy))
        raise BadInput(f"NIR graph: policy {meta['policy']!r}, expected one of {allowed}")
    unknown = sorted(set(meta["layers"]) - set(graph.nodes))
    if unknown:
        raise BadInput(f"NIR graph: metadata names layers that are not nodes: {unknown}")
    return meta


def _refuse_unknown(graph: nir.NIRGraph) -> None:
    known = (nir.Input, nir.Output, *BEFORE, *SYNAPSES, *_NEURONS)
    found = [
        f"{name} ({type(node).__name__})"
        for name, node in graph.nodes.items()
        if not isinstance(node, known)
    ]
    if found:
        raise UnsupportedNode(
            found,
            "NIR graph",
            "a branch holds Affine, Linear, Conv1d, Conv2d, SumPool2d, Flatten, LIF, CubaLIF and "
            "IF nodes",
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


def graph_inputs(graph: nir.NIRGraph) -> dict[str, Shape]:
    """Shape of every Input node, without batch and time."""
    return {
        name: tuple(int(n) for n in np.ravel(next(iter(node.input_type.values()))))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Input)
    }


def _way(
    graph: nir.NIRGraph, synapse: str | None, before: Mapping[str, str]
) -> tuple[str | None, list[tuple[str, Any]]]:
    """What a synapse reads, and the sums and changes of shape on the way from there."""
    source, way = before.get(synapse or ""), list[tuple[str, Any]]()
    while source is not None and isinstance(graph.nodes[source], BEFORE):
        way.insert(0, (source, graph.nodes[source]))
        source = before.get(source)
    return source, way


def _layer(
    graph: nir.NIRGraph,
    name: str,
    before: Mapping[str, str],
    shapes: Mapping[str, Shape],
    meta: Mapping[str, Any],
) -> LayerSpec:
    node, at = graph.nodes[name], before.get(name)
    source, way = _way(graph, at, before)
    fed = at is not None and isinstance(graph.nodes[at], SYNAPSES)
    if at is None or not fed or source is None or source not in shapes:
        raise BadInput(
            f"NIR graph: neuron '{name}' is not fed by one matrix or kernel on a layer or an input"
        )
    weight, bias, conv, pools = read_synapse(at, graph.nodes[at], source, shapes[source], way)
    out = LayerSpec(name, source, weight, bias, bias, bias, conv=conv).size
    for key in ("v_leak", "v_reset"):
        value = np.asarray(getattr(node, key, 0.0))
        if np.any(value != 0):
            raise BadInput(f"NIR graph: '{name}' has {key} other than 0; only 0 can be exported")
    kappa, syn_kappa, gain = _NEURONS[type(node)](node, float(meta["dt_s"]), out, name)
    stored = metadata.of_layer(meta, name)
    kappa = _exact(kappa, stored("kappa"), f"kappa of '{name}'")
    if syn_kappa is not None:
        syn_kappa = _exact(syn_kappa, stored("syn_kappa"), f"syn_kappa of '{name}'")
    if not np.allclose(gain, 1, rtol=_SAME, atol=0):
        raise BadInput(f"NIR graph: '{name}' has an input gain other than 1; export it again")
    table = stored("theta_table")
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
        pools=pools,
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
