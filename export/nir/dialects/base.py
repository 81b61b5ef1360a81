"""What a dialect is: all that NIR leaves open, as one framework means it.

NIR stores no step, no unit of time, no reset rule, no discretisation and no reading of an IF's r.
Every writer means one thing by each, and its files look alike in places where NIR has a choice:
that is how they are recognised. A dialect is data: the meaning, the signs, and what its files
cannot say at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import nir
import numpy as np

from neurozsl.export.nir.dialects.words import Discretisation, IfGain, Start
from neurozsl.hardware.network.neuron import NeuronRule

DT_S: Final = 1e-4  # the step of the NIR paper's experiments and of most exporters
_NEAR: Final = 1e-5  # float32 quotients of float32 parameters


@dataclass(frozen=True)
class NeuronNode:
    """A neuron node of a graph; looped where its spikes come back to it through weights alone."""

    name: str
    node: Any
    looped: bool = False

    @property
    def kind(self) -> str:
        """LIF, CubaLIF, IF, or a type that does not spike."""
        return type(self.node).__name__

    def values(self, key: str) -> Any:
        """A parameter in double precision, None where the node has none."""
        value = getattr(self.node, key, None)
        return None if value is None else np.asarray(value, np.float64)

    def is_all(self, key: str, value: float) -> bool:
        """True where a parameter has this value in every neuron."""
        found = self.values(key)
        return found is not None and bool(np.all(found == value))

    @property
    def gains_are_one(self) -> bool:
        """True where r undoes the decay at 1e-4 s a step, and w_in that of the current."""
        return self.has_gain_one(DT_S)

    def has_gain_one(self, dt_s: float) -> bool:
        """The same at another step."""
        return self.implied_dt is not None and abs(self.implied_dt / dt_s - 1) <= _NEAR

    @property
    def implied_dt(self) -> float | None:
        """The step at which the input gain is 1: tau / r, 1 / r of an IF; None where they differ.

        Of a CubaLIF tau_syn / w_in has to be the same.
        """
        gain, tau = self.values("r"), self.values("tau_mem" if self.kind == "CubaLIF" else "tau")
        if gain is None or not np.all(gain > 0):
            return None
        steps = [(1.0 if tau is None else tau) / gain]
        if self.kind == "CubaLIF":
            jump = self.values("w_in")
            if not np.all(jump > 0):
                return None
            steps.append(self.values("tau_syn") / jump)
        every = np.concatenate([np.ravel(step) for step in steps])
        first = float(every[0])
        return first if np.allclose(every, first, rtol=_NEAR, atol=0) else None


@dataclass(frozen=True)
class Evidence:
    """What a graph, as it was read, shows of its writer.

    names: of every node, `outer.inner` in nested graphs. cells: neurons that spike. weights: of
    every matrix and kernel. version: of nir, as the file states it. leading: length of the axis
    that an Input counts before those that the weights behind it take, a batch or time; None where
    it counts none.
    """

    names: tuple[str, ...]
    cells: tuple[NeuronNode, ...]
    weights: tuple[Any, ...]
    version: str | None
    leading: int | None = None

    def every(self, holds: Callable[[NeuronNode], bool]) -> bool:
        """True where there are neurons and this holds for each."""
        return bool(self.cells) and all(holds(cell) for cell in self.cells)

    def stores_reset(self) -> bool:
        """True where every neuron stores a v_reset, as nir >= 1.0.6 writes it."""
        return self.every(lambda cell: cell.values("v_reset") is not None)

    def has_type(self, kind: Any) -> bool:
        """True where every parameter of every neuron has this numpy type."""
        return self.every(
            lambda cell: all(
                np.asarray(value).dtype == kind
                for key, value in vars(cell.node).items()
                if key in PARAMETERS and value is not None
            )
        )


PARAMETERS: Final = ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in")
_AXES: Final = {"Linear": 1, "Affine": 1, "Conv1d": 2, "Conv2d": 3}  # of what a node reads
SPIKING: Final = (nir.LIF, nir.CubaLIF, nir.IF)
TIMES: Final = ("tau", "tau_mem", "tau_syn")


@dataclass(frozen=True)
class Mended:
    """Parameters of a node as the dialect means them, and a sentence where that is a change.

    decays: `kappa` and `syn_kappa`, where the framework's own number is known beside tau.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    decays: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dialect:
    """How one framework means its files.

    key: the word after `--dialect`. title: framework and version that were measured. wrote: the
    signs of its files, a sentence, "" where a file is not one of them. variants: what its files
    cannot say and a second word can, `key:variant`, with its meaning; the first is what the
    framework does by default; variants_say names what they decide, variants_of the types of node
    that it concerns. rule: of a neuron, by variant. step_in_s: the length of a step that the file
    shows, None where it shows none: then dt_s, assumed. times_in_steps: time constants count steps.
    start: a sample starts at v_reset, or at v_leak. mend: what is stored otherwise than it is
    meant, for a step of so many seconds, in the file that is seen. cannot_say: one sentence each,
    with the option that supplies it. other_rules: of those options the ones that change spikes,
    with the fields of `Said` that they set.
    """

    key: str
    title: str
    wrote: Callable[[Evidence], str]
    rule: Callable[[NeuronNode, str], NeuronRule]
    discretisation: Discretisation = "euler"
    if_gain: IfGain = "step"
    variants: Mapping[str, str] = field(default_factory=dict)
    variants_say: str = "reset"
    variants_of: tuple[str, ...] = ("LIF", "CubaLIF", "IF")
    step_in_s: Callable[[Evidence], float | None] = lambda evidence: None
    times_in_steps: bool = False
    start: Start = "reset"
    mend: Callable[[NeuronNode, float, str, Evidence], Mended] = lambda *unused: Mended()
    dt_s: float = DT_S
    other_rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cannot_say: tuple[str, ...] = ()

    @property
    def default(self) -> str:
        """The variant that the bare word means, "" where there are none."""
        return next(iter(self.variants), "")

    def words(self) -> tuple[str, ...]:
        """The bare word, then one for each variant."""
        return (self.key, *(f"{self.key}:{variant}" for variant in self.variants))


def evidence(graph: nir.NIRGraph) -> Evidence:
    """What is to be seen in a graph as the reader returns it, nested graphs included."""
    nodes = dict(_walk(graph, ""))
    looped = _looped(graph)
    return Evidence(
        names=tuple(nodes),
        cells=tuple(
            NeuronNode(name, node, name in looped)
            for name, node in nodes.items()
            if isinstance(node, SPIKING)
        ),
        weights=tuple(node.weight for node in nodes.values() if hasattr(node, "weight")),
        version=getattr(graph, "version", None),
        leading=_leading(graph),
    )


def _walk(graph: nir.NIRGraph, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from _walk(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node


def _leading(graph: nir.NIRGraph) -> int | None:
    """Exporters take off the first axis of the sample that they were given, or none."""
    for source, target in graph.edges:
        given, reader = graph.nodes.get(source), type(graph.nodes.get(target)).__name__
        if isinstance(given, nir.Input) and reader in _AXES:
            [shape] = given.input_type.values()
            if np.size(shape) == _AXES[reader] + 1:
                return int(np.ravel(shape)[0])
    return None


def _looped(graph: nir.NIRGraph) -> frozenset[str]:
    """Neurons of which a path of other nodes than neurons leads back to themselves."""
    found: set[str] = set()
    pending = [("", graph)]
    while pending:
        prefix, part = pending.pop()
        after: dict[str, list[str]] = {}
        for source, target in part.edges:
            after.setdefault(str(source), []).append(str(target))
        for name, node in part.nodes.items():
            if isinstance(node, nir.NIRGraph):
                pending.append((f"{prefix}{name}.", node))
            elif isinstance(node, SPIKING) and name in _reached(name, part, after):
                found.add(f"{prefix}{name}")
    return frozenset(found)


def _reached(start: str, graph: nir.NIRGraph, after: Mapping[str, list[str]]) -> set[str]:
    seen: set[str] = set()
    pending = list(after.get(start, ()))
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if not isinstance(graph.nodes.get(name), SPIKING):
            pending += after.get(name, ())
    return seen
