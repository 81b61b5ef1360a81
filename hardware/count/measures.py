"""What would cut the costs of a run: each measure with the sums of operations that it saves.

In: a run (`Observed`), and what arrived through every synapse of it (`Way`). Out: a `Saved` per
measure, sums over all samples; `savings` ranks them per inference.

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
for other input. After training: counted on the events of this run as they are; how they change is
known after training alone. A layer that reads an input late keeps its `constant` channels.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.count.activity import LayerActivity
from neurozsl.hardware.count.removable import Why, removable
from neurozsl.hardware.count.tally import Network, active, inputs_read
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
class Way:
    """One synapse of a layer in this run; sums over samples and steps.

    sent: values of the source `(sample, time, in)`. every: which weights exist. events `(in,)`: how
    many arrive. fan_out `(in,)`: nonzero weights behind a value.
    """

    layer: str
    synapse: Synapse
    sent: npt.NDArray[Any]
    every: Bools
    events: Ints
    fan_out: Ints

    @property
    def event(self) -> Bools:
        """True where one arrives, `(sample, time, in)`."""
        return arriving(self.synapse, self.every, self.sent)

    @property
    def synops(self) -> int:
        """Of the run."""
        return int(self.costs.sum())

    @property
    def costs(self) -> Ints:
        """SynOps behind every value of the source."""
        found: Ints = self.events * self.fan_out
        return found

    @property
    def into(self) -> Ints:
        """SynOps of every neuron of the layer; float64 is exact below 2^53."""
        link, joined = self.synapse.link, (self.synapse.weight != 0).astype(np.float64)
        sums = pooled(link, self.events[None].astype(np.float64))
        found = weigh(Synapse(self.synapse.source, joined, link), sums)[0]
        whole: Ints = np.rint(found).astype(np.int64)
        return whole


@dataclass(frozen=True)
class Observed:
    """A run as the measures read it.

    values: codes and spikes by name. activity: of all samples, per layer. policy: of the thresholds
    in the run. lengths: steps that ran, per sample.
    """

    network: Network
    values: Values
    activity: Mapping[str, LayerActivity]
    ways: tuple[Way, ...]
    policy: str
    samples: int
    steps: int
    lengths: Ints

    def steps_after(self, kept: int) -> int:
        """Steps that ran after the first `kept` ones, of all samples."""
        return int(np.maximum(self.lengths - kept, 0).sum())


@dataclass(frozen=True)
class Saved:
    """What a measure saves: sums over the samples. synops: by the synapse that they go through."""

    kind: Kind
    where: str
    text: str
    holds: Holds
    synops: Sequence[tuple[Way, int]]
    updates: int = 0
    active_updates: int = 0
    spikes: float = 0.0
    factor: float = 1.0  # of the synops


def ways_of(network: Network, values: Values) -> Iterator[Way]:
    """Every synapse in this run, layer by layer."""
    for layer in network.layers:
        for synapse, every in zip(layer.synapses, present(layer.synapses), strict=True):
            sent, joined = values[synapse.source], fan_out(synapse, synapse.weight != 0)
            events = _summed(arriving(synapse, every, sent))
            yield Way(layer.name, synapse, sent, every, events, joined)


def arriving(synapse: Synapse, every: Bools, sent: npt.NDArray[Any]) -> Bools:
    """Where an event arrives through a synapse, `(sample, time, in)`."""
    found: Bools = own_values(synapse, every, shifted(sent, synapse.link.delay)) != 0
    return found


def _summed(event: Bools) -> Ints:
    found: Ints = event.sum(axis=(0, 1), dtype=np.int64)
    return found


def measures_of(run: Observed) -> Iterator[Saved]:
    """All that are tried, in no order; some save nothing."""
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
        text, behind = "send half of the events", [(way, way.synops) for way in ways]
        yield Saved(
            "half_events", source, text, "needs training", behind, spikes=spikes / 2, factor=0.5
        )
    if run.steps > 1:
        yield _half_steps(run)


_REMOVED: Final[Mapping[Why, str]] = {
    "unread": "that no output depends on",
    "never": "that cannot spike",
    "silent": "that did not spike in this run",
}


def _removals(run: Observed) -> Iterator[Saved]:
    if not run.network.outputs:
        return
    found = removable(run.network, run.values, run.policy)
    for why, masks in found.items():
        # Thresholds that follow a layer's own spikes may notice which neurons are gone.
        proved = why != "silent" and run.policy != "closed"
        if why == "never":  # the proof is a run of all steps
            proved = proved and bool((run.lengths == run.steps).any())
        for layer in run.network.layers:
            if masks[layer.name].any():
                holds: Holds = "exact" if proved else "on this run"
                yield _removed(run, layer, masks[layer.name], why, holds)


def _removed(run: Observed, layer: Any, gone: Bools, why: Why, holds: Holds) -> Saved:
    ways, number = [way for way in run.ways if way.layer == layer.name], int(gone.sum())
    spikes = run.values[layer.name][:, :, gone].sum(dtype=np.int64)
    text = f"remove {number:,} of {int(layer.size):,} neurons {_REMOVED[why]}"
    into = [(way, int(way.into[gone].sum())) for way in ways]
    # Most of them receive nothing; the others are looked for once more.
    busy = any(n for _, n in into)
    return Saved(
        kind=why,
        where=layer.name,
        text=text,
        holds=holds,
        synops=into,
        updates=number * run.steps_after(0),
        active_updates=int(active(layer, [x.event for x in ways], gone).sum()) if busy else 0,
        spikes=float(spikes),
    )


def _pruned(layer: str, ways: Sequence[Way]) -> Saved:
    stored = sum(int(way.every.sum()) for way in ways)
    kept = math.ceil(KEPT * stored)
    masks = largest([way.synapse.weight for way in ways], kept)
    cut = [
        (x, x.synops - int(x.events @ fan_out(x.synapse, mask)))
        for x, mask in zip(ways, masks, strict=True)
    ]
    text = f"keep the {kept:,} largest of {stored:,} weights"
    return Saved("prune", layer, text, "needs training", cut)


def _pruned_all(pruned: Sequence[Saved]) -> Saved:
    text = f"keep the {KEPT * 100:.0f} % largest weights of each"
    cut = [found for layer in pruned for found in layer.synops]
    return Saved("prune", EVERYWHERE, text, "needs training", cut)


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


def _changes(run: Observed, source: str, ways: Sequence[Way]) -> Saved:
    codes = run.values[source]
    moved = np.concatenate([codes[:, :1] != 0, codes[:, 1:] != codes[:, :-1]], axis=1)
    saved = []
    for way in ways:
        sent = _summed(arriving(way.synapse, way.every, moved))
        saved.append((way, way.synops - int(sent @ way.fan_out)))
    if sum(n for _, n in saved) < 0:  # more changes than events
        saved = []
    text = "send an event only where a code changes"
    return Saved("changes", source, text, "needs training", saved)


def _channels(source: str, ways: Sequence[Way]) -> Saved:
    costs = np.sum([way.costs for way in ways], axis=0)  # (size,)
    order, total = np.argsort(-costs, kind="stable"), max(int(costs.sum()), 1)
    gone = order[: math.ceil(DROPPED * len(costs))]
    named = ", ".join(f"{i} ({100 * costs[i] / total:.1f} %)" for i in gone[:_NAMED])
    more = ", ..." * (len(gone) > _NAMED)
    text = f"leave out the {len(gone):,} of {len(costs):,} channels that cost most: {named}{more}"
    saved = [(way, int(way.costs[gone].sum())) for way in ways]
    return Saved("channels", source, text, "needs training", saved)


def _constant(run: Observed, source: str, ways: Sequence[Way]) -> Saved:
    codes = run.values[source]
    held: Bools = np.zeros(codes.shape[2], np.bool_)
    if run.samples * run.steps > 1 and not any(way.synapse.link.delay for way in ways):
        held = (codes[0, 0] != 0) & (codes == codes[:1, :1]).all(axis=(0, 1))
    text = f"{int(held.sum()):,} channels that never change become a part of the bias"
    saved = [(way, int(way.costs[held].sum())) for way in ways]
    return Saved("constant", source, text, "on this run", saved)


def _half_steps(run: Observed) -> Saved:
    kept = (run.steps + 1) // 2
    saved = []
    for way in run.ways:
        late = _summed(way.event[:, kept:])
        saved.append((way, int(late @ way.fan_out)))
    rows = [run.activity[layer.name] for layer in run.network.layers]
    return Saved(
        kind="half_steps",
        where=EVERYWHERE,
        text=f"stop after {kept} of {run.steps} steps",
        holds="needs training",
        synops=saved,
        updates=sum(row.neurons for row in rows) * run.steps_after(kept),
        active_updates=sum(sum(row.active_sums[kept:]) for row in rows),
        spikes=float(sum(sum(row.spike_sums[kept:]) for row in rows)),
    )
