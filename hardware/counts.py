"""Operations of a run, per layer and per sample: spikes, synaptic operations, neuron updates.

Two definitions of a synaptic operation are in use, and both are reported under their names:

    effective (NeuroBench 2.3)  nonzero input x nonzero weight counts one; `Effective_ACs` where all
                                inputs of the synapse in that step are in {-1, 0, 1} over the whole
                                batch, else `Effective_MACs`. Biases never count.
    weighted (sinabs 3.1)       input value x fan-out, zero weights included.

`Dense` counts every weight once per step and place: for a convolution every (input position,
neuron) that a weight joins, zero padding excluded. `synops` is the effective count (ACs + MACs): a
graded event, or several spikes of a neuron in one step, is one operation per nonzero weight, as on
a chip whose spikes carry a payload.

Pools: an event is a spike of the source, and goes through the pool to every neuron behind it. On
Speck pooling merges addresses (a setting of the source's destination, sinabs `chips/dynapcnn.py`),
so each spike still arrives; on Loihi a sum pool without neurons can only be folded into the
weights. A sum has no adder of its own then, nothing is multiplied, and weighted operations are
those of sinabs, whose sums are the spikes of their windows. NeuroBench, which sees the sums, would
count the nonzero ones, and multiplies where one is above 1. `Dense` stays its figure: of the map
of the sums, which is what an artificial network would multiply.

A delay moves events to later steps; those after the last step never arrive. A layer's own spikes
are events like others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.errors import BadInput
from neurozsl.hardware.connections import PIECE, Bools, fan_out, present, reached
from neurozsl.hardware.lower import Lowered
from neurozsl.hardware.speck.program import AnyProgram, SpeckLayer
from neurozsl.hardware.synapse import Link, Synapse, shifted
from neurozsl.signals import ChipInput, Trace


@dataclass(frozen=True)
class LayerCounts:
    """One layer; every count is the mean over samples of one inference (all its steps).

    Sums over all synapses of the layer; `source` names where they come from. fan_in: weights of one
    neuron. parameters: weights as stored (a kernel once), and biases that are not zero.
    nonzero_weights: of the weights. spike_rate: spikes / (neurons x steps), above 1 only where
    neurons send several in a step. input_events: nonzero codes or spikes that arrive.
    active_updates: neuron-steps in which at least one event arrived through a nonzero weight;
    the others are inactive_updates. conv_synops: operations through kernels, a part of `synops`.
    """

    name: str
    source: str
    fan_in: int
    neurons: int
    parameters: int
    nonzero_weights: int
    steps: int
    spikes: float
    spike_rate: float
    input_events: float
    effective_acs: float
    effective_macs: float
    dense: float
    synops_weighted: float
    active_updates: float
    inactive_updates: float
    leaky: bool
    conv_synops: float = 0.0

    @property
    def synops(self) -> float:
        """Effective_ACs + Effective_MACs."""
        return self.effective_acs + self.effective_macs

    @property
    def neuron_updates(self) -> float:
        """Neurons x steps: on a clocked chip every neuron is visited in every step."""
        return self.active_updates + self.inactive_updates


@dataclass(frozen=True)
class Counts:
    """All layers of a branch in order, over `samples` inferences of `steps` steps."""

    layers: tuple[LayerCounts, ...]
    samples: int
    steps: int

    def total(self, key: str) -> float:
        """Sum of one count over the layers, e.g. `total("synops")`."""
        return float(sum(getattr(layer, key) for layer in self.layers))

    @property
    def leaky(self) -> bool:
        """True where a membrane or current decays (integrate-and-fire chips cannot run it)."""
        return any(layer.leaky for layer in self.layers)


def count(network: AnyProgram | Lowered, chip_input: ChipInput, trace: Trace) -> Counts:
    """Count the operations of a run.

    Args:
        network: gives weights and sources; of a Program the integer weights count (a weight that
            was rounded to 0 costs nothing).
        chip_input: the codes that went in `(samples, time, size)`.
        trace: the spikes that came out, same samples and steps.

    Raises:
        BadInput: trace and input do not belong together.
    """
    codes, spikes = chip_input.to_numpy().codes, trace.to_numpy().spikes
    samples, steps = chip_input.batch, chip_input.steps
    values: dict[str, npt.NDArray[Any]] = {**codes, **spikes}
    for layer in network.layers:
        sizes = [(synapse.source, synapse.size_in) for synapse in layer.synapses]
        for name, size in (*sizes, (layer.name, layer.size)):
            if name not in values or values[name].shape != (samples, steps, size):
                shape = values[name].shape if name in values else "missing"
                raise BadInput(
                    f"counts of layer '{layer.name}': '{name}' is {shape}, expected "
                    f"{(samples, steps, size)}; pass the input and the trace of the same run"
                )
    layers = tuple(_count_layer(layer, values) for layer in network.layers)
    return Counts(layers, samples, steps)


def _count_layer(layer: Any, values: Mapping[str, npt.NDArray[Any]]) -> LayerCounts:
    spikes = values[layer.name]
    samples, steps, neurons = spikes.shape
    arriving = [shifted(values[s.source], s.link.delay) for s in layer.synapses]
    exists = present(layer.synapses)
    found = [_count_synapse(*x) for x in zip(layer.synapses, arriving, exists, strict=True)]
    share = 1.0 / max(samples, 1)
    active = _active_updates(layer, [x != 0 for x in arriving]) * share
    weights = [synapse.weight for synapse in layer.synapses]
    return LayerCounts(
        name=layer.name,
        source=", ".join(dict.fromkeys(synapse.source for synapse in layer.synapses)),
        fan_in=sum(int(every.sum()) // len(every) for every in exists),
        neurons=neurons,
        parameters=sum(int(every.sum()) for every in exists) + _biases(layer),
        nonzero_weights=sum(int(np.count_nonzero(weight)) for weight in weights),
        steps=steps,
        spikes=float(spikes.sum(dtype=np.int64)) * share,
        spike_rate=float(np.mean(spikes)) if spikes.size else 0.0,
        input_events=float(sum(x.events for x in found)) * share,
        effective_acs=float(sum(x.acs for x in found)) * share,
        effective_macs=float(sum(x.macs for x in found)) * share,
        dense=float(sum(x.dense for x in found)),
        synops_weighted=float(sum(x.weighted for x in found)) * share,
        active_updates=active,
        inactive_updates=float(neurons * steps) - active,
        leaky=_leaky(layer),
        conv_synops=float(
            sum(
                x.acs + x.macs
                for s, x in zip(layer.synapses, found, strict=True)
                if s.link.conv is not None
            )
        )
        * share,
    )


@dataclass(frozen=True)
class _SynapseCounts:
    """Sums over all samples, `dense` of one; exact integers."""

    events: int
    acs: int
    macs: int
    weighted: int
    dense: int


def _count_synapse(synapse: Synapse, arriving: npt.NDArray[Any], every: Bools) -> _SynapseCounts:
    """The operations of one synapse on values that are delayed already; every: its weights."""
    event = arriving != 0  # (sample, time, in)
    if not every.all():  # the others arrive through a synapse of another delay
        event = event & (fan_out(synapse, every) > 0)
    events = event.sum(axis=0, dtype=np.int64)  # (time, in)
    per_step = events @ fan_out(synapse, synapse.weight != 0)  # (time,)
    binary = np.all((arriving == 0) | (np.abs(arriving) == 1), axis=(0, 2))  # (time,)
    sent = events if binary.all() else np.abs(arriving.astype(np.int64)).sum(axis=0)
    unpooled = Synapse(synapse.source, synapse.weight, Link(synapse.link.conv))
    return _SynapseCounts(
        events=int(events.sum()),
        acs=int(per_step[binary].sum()),
        macs=int(per_step[~binary].sum()),
        weighted=int(sent.sum(axis=0) @ fan_out(synapse, every)),
        dense=int(fan_out(unpooled, every).sum()) * arriving.shape[1],
    )


def _active_updates(layer: Any, events: Sequence[npt.NDArray[np.bool_]]) -> int:
    """Neuron-steps that receive an event through a nonzero weight, over all samples."""
    if layer.is_dense and np.all(layer.weight != 0):  # every event reaches every neuron
        return int(np.count_nonzero(events[0].any(axis=2))) * int(layer.size)
    rows = [event.reshape(-1, event.shape[2]) for event in events]
    connected = [synapse.weight != 0 for synapse in layer.synapses]
    found, piece = 0, max(1, PIECE // int(layer.size))
    for start in range(0, len(rows[0]), piece):
        touched = np.zeros((min(piece, len(rows[0]) - start), layer.size), np.bool_)
        for synapse, joined, event in zip(layer.synapses, connected, rows, strict=True):
            touched |= reached(synapse, joined, event[start : start + piece])
        found += int(np.count_nonzero(touched))
    return found


def _biases(layer: Any) -> int:
    """Biases that are stored: one per channel of a map, none where all are 0."""
    bias = layer.bias if hasattr(layer, "bias") else np.zeros(layer.size)
    if not np.any(bias):
        return 0
    maps = np.reshape(bias, layer.shape if len(layer.shape) == 3 else (layer.size, 1, 1))
    return len(maps) if np.all(maps == maps[:, :1, :1]) else int(layer.size)


def _leaky(layer: Any) -> bool:
    if isinstance(layer, SpeckLayer):
        return False
    if hasattr(layer, "dv"):
        return bool(layer.dv > 0 or layer.du < 4095)
    return bool(np.any(layer.leak > 0) or np.any(layer.syn_leak < 1))
