"""Nested NIR graphs as one flat graph: names joined by dots, ports removed, edges rewired.

A nested graph is a node whose Input and Output nodes are its ports. An outer edge may name

    'sub'                        its one port of that side
    'sub.in1', 'sub.input'       a port; 'input' and 'output' also mean the one port of another name
    'sub.lif'                    a node inside
    'sub', no such node          flattened by nirtorch: the one port among the nodes 'sub.<name>'

    fc -> sub,  sub: in1 -> lif <-> w_rec, lif -> out1,  sub -> fc2
    becomes  fc -> sub.lif,  sub.lif <-> sub.w_rec,  sub.lif -> fc2

What an edge means twice is never guessed: two wires between the same two nodes are refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import nir

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.nirfile import MAX_EDGES, MAX_NESTING, MAX_NODES

Edge = tuple[str, str]
Side = Literal["source", "target"]
Neighbours = Mapping[str, Mapping[str, None]]
_PORT = {"target": nir.Input, "source": nir.Output}
_DEFAULT = {"target": "input", "source": "output"}


@dataclass(frozen=True)
class Port:
    """A removed port: the shape that it declares, and a node or port that fed it."""

    declared: Any
    before: str


@dataclass(frozen=True)
class Flat:
    """A graph without nested graphs; `ports` by name, `repairs` one sentence each."""

    nodes: Mapping[str, Any]
    edges: tuple[Edge, ...]
    ports: Mapping[str, Port]
    repairs: tuple[str, ...]


def inline(graph: nir.NIRGraph) -> Flat:
    """Flatten all nested graphs; a flat graph only loses edges that are stored twice.

    Raises:
        BadInput: an edge names no node or one of several ports, two nodes get one name, two wires
            join the same nodes, a port that is needed is not fed, graphs nested too deep.
    """
    walk = _Walk()
    walk.visit(graph, "", 1)
    return walk.without_ports()


class _Walk:
    """Collects the nodes and edges of all levels under their full names."""

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.edges: dict[Edge, None] = {}
        self.inner: set[str] = set()
        self.repairs: list[str] = []
        self.ends: dict[tuple[str, str, Side], str] = {}

    def visit(self, graph: nir.NIRGraph, prefix: str, depth: int) -> None:
        if depth > MAX_NESTING:
            raise BadInput(f"graph '{prefix[:-1]}': {depth} graphs deep, limit {MAX_NESTING}")
        for name, node in graph.nodes.items():
            full = f"{prefix}{name}"
            if isinstance(node, nir.NIRGraph):
                self.repairs.append(f"graph '{full}': inlined, its nodes are named '{full}.<name>'")
                self.visit(node, f"{full}.", depth + 1)
                continue
            if full in self.nodes:
                raise BadInput(f"node '{full}': two nodes get this name; rename one of them")
            self.nodes[full] = node
            if prefix and isinstance(node, nir.Input | nir.Output):
                self.inner.add(full)
            if len(self.nodes) > MAX_NODES:
                raise BadInput(f"the graph has more than {MAX_NODES} nodes")
        self._add_edges(graph, prefix)

    def _add_edges(self, graph: nir.NIRGraph, prefix: str) -> None:
        here: set[Edge] = set()
        twice: dict[Edge, None] = {}
        for source, target in graph.edges:
            edge = (
                self._end(graph, prefix, str(source), "source"),
                self._end(graph, prefix, str(target), "target"),
            )
            if edge in here:
                twice[edge] = None
                continue
            here.add(edge)
            self._connect(self.edges, edge)
        self.repairs += [f"edge '{a}' -> '{b}': stored more than once, kept once" for a, b in twice]

    def _connect(self, edges: dict[Edge, None], edge: Edge) -> None:
        if edge in edges:
            raise BadInput(
                f"edge '{edge[0]}' -> '{edge[1]}': two wires join these nodes through nested "
                "graphs, which may mean the sum or one wire; keep one, or put a Scale of 2 in it"
            )
        edges[edge] = None
        if len(edges) > MAX_EDGES:
            raise BadInput(f"the graph has more than {MAX_EDGES} edges")

    def _end(self, graph: nir.NIRGraph, prefix: str, name: str, side: Side) -> str:
        key = (prefix, name, side)
        if key not in self.ends:
            self.ends[key] = self._find(graph, prefix, name, side)
        return self.ends[key]

    def _find(self, graph: nir.NIRGraph, prefix: str, name: str, side: Side) -> str:
        node = graph.nodes.get(name)
        if isinstance(node, nir.NIRGraph):
            return self._only_port(node, f"{prefix}{name}", side)
        if node is not None:
            return f"{prefix}{name}"
        cuts = [i for i, letter in enumerate(name) if letter == "."]
        heads = [name[:i] for i in cuts if isinstance(graph.nodes.get(name[:i]), nir.NIRGraph)]
        if len(heads) == 1:
            nested, rest = graph.nodes[heads[0]], name[len(heads[0]) + 1 :]
            full = f"{prefix}{heads[0]}"
            if rest == _DEFAULT[side] and rest not in nested.nodes:
                port = self._only_port(nested, full, side)
                self.repairs.append(f"edge end '{prefix}{name}': no such port, '{port}' is the one")
                return port
            return self._find(nested, f"{full}.", rest, side)
        ports = [
            key
            for key, other in graph.nodes.items()
            if isinstance(other, _PORT[side]) and key.startswith(f"{name}.")
        ]
        if len(ports) != 1:
            raise BadInput(
                f"edge end '{prefix}{name}': no such node; the nodes there are {_some(graph.nodes)}"
            )
        self.repairs.append(
            f"edge end '{prefix}{name}': no such node, '{prefix}{ports[0]}' is the one "
            f"{_PORT[side].__name__} of the nodes '{prefix}{name}.<name>'"
        )
        return f"{prefix}{ports[0]}"

    def _only_port(self, graph: nir.NIRGraph, full: str, side: Side) -> str:
        kind = _PORT[side]
        ports = [key for key, node in graph.nodes.items() if isinstance(node, kind)]
        if len(ports) != 1:
            raise BadInput(
                f"graph '{full}': an edge names it, and it has {len(ports)} {kind.__name__} nodes "
                f"({_some(ports)}), expected one; name the port in the edge, '{full}.<port>'"
            )
        return f"{full}.{ports[0]}"

    def without_ports(self) -> Flat:
        before: dict[str, dict[str, None]] = {name: {} for name in self.nodes}
        after: dict[str, dict[str, None]] = {name: {} for name in self.nodes}
        for source, target in self.edges:
            before[target][source] = None
            after[source][target] = None
        groups = Counter(name.rpartition(".")[0] for name in self.nodes)
        removed = [
            name
            for name in self.nodes
            if name in self.inner or self._is_flat_port(name, groups, before, after)
        ]
        ports: dict[str, Port] = {}
        edges = dict(self.edges)
        moved = 0
        for name in removed:
            node = self.nodes[name]
            kind = type(node).__name__
            if name in before[name]:
                raise BadInput(f"{kind} '{name}': a loop of ports alone, which holds no value")
            if after[name] and not before[name]:
                raise BadInput(
                    f"{kind} '{name}': a port that nothing feeds; add the edge, or delete the port"
                )
            if not after[name]:
                self.repairs.append(f"{kind} '{name}': a port that nothing reads, left out")
            moved += len(before[name]) * len(after[name])
            if moved > 10 * MAX_EDGES:
                raise BadInput(f"{kind} '{name}': its ports join more than {MAX_EDGES} nodes")
            for source in before[name]:
                del after[source][name], edges[source, name]
            for target in after[name]:
                del before[target][name], edges[name, target]
            for source in before[name]:
                for target in after[name]:
                    self._connect(edges, (source, target))
                    after[source][target] = before[target][source] = None
            if before[name]:
                declared = node.input_type if kind == "Input" else node.output_type
                ports[name] = Port((declared or {}).get(kind.lower()), next(iter(before[name])))
        nodes = {name: node for name, node in self.nodes.items() if name not in set(removed)}
        return Flat(nodes, tuple(edges), ports, tuple(self.repairs))

    def _is_flat_port(
        self, name: str, groups: Mapping[str, int], before: Neighbours, after: Neighbours
    ) -> bool:
        """An Input that is fed, or an Output that is read: the port of a graph flattened before."""
        node = self.nodes[name]
        wired = before if isinstance(node, nir.Input) else after
        if not isinstance(node, nir.Input | nir.Output) or not wired[name]:
            return False
        kind, group = type(node).__name__, name.rpartition(".")[0]
        if not group or groups[group] < 2:
            verb = "leads into" if kind == "Input" else "leaves"
            raise BadInput(f"{kind} '{name}': an edge {verb} it; delete the edge or the node")
        self.repairs.append(f"{kind} '{name}': a port inside the graph, removed")
        return True


def _some(names: Iterable[str]) -> str:
    return some([f"'{name}'" for name in names])


def some(names: list[str]) -> str:
    """The first eight, and how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
