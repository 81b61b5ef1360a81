"""Which layers can run over all steps at once, and which have to take turns.

`stages(layers)` groups layers into strongly connected groups and orders the groups so that each
comes after everything that it reads. A layer that reads itself, and layers that read each other in
a circle (every circle has a delay), need the spikes of the step before: they run one step at a
time, together. All others run over all steps at once, delayed synapses included: a delay that
leads strictly forward closes no circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from neurozsl.hardware.network.synapse import HasSynapses

L = TypeVar("L", bound=HasSynapses)


@dataclass(frozen=True)
class LayerGroup(Generic[L]):
    """Layers in the order of the network; in_steps where they run one step at a time."""

    layers: tuple[L, ...]
    in_steps: bool

    @property
    def names(self) -> frozenset[str]:
        """Names of its layers."""
        return frozenset(layer.name for layer in self.layers)


def stages(layers: Sequence[L]) -> tuple[LayerGroup[L], ...]:
    """The groups in an order in which they can run; `wiring.check_wiring` let the layers pass."""
    index = {layer.name: i for i, layer in enumerate(layers)}
    reads = [{index[s.source] for s in layer.synapses if s.source in index} for layer in layers]
    before = _ancestors(reads)  # bit j of entry i: layer j reaches layer i
    groups: dict[tuple[int, ...], bool] = {}
    for i, found in enumerate(before):
        members = [j for j in range(len(layers)) if found >> j & 1 and before[j] >> i & 1]
        groups[tuple(members) or (i,)] = bool(members)
    # What a group reads has fewer layers before it than the group itself, which counts as read.
    ordered = sorted(groups, key=lambda group: (_upstream(group, before), group))
    return tuple(LayerGroup(tuple(layers[i] for i in g), groups[g]) for g in ordered)


def _ancestors(reads: Sequence[set[int]]) -> list[int]:
    """Per layer, as bits, the layers that reach it over one or more synapses."""
    before = [sum(1 << j for j in sources) for sources in reads]
    changed = True
    while changed:
        changed = False
        for i, sources in enumerate(reads):
            found = before[i]
            for j in sources:
                found |= before[j]
            changed = changed or found != before[i]
            before[i] = found
    return before


def _upstream(group: tuple[int, ...], before: Sequence[int]) -> int:
    found = before[group[0]]
    for i in group:
        found |= 1 << i
    return found.bit_count()
