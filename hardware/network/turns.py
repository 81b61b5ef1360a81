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

import numpy as np

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
    before = np.zeros((len(layers), len(layers)), np.bool_)  # i, j: layer j reaches layer i
    for i, layer in enumerate(layers):
        before[i, [index[s.source] for s in layer.synapses if s.source in index]] = True
    for k in range(len(layers)):
        before |= before[:, k, None] & before[k]
    groups: dict[tuple[int, ...], bool] = {}
    for i in range(len(layers)):
        members = tuple(np.flatnonzero(before[i] & before[:, i]).tolist())
        groups[members or (i,)] = bool(members)
    # What a group reads has fewer layers before it than the group itself, which counts as read.
    upstream = {g: np.count_nonzero(before[g[0]]) + (not groups[g]) for g in groups}
    ordered = sorted(groups, key=lambda group: (upstream[group], group))
    return tuple(LayerGroup(tuple(layers[i] for i in g), groups[g]) for g in ordered)
