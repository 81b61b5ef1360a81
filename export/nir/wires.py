"""The wires of a flat NIR graph: a missing end added, dead ends and loops without delay refused.

A loop is evaluated one step late through a spiking neuron (the spikes of the last step) or a Delay
above 0. Without either, every node of it waits for the others: no order, so no meaning in steps.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.dialects.base import SPIKING
from neurozsl.export.nir.inline import Edge, some
from neurozsl.export.nir.parameters import numbers


class Wires:
    """Nodes and edges while they are completed; `before` and `after` list the neighbours."""

    def __init__(self, nodes: dict[str, Any], edges: dict[Edge, None]) -> None:
        self.nodes = nodes
        self.edges = edges
        self.repairs: list[str] = []
        self.before: dict[str, list[str]] = {name: [] for name in nodes}
        self.after: dict[str, list[str]] = {name: [] for name in nodes}
        for source, target in edges:
            self.before[target].append(source)
            self.after[source].append(target)

    def named(self, kind: Any) -> list[str]:
        return [name for name, node in self.nodes.items() if isinstance(node, kind)]

    def add_ends(self) -> None:
        """One missing Input or Output, where one node alone can be its neighbour."""
        if not self.nodes:
            raise BadInput("the graph has no nodes; export it again")
        first = [name for name, sources in self.before.items() if not sources]
        last = [name for name, targets in self.after.items() if not targets]
        if not self.named(nir.Input):
            name = self._only("Input", "fed by nothing", first)
            new = self.free("input")
            self.nodes = {new: nir.Input({"input": None}), **self.nodes}
            self._wire(new, name)
            self.repairs.append(f"Input '{new}': added before '{name}', which nothing feeds")
        if not self.named(nir.Output):
            name = self._only("Output", "read by nothing", last)
            new = self.free("output")
            self.nodes[new] = nir.Output({"output": None})
            self._wire(name, new)
            self.repairs.append(f"Output '{new}': added after '{name}', which nothing reads")

    def _only(self, kind: str, how: str, names: list[str]) -> str:
        if len(names) != 1:
            raise BadInput(
                f"the graph has no {kind} node, and {len(names)} nodes are {how}"
                f"{listed(names)}, expected one; add an {kind} node where it belongs"
            )
        return names[0]

    def free(self, name: str) -> str:
        """`name`, or `name2`, ... where it is taken."""
        number = 1
        while (new := name if number == 1 else f"{name}{number}") in self.nodes:
            number += 1
        return new

    def _wire(self, source: str, target: str) -> None:
        self.edges[source, target] = None
        self.after.setdefault(source, []).append(target)
        self.before.setdefault(target, []).append(source)
        self.before.setdefault(source, [])
        self.after.setdefault(target, [])

    def check_wires(self) -> None:
        for name in self.named(nir.Input):
            if self.before[name]:
                raise BadInput(f"Input '{name}': '{self.before[name][0]}' leads into it")
        for name in self.named(nir.Output):
            if self.after[name]:
                raise BadInput(f"Output '{name}': it leads to '{self.after[name][0]}'")
        fed = self._reached(self.named(nir.Input), self.after)
        unfed = [name for name in self.nodes if name not in fed]
        if unfed:
            raise BadInput(
                f"no Input leads to {len(unfed)} of the nodes{listed(unfed)}; add the missing "
                "edge, or delete them"
            )
        useful = self._reached(self.named(nir.Output), self.before)
        useless = [name for name in self.nodes if name not in useful]
        if useless:
            raise BadInput(
                f"{len(useless)} of the nodes lead to no Output{listed(useless)}; add an Output "
                "after them, or delete them"
            )
        self._check_loops()

    def _reached(self, start: list[str], step: Mapping[str, list[str]]) -> set[str]:
        found, pending = set(start), list(start)
        while pending:
            new = [name for name in step[pending.pop()] if name not in found]
            found.update(new)
            pending += new
        return found

    def _check_loops(self) -> None:
        """What waits for its sources within a step must have an order."""
        instant = dict.fromkeys(n for n, node in self.nodes.items() if not _delays(n, node))
        waits = {name: [s for s in self.before[name] if s in instant] for name in instant}
        try:
            TopologicalSorter(waits).prepare()
        except CycleError as error:
            raise BadInput(
                f"loop {' -> '.join(error.args[1][:20])}: no spiking neuron and no Delay above 0 "
                "in it, so no order of evaluation; put a Delay of one step in the loop"
            ) from None


def _delays(name: str, node: Any) -> bool:
    if isinstance(node, nir.Delay):
        return bool(np.all(numbers(name, "delay", node.delay) > 0))
    return isinstance(node, SPIKING)


def listed(names: list[str]) -> str:
    return f" ({some(names)})" if names else ""
