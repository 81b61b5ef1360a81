"""What costs most in a run, and what would cut it: each measure with what it saves of this run.

In: a network, the codes that went in, the spikes that came out, and their counts per step. Out:
`Savings`. Of a layer it says where its operations come from, exactly,

    SynOps = sum over its sources of   events x nonzero weights behind an event (their mean)

and the measures stand in a row, the one that saves most SynOps first. All figures are means per
inference over the samples of the run; what gains nothing is left out. What each measure is, and
whether it is exact, `measures` says. Savings overlap and do not add up.

Updates are neuron-steps that are not visited any more; one that is visited without an event, where
there was one, is not in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.count.activity import ALL, LayerActivity
from neurozsl.hardware.count.measures import Holds, Kind, Observed, Saved, Way, measures_of, ways_of
from neurozsl.hardware.count.tally import Network, values_of
from neurozsl.hardware.network.connections import Bools


@dataclass(frozen=True)
class Arriving:
    """What arrives at a layer from one source: `synops` = `events` x `fan_out`.

    fan_out: nonzero weights behind an event, mean over these events. channels: values of the
    source; never_active: those of them that sent nothing in the whole run.
    """

    source: str
    events: float
    fan_out: float
    synops: float
    channels: int
    never_active: int


@dataclass(frozen=True)
class LayerCost:
    """A layer, its part of all SynOps and of all neuron updates (0..1), and its sources."""

    layer: str
    synops: float
    synops_share: float
    updates: float
    updates_share: float
    arriving: tuple[Arriving, ...]


@dataclass(frozen=True)
class Measure:
    """What could be done, and what that saves per inference.

    key: kind and place, stable from run to run. share: of all SynOps of the run, 0..1. updates:
    neuron updates, of which an event arrives in active_updates. conv_synops: SynOps through
    kernels, a part of synops. spikes: those that are not sent any more.
    """

    key: str
    kind: Kind
    where: str
    text: str
    holds: Holds
    synops: float
    share: float
    updates: float = 0.0
    active_updates: float = 0.0
    spikes: float = 0.0
    conv_synops: float = 0.0


@dataclass(frozen=True)
class Savings:
    """Sums over the network, its layers from the dearest on, measures from the largest on."""

    synops: float
    updates: float
    layers: tuple[LayerCost, ...]
    measures: tuple[Measure, ...]


def savings(
    network: Network,
    chip_input: ChipInput,
    trace: Trace,
    activity: Sequence[LayerActivity],
    *,
    policy: str | None = None,
) -> Savings:
    """Where the operations of a run come from, and what would cut them.

    Args:
        network: what ran; of a program the integer weights count.
        chip_input: the codes that went in `(samples, time, size)`.
        trace: the spikes that came out.
        activity: of the same run (`count_with_activity`).
        policy: of the thresholds in the run, where it is not that of the network.

    Raises:
        BadInput: trace and input do not belong together.
    """
    values = values_of(network, chip_input, trace)
    every = {row.layer: row for row in activity if row.group == ALL}
    ways = tuple(ways_of(network, values))
    rules = network.policy if policy is None else policy
    samples, steps = chip_input.batch, chip_input.steps
    run = Observed(network, values, every, ways, rules, samples, steps, chip_input.ran)
    each = max(run.samples, 1)
    synops = sum(way.synops for way in ways) / each
    found = [_measure(x, synops, each) for x in (measures_of(run) if run.samples else ())]
    found = [x for x in found if x.synops or x.updates]
    return Savings(
        synops,
        float(sum(layer.size for layer in network.layers) * run.steps_after(0) / each),
        _layers(run, synops),
        tuple(sorted(found, key=lambda x: (-x.synops, -x.updates, x.key))),
    )


def _measure(saved: Saved, total: float, each: int) -> Measure:
    synops = saved.factor * sum(n for _, n in saved.synops) / each
    kernels = [n for way, n in saved.synops if way.synapse.link.conv is not None]
    return Measure(
        key=f"{saved.kind}/{saved.where}",
        kind=saved.kind,
        where=saved.where,
        text=saved.text,
        holds=saved.holds,
        synops=synops,
        share=synops / total if total else 0.0,
        updates=saved.updates / each,
        active_updates=saved.active_updates / each,
        spikes=saved.spikes / each,
        conv_synops=saved.factor * sum(kernels) / each,
    )


def _layers(run: Observed, total: float) -> tuple[LayerCost, ...]:
    updates = sum(layer.size for layer in run.network.layers)
    found = []
    for layer in run.network.layers:
        ways = [way for way in run.ways if way.layer == layer.name]
        sources = dict.fromkeys(way.synapse.source for way in ways)
        arriving = tuple(_arriving(run, source, ways) for source in sources)
        synops = sum(x.synops for x in arriving)
        share = synops / total if total else 0.0
        size = int(layer.size)
        visited = size * run.steps_after(0) / max(run.samples, 1)
        found.append(LayerCost(layer.name, synops, share, visited, size / updates, arriving))
    return tuple(sorted(found, key=lambda x: (-x.synops, -x.updates)))


def _arriving(run: Observed, source: str, ways: Sequence[Way]) -> Arriving:
    own, each = [way for way in ways if way.synapse.source == source], max(run.samples, 1)
    events = sum(int(way.events.sum()) for way in own)
    synops = sum(way.synops for way in own)
    sent: Bools = (run.values[source] != 0).any(axis=(0, 1))
    mean = synops / events if events else 0.0
    idle = len(sent) - int(np.count_nonzero(sent))
    return Arriving(source, events / each, mean, synops / each, len(sent), idle)
