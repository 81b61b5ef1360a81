"""A `.nir` file of any tool as a `Network`: its layers, and everything that was not in the file.

NIR stores no time step, no unit of time and no rule at the threshold. What the file does not say,
the caller may say (`Said`); what nobody says is assumed, and every assumption is one sentence that
travels with what is made of the network (its graph's metadata, bundles, reports):

    dt         1e-4 s, the step of the NIR paper's experiments and of snnTorch's reader
    tau unit   seconds, as Norse, snnTorch and the paper's files write them
    reset      to zero where the file holds v_reset (nir >= 1.0.6), else to zero, assumed: the text
               of nir <= 1.0.5 says "subtract the threshold", the tools that write it do both
    compare    v > theta, the standard's text; sinabs compares with >=
    spikes     one a step; sinabs' layers send several

Repairs of the graph itself come from `normalise`, rewriting from `hardware.lower.lower`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.normalise import normalise
from neurozsl.export.nir.said import SECONDS, Said, TauUnit
from neurozsl.hardware.lower import metadata as graph_metadata
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.lower.neurons import has_time_constant
from neurozsl.hardware.network.neuron import NeuronRule, Reset

DT_S: Final = 1e-4
STEPS: Final = 100
_TIMES: Final = ("tau", "tau_mem", "tau_syn", "delay")


@dataclass(frozen=True)
class Network:
    """A network of a file.

    graph: flat, shapes filled in, times in seconds, resets at 0, with our metadata: written to a
    file it says all that was said and assumed. source: name of the file. repairs: changes to the
    graph. assumptions: what nobody said. notes: what lowering rewrote.
    """

    source: str
    graph: nir.NIRGraph
    lowered: Lowered
    repairs: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What lowering rewrote or decided."""
        return self.lowered.notes


def from_graph(graph: nir.NIRGraph, source: str, said: Said | None = None) -> Network:
    """The network of a graph of any version and tool, as `nirfile.read` gives it.

    `source` is what messages call it; `said` what the caller knows and the graph may not say.

    Raises:
        BadInput, UnsupportedNode: see `normalise`, `lower`; or the caller contradicts the graph.
    """
    said = said or Said()
    normal = normalise(graph)
    header = graph_metadata.read(normal.graph)
    if header:
        _check_agrees(header, said, source)
        lowered = lower(normal.graph)
        kept = tuple(header.get("assumptions", ()))
        repairs = (*header.get("repairs", ()), *normal.repairs)
        return Network(source, normal.graph, lowered, repairs, kept)
    rule, unsaid = _rule(normal.graph, said)
    dt_s, about_time = _time(normal.graph, said)
    unit = SECONDS[said.tau_unit or "s"]
    settled, moved = _settled(normal.graph, unit)
    steps = STEPS if said.steps is None else said.steps
    drafted = lower(settled, dt_s=dt_s, steps=steps, inputs=said.inputs, rule=rule)
    assumptions = (*about_time, *unsaid)
    repairs = (*normal.repairs, *moved)
    at_threshold = {"v_reset": 0, **rule.as_json()}
    del at_threshold["spiking"]
    settled.metadata = graph_metadata.header(
        drafted, at_threshold, assumptions=assumptions, repairs=repairs
    )
    return Network(source, settled, lower(settled), repairs, assumptions)


def _check_agrees(header: Mapping[str, Any], said: Said, source: str) -> None:
    """A file that says it is not overruled."""
    given = {"dt_s": said.dt_s, "reset": said.reset, "compare": said.compare, "steps": said.steps}
    given |= {"max_spikes": said.max_spikes, "low": said.low}
    for key, value in given.items():
        stored = header.get(key, {"max_spikes": 1}.get(key))
        if value is not None and stored != value:
            raise BadInput(
                f"{source}: says {key} {stored!r}, asked for {value!r}; leave the option out, or "
                "remove metadata['neurozsl'] from the file"
            )


def _rule(graph: nir.NIRGraph, said: Said) -> tuple[NeuronRule, list[str]]:
    spiking = [node for node in graph.nodes.values() if hasattr(node, "v_threshold")]
    stores_reset = [node for node in spiking if getattr(node, "v_reset", None) is not None]
    unsaid = []
    reset: Reset = said.reset or "zero"
    if spiking and said.reset is None:
        unsaid.append(
            "reset: to v_reset, which the file holds (nir >= 1.0.6)"
            if len(stores_reset) == len(spiking)
            else "reset: to zero at a spike (the file does not say; --reset subtract is the other)"
        )
    if spiking and said.max_spikes is None and said.compare is None:
        unsaid.append("threshold: one spike a step where v > theta (sinabs means >= and several)")
    most = 1 if said.max_spikes is None else said.max_spikes
    rule = NeuronRule(reset, most, said.compare or ">", said.low)
    return rule, unsaid


def _time(graph: nir.NIRGraph, said: Said) -> tuple[float, list[str]]:
    if said.tau_unit is not None and said.tau_unit not in get_args(TauUnit):
        raise BadInput(f"unit of time {said.tau_unit!r}, expected one of {', '.join(SECONDS)}")
    if not any(has_time_constant(node) for node in graph.nodes.values()):
        if said.dt_s is not None:
            return said.dt_s, []
        return DT_S, [f"dt: a step is called {DT_S:g} s; no node depends on it"]
    unsaid = []
    if said.dt_s is None:
        unsaid.append(f"dt: {DT_S:g} s a step (the file does not say; --dt)")
    if said.tau_unit is None:
        unsaid.append("unit of time: seconds (the file does not say; --tau-unit)")
    return (DT_S if said.dt_s is None else said.dt_s), unsaid


def _settled(graph: nir.NIRGraph, unit: float) -> tuple[nir.NIRGraph, list[str]]:
    """The graph in seconds and with every v_reset at 0 (v' = v - v_reset, exact)."""
    nodes, moved = dict(graph.nodes), []
    for name, node in graph.nodes.items():
        changed = {
            key: np.asarray(getattr(node, key), np.float64) * unit
            for key in _TIMES
            if unit != 1 and hasattr(node, key)
        }
        reset = getattr(node, "v_reset", None)
        if reset is not None and np.any(np.asarray(reset) != 0):
            lowered = np.asarray(reset, np.float64)
            for key in ("v_threshold", "v_leak"):
                if hasattr(node, key):
                    changed[key] = np.asarray(getattr(node, key), np.float64) - lowered
            moved.append(f"node '{name}': membrane, threshold and v_leak are counted from v_reset")
        if changed:
            nodes[name] = replace(node, **changed)
    return nir.NIRGraph(nodes=nodes, edges=list(graph.edges)), moved
