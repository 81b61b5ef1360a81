"""Neurons that a network can do without, proved or seen: `unread`, `never`, `silent`.

    unread   no output depends on them: no path of nonzero weights leads from them to one
    never    they cannot spike: nothing that could ever spike reaches them through a nonzero weight,
             and they did not spike in this run. Their input is the same constant in every sample,
             so a run of all steps is the proof
    silent   none of the two, but without a spike in this run: seen, not proved

Out: per layer a mask `(size,)`; no neuron is in two of them. Of a map whole channels are taken,
since a kernel cannot lose a neuron at one place; outputs and layers that do not spike are read by
the host and keep all neurons. Where thresholds change from sample to sample (policy dynamic or
closed) no run proves anything, and `never` is empty.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import Policy
from neurozsl.hardware.count.tally import Network
from neurozsl.hardware.network.connections import Bools, reached, sources_of

Masks = dict[str, Bools]
Why = Literal["unread", "never", "silent"]
MOVING: Final[tuple[Policy, ...]] = ("dynamic", "closed")  # thresholds that follow the input


def removable(
    network: Network, spikes: Mapping[str, npt.NDArray[Any]], policy: str
) -> dict[Why, Masks]:
    """The neurons of a network after a run, by the reason and the layer.

    spikes: `(sample, time, size)` per layer. policy: of the thresholds in this run.
    """
    spiked: Masks = {x.name: (spikes[x.name] != 0).any(axis=(0, 1)) for x in network.layers}
    needed = _needed(network)
    able = _able(network, spiked)
    unread, never, silent = Masks(), Masks(), Masks()
    for layer in network.layers:
        name = layer.name
        kept = name in network.outputs or not layer.rule.spiking
        quiet = np.zeros_like(spiked[name]) if kept else ~spiked[name]
        proved = np.zeros_like(quiet) if policy in MOVING else quiet & ~able[name]
        unread[name] = ~needed[name]
        never[name] = _whole_channels(layer, proved & ~unread[name])
        silent[name] = _whole_channels(layer, quiet & ~unread[name] & ~never[name])
    return {"unread": unread, "never": never, "silent": silent}


def _needed(network: Network) -> Masks:
    """Neurons that an output depends on, back along nonzero weights until nothing is added."""
    needed = {x.name: np.full(x.size, x.name in network.outputs) for x in network.layers}
    waiting = [x for x in network.layers if x.name in network.outputs]
    by_name = {x.name: x for x in network.layers}
    while waiting:
        layer = waiting.pop()
        for synapse in layer.synapses:
            source = by_name.get(synapse.source)
            if source is None:
                continue
            read = sources_of(synapse, synapse.weight != 0, needed[layer.name])
            more = needed[source.name] | ~_whole_channels(source, ~read)
            if np.any(more & ~needed[source.name]):
                needed[source.name] = more
                waiting.append(source)
    return needed


def _able(network: Network, spiked: Mapping[str, Bools]) -> Masks:
    """Neurons that spiked, or that something which can spike reaches; until nothing is added."""
    sending: Masks = {name: np.ones(code.size, np.bool_) for name, code in network.inputs.items()}
    sending |= spiked
    grows = True
    while grows:
        grows = False
        for layer in network.layers:
            found = sending[layer.name]
            for synapse in layer.synapses:
                event: Bools = sending[synapse.source][None]
                found = np.logical_or(found, reached(synapse, synapse.weight != 0, event)[0])
            grows = grows or bool(np.any(found & ~sending[layer.name]))
            sending[layer.name] = found
    return sending


def _whole_channels(layer: Any, mask: Bools) -> Bools:
    """Of a map `(C, H, W)` the channels whose every neuron is meant."""
    shape: Sequence[int] = layer.shape
    if len(shape) == 1:
        return mask
    whole = np.asarray(mask.reshape(shape).all(axis=(1, 2), keepdims=True), np.bool_)
    return np.broadcast_to(whole, tuple(shape)).reshape(-1)
