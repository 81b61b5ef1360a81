"""Any NIR graph -> one flat graph in which nothing is left to infer, and the list of repairs.

In: a graph as `nirfile.read` returns it, or as a framework built it. Out: nested graphs inlined,
every edge once, every shape known and without batch dimension, every parameter in full shape.

Nothing is guessed: a repair follows from the file alone, is listed, and leaves the numbers that
the network computes as they were. What has two readings is refused. Refused as well, and not
dropped: nodes that nothing feeds, nodes that lead to no Output (a wire is missing, or they are cost
without use), and loops without delay, which have no order of evaluation: a loop must pass a spiking
neuron (its spikes arrive one step later) or a Delay above 0. Several sources of a node are summed,
so their shapes must agree.

Normalising the result gives an equal graph and no repairs.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import nir
import numpy as np

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.export.nir import settle as rules
from neurozsl.export.nir.hdf5tree import MAX_VALUES
from neurozsl.export.nir.inline import Edge, Flat, inline
from neurozsl.export.nir.nirfile import MAX_NESTING
from neurozsl.export.nir.parameters import Feed, Shape, shape_of
from neurozsl.export.nir.wires import Wires, listed


@dataclass(frozen=True)
class Normalised:
    """The flat graph, the shape that each of its nodes gives, and one sentence per change."""

    graph: nir.NIRGraph
    shapes: Mapping[str, Shape]
    repairs: tuple[str, ...]


def normalise(graph: nir.NIRGraph) -> Normalised:
    """Flatten, complete and check a graph of the types in `settle`, which is not changed.

    Returns:
        A graph of new nodes (arrays that needed no change are shared), output shapes per node
        without batch dimension, `(channel, row, column)` for maps; repairs, those of the reader
        (`graph.repairs`) first. `graph.version` and the metadata of the outer graph are kept.

    Raises:
        UnsupportedNode: names every node of another type.
        BadInput: see the module docstring; the message names the node.
    """
    _check_types(graph)
    flat = inline(graph)
    work = _Work(dict(flat.nodes), dict.fromkeys(flat.edges))
    work.repairs += [*getattr(graph, "repairs", ()), *flat.repairs]
    work.add_ends()
    work.check_wires()
    work.settle()
    work.check_ports(flat)
    made = nir.NIRGraph(nodes=work.nodes, edges=list(work.edges))
    made.metadata = getattr(graph, "metadata", None) or {}
    made.version = getattr(graph, "version", None)
    return Normalised(made, work.shapes, tuple(work.repairs))


def _check_types(graph: nir.NIRGraph) -> None:
    unknown: list[str] = []
    pending = [("", graph, 1)]
    while pending:
        prefix, part, depth = pending.pop()
        for name, node in part.nodes.items():
            if isinstance(node, nir.NIRGraph):
                if depth <= MAX_NESTING:
                    pending.append((f"{prefix}{name}.", node, depth + 1))
            elif type(node) not in rules.RULES and not isinstance(node, nir.Input | nir.Output):
                unknown.append(f"{prefix}{name} ({type(node).__name__})")
    if unknown:
        known = ", ".join(sorted(kind.__name__ for kind in rules.RULES))
        raise UnsupportedNode(unknown, "NIR graph", f"known types: {known}, Input, Output")


class _Work(Wires):
    """The flat graph while its shapes are found."""

    def __init__(self, nodes: dict[str, Any], edges: dict[Edge, None]) -> None:
        super().__init__(nodes, edges)
        self.shapes: dict[str, Shape] = {}

    def settle(self) -> None:
        """Shapes from the inputs on, each node once; then every other source must agree."""
        takes: dict[str, Shape] = {}
        flattened: dict[str, Shape] = {}
        pending = deque(self.named(nir.Input))
        for name in pending:
            self.shapes[name] = takes[name] = self._input_shape(name)
            self.nodes[name] = _port(self.nodes[name], nir.Input, self.shapes[name])
        values = 0
        while pending:
            source = pending.popleft()
            values += prod(self.shapes[source])
            if values > MAX_VALUES:
                raise BadInput(
                    f"node '{source}': with its {self.shapes[source]} the nodes give more than "
                    f"{MAX_VALUES} values; such a network is not read"
                )
            for name in self.after[source]:
                if name in takes:
                    continue
                takes[name] = shape = self.shapes[source]
                if isinstance(self.nodes[name], nir.Output):
                    self.shapes[name] = self._output_shape(name, shape, source)
                    self.nodes[name] = _port(self.nodes[name], nir.Output, shape)
                    continue
                feed = Feed(name, shape, source, self.repairs)
                done = rules.settle(self.nodes[name], feed)
                self.nodes[name], self.shapes[name] = done.node, done.gives
                if done.takes != shape:
                    flattened[name] = shape
                pending.append(name)
        for source, target in self.edges:
            if self.shapes[source] != takes[target]:
                first = next(s for s in self.before[target] if self.shapes[s] == takes[target])
                raise BadInput(
                    f"node '{target}': '{first}' gives {takes[target]} and '{source}' gives "
                    f"{self.shapes[source]}; sources are summed, so their shapes must agree"
                )
        for name, shape in flattened.items():
            self._flatten_before(name, shape)

    def _input_shape(self, name: str) -> Shape:
        stored = shape_of(name, "shape", declared_shape(self.nodes[name]))
        found: dict[Shape, str] = {}
        for target in self.after[name]:
            want = rules.wanted(target, self.nodes[target])
            if want is None:
                continue
            if stored:
                fits = rules.unbatched(stored, want)
            else:
                fits = None if None in want else tuple(n for n in want if n is not None)
            if fits:
                found[fits] = target
        if len(found) > 1:
            raise BadInput(
                f"Input '{name}': its shape {stored or 'is missing and'} reads as "
                f"{' or '.join(f'{s} for {t!r}' for s, t in found.items())}; store the shape of "
                "one sample"
            )
        if not found and not stored:
            raise BadInput(
                f"Input '{name}': its shape is missing, and does not follow from what it feeds"
                f"{listed(self.after[name])}; store the shape of one sample"
            )
        for shape, target in found.items():
            if not stored:
                self.repairs.append(
                    f"Input '{name}': its shape was missing, {shape} follows from '{target}'"
                )
            elif shape != stored:
                self.repairs.append(
                    f"Input '{name}': {stored} has a batch dimension, '{target}' takes {shape}"
                )
            return shape
        return stored

    def _output_shape(self, name: str, shape: Shape, source: str) -> Shape:
        stored = shape_of(name, "shape", declared_shape(self.nodes[name]))
        if not stored:
            self.repairs.append(
                f"Output '{name}': its shape was missing, {shape} follows from '{source}'"
            )
        elif stored != shape:
            if not _same_but_ones(stored, shape) and rules.unbatched(stored, shape) is None:
                raise BadInput(
                    f"Output '{name}': its shape is {stored}, but '{source}' gives {shape}; "
                    "correct one of the two"
                )
            self.repairs.append(f"Output '{name}': shape {stored}, '{source}' gives {shape}")
        return shape

    def _flatten_before(self, name: str, shape: Shape) -> None:
        """A matrix fed with a map: the flattening that it means, as a node."""
        new = self.free(f"{name}.flatten")
        size = (prod(shape),)
        node = nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array(shape)})
        self.nodes[new] = rules.changed(node, shape, size).node
        self.shapes[new] = size
        self.edges = {
            (source, new if target == name else target): None for source, target in self.edges
        }
        self.edges[new, name] = None
        self.repairs.append(f"node '{new}': added, '{name}' takes the {size[0]} values of {shape}")

    def check_ports(self, flat: Flat) -> None:
        """The shape that a removed port declares is the one of what fed it."""
        known = dict(self.shapes)
        for port in flat.ports:
            chain = [port]
            while chain[-1] not in known:
                chain.append(flat.ports[chain[-1]].before)
            for name in reversed(chain[:-1]):
                known[name] = known[chain[-1]]
                stored = shape_of(name, "shape", flat.ports[name].declared)
                shape = known[name]
                if stored and rules.unbatched(stored, shape) is None:
                    raise BadInput(
                        f"port '{name}': its shape is {stored}, but '{flat.ports[name].before}' "
                        f"gives {shape}; correct one of the two"
                    )


def declared_shape(node: Any) -> Any:
    """The shape that an Input or Output stores, None where it stores none."""
    port = node.input_type if isinstance(node, nir.Input) else node.output_type
    return next(iter((port or {}).values()), None)


def _port(node: Any, kind: Any, shape: Shape) -> Any:
    key = "input" if kind is nir.Input else "output"
    new = kind({key: np.array(shape, dtype=np.int64)})
    if getattr(node, "metadata", None):
        new.metadata = node.metadata
    return new


def _same_but_ones(a: Shape, b: Shape) -> bool:
    return [n for n in a if n != 1] == [n for n in b if n != 1]
