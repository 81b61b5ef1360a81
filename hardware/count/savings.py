"""What costs most in a run, and what would cut it: each measure with what it saves of this run.

In: a network, the codes that went in, the spikes that came out, and their counts per step. Out:
`Savings`. Of a layer it says where its operations come from, exactly,

    SynOps = sum over its sources of   events x nonzero weights behind an event (their mean)

and the measures stand in a row, the one that saves most SynOps first. All figures are means per
inference over the samples of the run; who gains nothing is left out.

    kind          of       what is done                                              it holds
    unread        layer    neurons leave that no output depends on (`removable`)     exactly
    never         layer    neurons leave that cannot spike                           exactly
    silent        layer    neurons leave that did not spike in this run              on this run
    constant      input    channels with one code, not 0, in every step and sample   on this run
                           become a part of the bias
    prune         layer    the KEPT largest |w| stay, of all weights of the layer    after training
                           (and of all layers at once, each by itself)
    changes       input    a channel sends where its code is not that of the step    after training
                           before (0 before the first)
    half_events   source   every event is dropped with probability 1/2: the mean     after training
    channels      input    the DROPPED channels that cost most leave                 after training
    half_steps    network  the run ends after the first half of its steps            after training

Exactly: no spike that an output depends on changes, whatever the input is. On this run: not proved
for other input. What needs training is counted on the events of this run as they are; how they
change is known after training alone. Savings overlap and do not add up.

Updates are neuron-steps that are not visited any more; one that is visited without an event, where
there was one, is not in them. A layer that reads an input late keeps its `constant` channels.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.count.activity import ALL, LayerActivity
from neurozsl.hardware.count.removable import Masks, Why, removable
from neurozsl.hardware.count.tally import Network, active, inputs_read, values_of
from neurozsl.hardware.network.connections import Bools, Ints, fan_out, own_values, present
from neurozsl.hardware.network.synapse import Synapse, pooled, shifted, weigh

KEPT: Final = 0.1  # of the weights of a layer
DROPPED: Final = 0.1  # of the channels of an input
EVERYWHERE: Final = "all layers"
_NAMED: Final = 3  # channels that a sentence names

Kind = Literal[
    "unread", "never", "silent", "constant", "prune", "changes", "half_events", "channels",
    "half_steps",
]  # fmt: skip
Holds = Literal["exact", "on this run", "needs training"]
Values = Mapping[str, npt.NDArray[Any]]


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


@dataclass(frozen=True)
class _Way:
    """One synapse of a layer in this run; sums over samples and steps.

    every: which weights exist. event: `(sample, time, in)`, what arrives; events: its sums `(in,)`.
    fan_out: nonzero weights behind a value, `(in,)`.
    """

    layer: str
    synapse: Synapse
    every: Bools
    event: Bools
    events: Ints
    fan_out: Ints

    @property
    def synops(self) -> int:
        """Of the run."""
        return int(self.costs.sum())

    @property
    def costs(self) -> Ints:
        """SynOps behind every value of the source."""
        return self.events * self.fan_out

    @property
    def into(self) -> Ints:
        """SynOps of every neuron of the layer; float64 is exact below 2^53."""
        link, joined = self.synapse.link, (self.synapse.weight != 0).astype(np.float64)
        sums = pooled(link, self.events[None].astype(np.float64))
        found = weigh(Synapse(self.synapse.source, joined, link), sums)[0]
        return np.rint(found).astype(np.int64)


@dataclass(frozen=True)
class _Run:
    """A run as the measures read it; each gives the sums that it saves in `_Saved`."""

    network: Network
    values: Values
    activity: Mapping[str, LayerActivity]
    ways: tuple[_Way, ...]
    policy: str
    samples: int
    steps: int


@dataclass(frozen=True)
class _Saved:
    """Sums over the samples; synops by way, in the order of the ways that are named."""

    kind: Kind
    where: str
    text: str
    holds: Holds
    synops: Sequence[tuple[_Way, int]]
    updates: int = 0
    active_updates: int = 0
    spikes: float = 0.0
    factor: float = 1.0  # of the synops


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
    ways = tuple(_ways(network, values))
    rules = network.policy if policy is None else policy
    run = _Run(network, values, every, ways, rules, chip_input.batch, chip_input.steps)
    each = max(run.samples, 1)
    synops = sum(way.synops for way in ways) / each
    found = [_measure(x, synops, each) for x in (_all(run) if run.samples else ())]
    found = [x for x in found if x.synops or x.updates]
    return Savings(
        synops,
        float(sum(layer.size for layer in network.layers) * run.steps),
        _layers(run, synops),
        tuple(sorted(found, key=lambda x: (-x.synops, -x.updates, x.key))),
    )


def _ways(network: Network, values: Values) -> Iterator[_Way]:
    for layer in network.layers:
        for synapse, every in zip(layer.synapses, present(layer.synapses), strict=True):
            late = shifted(values[synapse.source], synapse.link.delay)
            event = own_values(synapse, every, late) != 0
            joined = fan_out(synapse, synapse.weight != 0)
            yield _Way(layer.name, synapse, every, event, _summed(event), joined)


def _summed(event: Bools) -> Ints:
    return event.sum(axis=(0, 1), dtype=np.int64)


def _measure(saved: _Saved, total: float, each: int) -> Measure:
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


# --- where the operations come from -----------------------------------------------------------


def _layers(run: _Run, total: float) -> tuple[LayerCost, ...]:
    updates = sum(layer.size for layer in run.network.layers)
    found = []
    for layer in run.network.layers:
        ways = [way for way in run.ways if way.layer == layer.name]
        sources = dict.fromkeys(way.synapse.source for way in ways)
        arriving = tuple(_arriving(run, source, ways) for source in sources)
        synops = sum(x.synops for x in arriving)
        share = synops / total if total else 0.0
        size = int(layer.size)
        found.append(
            LayerCost(layer.name, synops, share, float(size * run.steps), size / updates, arriving)
        )
    return tuple(sorted(found, key=lambda x: (-x.synops, -x.updates)))


def _arriving(run: _Run, source: str, ways: Sequence[_Way]) -> Arriving:
    own, each = [way for way in ways if way.synapse.source == source], max(run.samples, 1)
    events = sum(int(way.events.sum()) for way in own)
    synops = sum(way.synops for way in own)
    sent = run.values[source].any(axis=(0, 1))
    mean = synops / events if events else 0.0
    idle = len(sent) - int(np.count_nonzero(sent))
    return Arriving(source, events / each, mean, synops / each, len(sent), idle)


# --- what would cut them ----------------------------------------------------------------------


def _all(run: _Run) -> Iterator[_Saved]:
    layers = run.network.layers
    yield from _removals(run)
    pruned = [_pruned(x.name, [way for way in run.ways if way.layer == x.name]) for x in layers]
    yield from pruned
    if len(layers) > 1:
        yield _pruned_all(pruned)
    inputs = inputs_read(run.network)
    for source in dict.fromkeys(way.synapse.source for way in run.ways):
        ways = [way for way in run.ways if way.synapse.source == source]
        if source in inputs:
            yield _constant(run, source, ways)
            yield _changes(run, source, ways)
            yield _channels(source, ways)
        spikes = 0 if source in inputs else sum(run.activity[source].spike_sums)
        text, behind = f"half the events of '{source}'", [(way, way.synops) for way in ways]
        yield _Saved(
            "half_events", source, text, "needs training", behind, spikes=spikes / 2, factor=0.5
        )
    if run.steps > 1:
        yield _half_steps(run)


_REMOVED: Final[Mapping[Why, str]] = {
    "unread": "that no output depends on",
    "never": "that cannot spike",
    "silent": "that did not spike in this run",
}


def _removals(run: _Run) -> Iterator[_Saved]:
    if not run.network.outputs:
        return
    found = removable(run.network, run.values, run.policy)
    reasons: tuple[tuple[Why, Masks], ...] = (
        ("unread", found.unread), ("never", found.never), ("silent", found.silent),
    )  # fmt: skip
    for why, masks in reasons:
        # Thresholds that follow a layer's own spikes may notice which neurons are gone.
        proved = why != "silent" and run.policy != "closed"
        for layer in run.network.layers:
            if masks[layer.name].any():
                holds: Holds = "exact" if proved else "on this run"
                yield _removed(run, layer, masks[layer.name], why, holds)


def _removed(run: _Run, layer: Any, gone: Bools, why: Why, holds: Holds) -> _Saved:
    ways, number = [way for way in run.ways if way.layer == layer.name], int(gone.sum())
    spikes = run.values[layer.name][:, :, gone].sum(dtype=np.int64)
    text = f"remove {number:,} of {int(layer.size):,} neurons {_REMOVED[why]}"
    into = [(way, int(way.into[gone].sum())) for way in ways]
    # Most of them receive nothing; the others are looked for once more.
    busy = any(n for _, n in into)
    return _Saved(
        kind=why,
        where=layer.name,
        text=text,
        holds=holds,
        synops=into,
        updates=number * run.steps * run.samples,
        active_updates=int(active(layer, [x.event for x in ways], gone).sum()) if busy else 0,
        spikes=float(spikes),
    )


def _pruned(layer: str, ways: Sequence[_Way]) -> _Saved:
    stored = sum(int(way.every.sum()) for way in ways)
    kept = math.ceil(KEPT * stored)
    masks = largest([way.synapse.weight for way in ways], kept)
    cut = [
        (x, x.synops - int(x.events @ fan_out(x.synapse, mask)))
        for x, mask in zip(ways, masks, strict=True)
    ]
    text = f"keep the {kept:,} largest of {stored:,} weights"
    return _Saved("prune", layer, text, "needs training", cut)


def _pruned_all(pruned: Sequence[_Saved]) -> _Saved:
    text = f"keep the {KEPT * 100:.0f} % largest weights of each"
    cut = [found for layer in pruned for found in layer.synops]
    return _Saved("prune", EVERYWHERE, text, "needs training", cut)


def largest(weights: Sequence[npt.NDArray[Any]], kept: int) -> list[Bools]:
    """True where a weight is not 0 and one of the `kept` largest of all; equals in their order.

    >>> largest([np.array([[3, -1, 0]]), np.array([[1, 1]])], 3)
    [array([[ True,  True, False]]), array([[ True, False]])]
    """
    size = np.concatenate([np.abs(w.astype(np.float64)).reshape(-1) for w in weights])
    if kept < len(size):
        least = np.partition(size, len(size) - kept)[len(size) - kept] if kept else np.inf
        chosen = size > least
        chosen[np.flatnonzero(size == least)[: kept - int(chosen.sum())]] = True
    else:
        chosen = np.ones(len(size), np.bool_)
    parts = np.split(chosen & (size > 0), np.cumsum([w.size for w in weights])[:-1])
    return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]


def _changes(run: _Run, source: str, ways: Sequence[_Way]) -> _Saved:
    codes = run.values[source]
    moved = np.concatenate([codes[:, :1] != 0, codes[:, 1:] != codes[:, :-1]], axis=1)
    saved = []
    for way in ways:
        late = shifted(moved, way.synapse.link.delay)
        sent = _summed(own_values(way.synapse, way.every, late) != 0)
        saved.append((way, way.synops - int(sent @ way.fan_out)))
    if sum(n for _, n in saved) < 0:  # more changes than events
        saved = []
    text = f"events of '{source}' where a code changes, not where it is not 0"
    return _Saved("changes", source, text, "needs training", saved)


def _channels(source: str, ways: Sequence[_Way]) -> _Saved:
    costs = np.sum([way.costs for way in ways], axis=0)  # (size,)
    order, total = np.argsort(-costs, kind="stable"), max(int(costs.sum()), 1)
    gone = order[: math.ceil(DROPPED * len(costs))]
    named = ", ".join(f"{i} ({100 * costs[i] / total:.1f} %)" for i in gone[:_NAMED])
    more = ", ..." * (len(gone) > _NAMED)
    text = f"leave out the {len(gone):,} of {len(costs):,} channels that cost most: {named}{more}"
    saved = [(way, int(way.costs[gone].sum())) for way in ways]
    return _Saved("channels", source, text, "needs training", saved)


def _constant(run: _Run, source: str, ways: Sequence[_Way]) -> _Saved:
    codes = run.values[source]
    held: Bools = np.zeros(codes.shape[2], np.bool_)
    if run.samples * run.steps > 1 and not any(way.synapse.link.delay for way in ways):
        held = (codes[0, 0] != 0) & (codes == codes[:1, :1]).all(axis=(0, 1))
    text = f"{int(held.sum()):,} channels that never change become a part of the bias"
    saved = [(way, int(way.costs[held].sum())) for way in ways]
    return _Saved("constant", source, text, "on this run", saved)


def _half_steps(run: _Run) -> _Saved:
    kept = (run.steps + 1) // 2
    saved = []
    for way in run.ways:
        late = _summed(way.event[:, kept:])
        saved.append((way, int(late @ way.fan_out)))
    rows = [run.activity[layer.name] for layer in run.network.layers]
    return _Saved(
        kind="half_steps",
        where=EVERYWHERE,
        text=f"stop after {kept} of {run.steps} steps",
        holds="needs training",
        synops=saved,
        updates=sum(row.neurons for row in rows) * (run.steps - kept) * run.samples,
        active_updates=sum(sum(row.active_sums[kept:]) for row in rows),
        spikes=float(sum(sum(row.spike_sums[kept:]) for row in rows)),
    )
