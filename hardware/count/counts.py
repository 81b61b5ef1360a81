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

A sample that the host stops (`ChipInput.lengths`) has the events, spikes and updates of the steps
that ran, `Dense` too is of these, and the time steps of an inference are their mean.

The counting itself is `tally`; per step and per group of samples it is summed by `activity`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.count.host_link import HostLink, host_link
from neurozsl.hardware.count.tally import LayerTally, Network, tally


@dataclass(frozen=True)
class LayerCounts:
    """One layer; every count is the mean over samples of one inference (all its steps).

    Sums over all synapses of the layer; `source` names where they come from. fan_in: weights of one
    neuron. parameters: weights as stored (a kernel once), and biases that are not zero.
    nonzero_weights: of the weights. spike_rate: spikes / (neurons x steps that ran), above 1 only
    where neurons send several in a step. input_events: nonzero codes or spikes that arrive.
    steps: that were prepared. active_updates: neuron-steps that ran and in which at least one event
    arrived through a nonzero weight;
    the others are inactive_updates. most_synops: `synops` if every source value were an event in
    every step. conv_synops: operations through kernels, a part of `synops`.
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
    most_synops: float
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
        """Neurons x steps that ran: on a clocked chip every neuron is visited in every step."""
        return self.active_updates + self.inactive_updates


@dataclass(frozen=True)
class Counts:
    """All layers of a branch in order, over `samples` inferences of `steps` steps.

    mean_steps: of the steps that ran, where the host stopped samples earlier. entering: events that
    enter the chip from outside. link_bytes: what host and chip send each
    other, as a list of what is not 0 (`host_link`). None: not known, as of an expected value.
    """

    layers: tuple[LayerCounts, ...]
    samples: int
    steps: int
    entering: float | None = None
    link_bytes: float | None = None
    mean_steps: float | None = None

    @property
    def ran(self) -> float:
        """Time steps of one inference, the mean over the samples where some were stopped."""
        return self.steps if self.mean_steps is None else self.mean_steps

    def total(self, key: str) -> float:
        """Sum of one count over the layers, e.g. `total("synops")`."""
        return float(sum(getattr(layer, key) for layer in self.layers))

    @property
    def leaky(self) -> bool:
        """True where a membrane or current decays (integrate-and-fire chips cannot run it)."""
        return any(layer.leaky for layer in self.layers)


def count(network: Network, chip_input: ChipInput, trace: Trace) -> Counts:
    """Count the operations of a run.

    Args:
        network: of a program the integer weights count: one that was rounded to 0 costs nothing.
        chip_input: the codes that went in `(samples, time, size)`.
        trace: the spikes that came out, same samples and steps.

    Raises:
        BadInput: trace and input do not belong together.

    Example::

        counts = nz.count(program, chip_input, nz.emulate(program, chip_input))
        counts.total("synops"), [row.joules for row in nz.estimate_all(counts)]
    """
    found, link = tally(network, chip_input, trace), host_link(network, chip_input, trace)
    return counts_of(found, link, chip_input)


def counts_of(tallies: tuple[LayerTally, ...], link: HostLink, chip_input: ChipInput) -> Counts:
    """The sums of a pass over the samples of an input, per inference."""
    samples, steps, ran = chip_input.batch, chip_input.steps, int(chip_input.ran.sum())
    layers = tuple(_layer_counts(x, samples, steps, ran) for x in tallies)
    entering = sum(stream.events for stream in link.inputs)
    mean = None if chip_input.lengths is None else ran / max(samples, 1)
    return Counts(layers, samples, steps, entering, link.sparse_bytes, mean)


def _layer_counts(found: LayerTally, samples: int, steps: int, ran: int) -> LayerCounts:
    """ran: steps of all samples together."""
    layer, each = found.layer, max(samples, 1)
    synapses, neurons = found.synapses, int(layer.size)
    spikes, active = int(found.spikes.sum()), int(found.active.sum())
    weights = [synapse.weight for synapse in layer.synapses]
    through_kernels = [
        x.acs + x.macs
        for synapse, x in zip(layer.synapses, synapses, strict=True)
        if synapse.link.conv is not None
    ]
    return LayerCounts(
        name=layer.name,
        source=", ".join(dict.fromkeys(synapse.source for synapse in layer.synapses)),
        fan_in=sum(int(every.sum()) // len(every) for every in found.exists),
        neurons=neurons,
        parameters=sum(int(every.sum()) for every in found.exists) + stored_biases(layer),
        nonzero_weights=sum(int(np.count_nonzero(weight)) for weight in weights),
        steps=steps,
        spikes=spikes / each,
        spike_rate=spikes / max(ran * neurons, 1),
        input_events=sum(x.events for x in synapses) / each,
        effective_acs=sum(x.acs for x in synapses) / each,
        effective_macs=sum(x.macs for x in synapses) / each,
        dense=float(sum(x.dense for x in synapses)),
        synops_weighted=sum(x.weighted for x in synapses) / each,
        most_synops=float(sum(x.most for x in synapses)),
        active_updates=active / each,
        inactive_updates=(neurons * (ran if samples else steps) - active) / each,
        leaky=layer.leaky,
        conv_synops=sum(through_kernels) / each,
    )


def stored_biases(layer: Any) -> int:
    """Biases that are stored: one per channel of a map, none where all are 0."""
    if not np.any(layer.bias):
        return 0
    maps = np.reshape(layer.bias, layer.shape if len(layer.shape) == 3 else (layer.size, 1, 1))
    return len(maps) if np.all(maps == maps[:, :1, :1]) else int(layer.size)
