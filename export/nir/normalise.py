"""Any NIR graph -> one flat graph in which nothing is left to infer, and the list of repairs.

In: a graph as `nirfile.read` returns it, or as a framework built it. Out: nested graphs inlined,
every edge once, every shape known and without batch or time, every parameter in full shape.

Nothing is guessed: a repair follows from the file alone, is listed, and leaves the numbers that
the network computes as they were. What has two readings is refused. Refused as well, and not
dropped: nodes that nothing feeds, nodes that lead to no Output (a wire is missing, or they are cost
without use), and loops without delay, which have no order of evaluation: a loop must pass a spiking
neuron (its spikes arrive one step later) or a Delay above 0. Several sources of a node are summed,
so their shapes must agree.

Normalising the result gives an equal graph and no repairs.
"""

from collections import deque
from collections.abc import Iterator, Mapping
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
from neurozsl.export.nir.parameters import Feed, Shape, absent, shape_of
from neurozsl.export.nir.ports import Around, port_note
from neurozsl.export.nir.samples import Labels, Samples, declared_shape, likely
from neurozsl.export.nir.wires import Wires


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
    work.given = dict(work.nodes)
    work.settle(_labels(flat, work))
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
        self.given = nodes  # as stored; `nodes` become whole while their shapes are found

    def settle(self, labels: Labels) -> None:
        """Shapes from the inputs on, each node once; then every other source must agree."""
        takes: dict[str, Shape] = {}
        flattened: dict[str, Shape] = {}
        pending = deque(self.named(nir.Input))
        samples = Samples(self.given, self.after, labels)
        for name in pending:
            sample = samples.of(name)
            self._note(sample.note)
            self.shapes[name] = takes[name] = sample.shape
            self.nodes[name] = _port(self.nodes[name], nir.Input, sample.shape)
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
                    self.shapes[name] = shape
                    self.nodes[name] = _port(self.nodes[name], nir.Output, shape)
                    continue
                done = self._settled(name, Feed(name, shape, source, self.repairs))
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

    def _settled(self, name: str, feed: Feed) -> rules.Settled:
        node = self.nodes[name]
        try:
            return rules.settle(node, feed)
        except BadInput as error:
            fed_by_input = isinstance(self.nodes[feed.source], nir.Input)
            meaning = likely(feed.source, feed.shape, name, node) if fed_by_input else ""
            if not meaning:
                raise
            raise BadInput(f"{error}; {meaning}") from error

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
        """Outputs, and the ports that were removed, declare the shape of what feeds them."""
        around = Around(self.given, self.before, self.after, self.shapes)
        for name in self.named(nir.Output):
            source = self.before[name][0]
            declared = declared_shape(self.given[name])
            stored = shape_of(name, "shape", declared)
            if not stored:
                self.repairs.append(
                    f"Output '{name}': its shape was {absent(declared)}, {self.shapes[name]} "
                    f"follows from '{source}'"
                )
                continue
            self._note(port_note(f"Output '{name}'", stored, source, around))
        for port, source, stored in _port_labels(flat):
            self._note(port_note(f"port '{port}'", stored, source, around))

    def _note(self, text: str) -> None:
        if text:
            self.repairs.append(text)


def _port_labels(flat: Flat) -> Iterator[tuple[str, str, Shape]]:
    """Every removed port that declares a shape: its name, the node that feeds it, the shape."""
    fed_by: dict[str, str] = {}
    for port, removed in flat.ports.items():
        chain = [port]
        while chain[-1] in flat.ports and chain[-1] not in fed_by:
            chain.append(flat.ports[chain[-1]].before)
        source = fed_by.get(chain[-1], chain[-1])
        fed_by |= dict.fromkeys(chain[:-1], source)
        stored = shape_of(port, "shape", removed.declared)
        if stored:
            yield port, source, stored


def _labels(flat: Flat, wires: Wires) -> Labels:
    found: dict[str, list[Shape]] = {}
    for _, source, stored in _port_labels(flat):
        found.setdefault(source, []).append(stored)
    for name in wires.named(nir.Output):
        stored = shape_of(name, "shape", declared_shape(wires.nodes[name]))
        for source in wires.before[name] if stored else ():
            found.setdefault(source, []).append(stored)
    return found


def _port(node: Any, kind: Any, shape: Shape) -> Any:
    key = "input" if kind is nir.Input else "output"
    new = kind({key: np.array(shape, dtype=np.int64)})
    if getattr(node, "metadata", None):
        new.metadata = node.metadata
    return new
