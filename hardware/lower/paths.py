"""The graph between populations: which paths of linear nodes lead into which neurons.

In: a flat NIR graph. Out: its populations (neuron nodes, and read-outs: linear nodes that feed an
Output), every `Path` into each of them, and the chains that the nodes of a path fold into. Nothing
of a graph is dropped: a node that no path passes is an error, an input that nothing reads a note.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nir
import numpy as np

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.hardware.lower.chain import Chain
from neurozsl.hardware.lower.linear import LINEAR, Named, follow
from neurozsl.hardware.lower.neurons import NEURONS
from neurozsl.hardware.lower.order import Edge
from neurozsl.hardware.lower.parameters import Shape

_MOST_PATHS: Final = 1024  # between two populations


@dataclass(frozen=True)
class Path:
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


def check_nodes(graph: nir.NIRGraph) -> None:
    """Every node has a converter.

    Raises:
        UnsupportedNode: names every node that has none.
    """
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


def populations(graph: nir.NIRGraph) -> list[str]:
    """Neuron nodes, then read-outs: the linear nodes before an Output."""
    read_outs = [name for name in _read(graph) if _kind(graph.nodes[name]) in LINEAR]
    found = [name for name, node in graph.nodes.items() if _kind(node) in NEURONS]
    if not found:
        raise BadInput(
            f"NIR graph: holds no spiking layer ({', '.join(NEURONS)}); a network without neurons "
            "needs no neuromorphic chip"
        )
    return list(dict.fromkeys(found + read_outs))


def _read(graph: nir.NIRGraph) -> list[str]:
    """Nodes before an Output."""
    before = _before(graph)
    return [a for name, n in graph.nodes.items() if _kind(n) == "Output" for a in before[name]]


def find_paths(graph: nir.NIRGraph, names: Sequence[str]) -> list[Path]:
    """Every path into every population.

    Raises:
        BadInput: a loop of linear nodes, too many paths, a node that nothing feeds, a source that
            does not spike.
    """
    before = _before(graph)
    found = [Path(a, b, nodes) for b in names for a, nodes in _paths_into(graph, before, b)]
    _check_sources(graph, names, found)
    return found


def _paths_into(
    graph: nir.NIRGraph, before: Mapping[str, Sequence[str]], target: str
) -> list[tuple[str, tuple[str, ...]]]:
    """Every way back from a population through linear nodes to an input or another population."""
    start = (target,) if _kind(graph.nodes[target]) in LINEAR else ()
    found: list[tuple[str, tuple[str, ...]]] = []
    open_ends = [(source, start) for source in before[target]]
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


def _check_sources(graph: nir.NIRGraph, names: Sequence[str], paths: Sequence[Path]) -> None:
    for name in names:
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


def unread_inputs(graph: nir.NIRGraph, names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Inputs that nothing reads; any other such node is an error, for nothing is dropped."""
    used = {name for path in paths for name in (path.source, *path.nodes)} | set(names)
    idle = {k: _kind(n) for k, n in graph.nodes.items() if k not in used and _kind(n) != "Output"}
    lost = [f"{name} ({kind})" for name, kind in idle.items() if kind != "Input"]
    if lost:
        raise BadInput(
            f"NIR graph: no neuron and no output reads {', '.join(lost)}; connect or remove"
        )
    return list(idle)


def follow_all(
    graph: nir.NIRGraph, paths: Sequence[Path], dt_s: float
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


def outputs(
    graph: nir.NIRGraph, names: Collection[str], listed: Iterable[str] | None
) -> tuple[str, ...]:
    """The layers that are read: those before an Output, or those that our metadata lists."""
    read = _read(graph) if listed is None else (str(name) for name in listed)
    wanted = tuple(dict.fromkeys(read))
    for name in wanted:
        if name not in names:
            raise BadInput(f"NIR graph: output '{name}' is not a layer")
    if not wanted:
        raise BadInput("NIR graph: has no Output node; nothing would be read")
    return wanted
