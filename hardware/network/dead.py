"""Neurons that a network can do without, exactly: which they are, and the layers without them.

    silent   never spikes, whatever the inputs: its bias alone does not reach the threshold in T
             steps, and no path of weights other than 0 leads to it from an input or from a neuron
             that its bias wakes
    unread   no path of such weights, over neurons that are not silent, leads from it to an output

So what read silent neurons alone is silent, and what fed unread ones alone is unread. The rest
spikes as before, bit for bit: a term that is left out of a sum was 0, a weight times no spike or no
weight times a spike (sums of floats may be taken in another order, which matters where a membrane
ties with its threshold to the last bit). A neuron that spikes by its bias alone stays unless it is
unread.

Only hidden layers lose neurons: outputs are read by the host. A layer on a map keeps its neurons,
and one that is read through a kernel or a pool too, because a map loses channels, not neurons. A
layer keeps one neuron in any case.

Several descriptions of one network (float, integers) are looked at together: a neuron goes only
where it is dead in all of them. Which neurons a bias alone wakes is a question to the simulators,
`woken` here: their step from rest is the proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.network.program import NetworkLayer
from neurozsl.hardware.network.synapse import LayerLinks

Flags = npt.NDArray[np.bool_]
Kept = Mapping[str, npt.NDArray[np.intp]]  # per layer, the numbers of the neurons that stay
L = TypeVar("L", bound=LayerLinks)


@dataclass(frozen=True)
class LeftOut:
    """Dead neurons of one layer, by number; `neurons`: of the layer before they left."""

    layer: str
    neurons: int
    silent: tuple[int, ...]
    unread: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many leave."""
        return len(self.silent) + len(self.unread)

    @property
    def kept(self) -> npt.NDArray[np.intp]:
        """Numbers of those that stay, in order."""
        return np.setdiff1d(np.arange(self.neurons), (*self.silent, *self.unread))


@dataclass(frozen=True)
class View:
    """One description of a network. woken: per layer, neurons that spike without any input."""

    layers: Sequence[NetworkLayer]
    woken: Mapping[str, Flags]


def find_dead(views: Sequence[View], outputs: Sequence[str]) -> tuple[LeftOut, ...]:
    """Layers with dead neurons, in the order of the network; the views describe the same layers.

    outputs: layers that the host reads.
    """
    first = views[0].layers
    pruned = [layer for layer in first if _may_lose(layer, first, outputs)]
    silent = _silent(views, {layer.name: layer.size for layer in pruned})
    kept = _kept(views, silent)
    rows = (
        LeftOut(name, len(flags), _numbers(flags & ~kept[name]), _numbers(~flags & ~kept[name]))
        for name, flags in silent.items()
    )
    return tuple(row for row in rows if row.count)


def without(layers: Sequence[L], kept: Kept) -> tuple[L, ...]:
    """The layers with the neurons `kept`, and the weights between them; others stay whole."""
    return tuple(_without(layer, kept) for layer in layers)


def _without(layer: L, kept: Kept) -> L:
    rows = kept.get(layer.name)  # type: ignore[attr-defined]  # layers have names, links none
    first, *also = (
        replace(s, weight=sub_matrix(s.weight, rows, kept.get(s.source))) for s in layer.synapses
    )
    own = {} if rows is None else {key: getattr(layer, key)[rows] for key in layer.per_neuron}
    changed: L = replace(layer, weight=first.weight, also=tuple(also), **own)  # type: ignore[type-var]  # they are dataclasses
    return changed


def sub_matrix(weight: Any, rows: Any, columns: Any) -> Any:
    """Rows and columns by number, None for all of them.

    >>> sub_matrix(np.eye(3), [0, 2], None).shape
    (2, 3)
    """
    weight = weight if rows is None else weight[rows]
    return weight if columns is None else weight[:, columns]


def _may_lose(layer: NetworkLayer, layers: Sequence[NetworkLayer], outputs: Sequence[str]) -> bool:
    """A hidden layer that spikes, and that matrices alone reach and leave."""
    touching = [*layer.synapses]
    touching += [s for other in layers for s in other.synapses if s.source == layer.name]
    plain = all(s.link.conv is None and not s.link.pools for s in touching)
    return layer.name not in outputs and layer.rule.spiking and plain


def _silent(views: Sequence[View], sizes: Mapping[str, int]) -> dict[str, Flags]:
    """Neurons that never spike: all that no bias wakes, less what spikes may reach.

    Loops are no exception: with a delay in them, the first spike would need one before it.
    """
    found = {name: ~np.logical_or.reduce([view.woken[name] for view in views]) for name in sizes}
    layers = [layer for view in views for layer in view.layers if layer.name in sizes]
    changed = True
    while changed:
        changed = False
        for layer in layers:
            for synapse in layer.synapses:
                live = ~found.get(synapse.source, np.zeros(synapse.size_in, bool))
                reached = (synapse.weight[:, live] != 0).any(axis=1) & found[layer.name]
                if reached.any():
                    found[layer.name] &= ~reached
                    changed = True
    return found


def _kept(views: Sequence[View], silent: Mapping[str, Flags]) -> dict[str, Flags]:
    """Neurons that spike and that a neuron that stays reads; of each layer one at least."""
    kept = {name: np.zeros(len(flags), bool) for name, flags in silent.items()}
    everything = [layer for view in views for layer in view.layers]
    changed = True
    while changed:
        changed = False
        for layer in everything:
            stays = kept.get(layer.name, np.ones(layer.size, bool))
            for synapse in layer.synapses:
                if synapse.source in kept:
                    source = kept[synapse.source]
                    read = (synapse.weight[stays] != 0).any(axis=0)
                    read &= ~silent[synapse.source] & ~source
                    if read.any():
                        source |= read
                        changed = True
        empty = [name for name, flags in kept.items() if not flags.any()]
        if not changed and empty:  # the last first: what its one neuron reads stays too
            kept[empty[-1]][np.argmin(silent[empty[-1]])] = changed = True
    return kept


def _numbers(flags: Flags) -> tuple[int, ...]:
    return tuple(int(i) for i in np.flatnonzero(flags))
