"""One pass over a run: what every layer did, in exact integers, per block of samples and step.

In: a network, the codes that went in and the spikes that came out, and the samples in blocks that
do not overlap. Out: a `LayerTally` per layer. `counts` sums it over everything, `activity` over
groups of samples; both therefore add up to the last digit. The definitions are those of `counts`.

    synops[block, t] = sum over samples of the block and values i of
                       [value i of step t is not 0] x (nonzero weights behind i)

Events are summed over the samples of a block first, so that a block costs one product with the
fan-out; who receives an event (`active`) is found a few rows at a time (`connections.PIECE`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace, before
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.connections import (
    PIECE,
    Bools,
    Ints,
    fan_out,
    own_values,
    present,
    reached,
    unpooled,
)
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.network.synapse import Synapse, shifted

Network = ChipProgram | Lowered
Rows = slice | Ints  # samples of one block
EVERY: Rows = slice(None)


@dataclass(frozen=True)
class SynapseTally:
    """One synapse; over all samples but `most` and `dense`, which are of one.

    events: nonzero values that arrive. synops: int64 `(blocks, time)`, operations with a nonzero
    weight. most: those of a source that sends an event on every channel in every step. binary:
    `(time,)`, True where every value of the step is -1, 0 or 1. weighted: values x connections,
    zero weights included. dense: connections x steps. Where samples stop, `most` and `dense` are
    means over them.
    """

    events: int
    synops: Ints
    most: float
    binary: Bools
    weighted: int
    dense: float

    @property
    def acs(self) -> int:
        """Operations of the steps that are binary in the whole batch."""
        return int(self.synops[:, self.binary].sum())

    @property
    def macs(self) -> int:
        """Operations of the other steps."""
        return int(self.synops[:, ~self.binary].sum())


@dataclass(frozen=True)
class LayerTally:
    """One layer: int64 `(blocks, time)` each, and its synapses in order.

    active: neurons that at least one event reaches through a nonzero weight. running: samples that
    run in the step.
    """

    layer: Any
    exists: tuple[Bools, ...]
    spikes: Ints
    active: Ints
    running: Ints
    synapses: tuple[SynapseTally, ...]

    @property
    def synops(self) -> Ints:
        """Of all synapses, `(blocks, time)`."""
        total: Ints = np.sum([synapse.synops for synapse in self.synapses], axis=0)
        return total


def tally(
    network: Network, chip_input: ChipInput, trace: Trace, blocks: Sequence[Rows] = (EVERY,)
) -> tuple[LayerTally, ...]:
    """All layers in order; blocks: the samples of each, together all of them, each once.

    Raises:
        BadInput: trace and input do not belong together.
    """
    values, ran = values_of(network, chip_input, trace), chip_input.ran
    running = (np.arange(chip_input.steps) < ran[:, None]).astype(np.int64)  # (sample, time)
    here = _per_block(running, blocks)
    return tuple(_tally_layer(layer, values, blocks, ran, here) for layer in network.layers)


def values_of(network: Network, chip_input: ChipInput, trace: Trace) -> dict[str, npt.NDArray[Any]]:
    """Codes of the inputs and spikes of the layers by name, `(samples, time, size)` each.

    Those after the last step that runs of a sample are 0.

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
    ran = chip_input.ran
    return {name: before(x, ran) for name, x in values.items()}


def arriving_at(
    synapse: Synapse, values: Mapping[str, npt.NDArray[Any]], ran: Ints
) -> npt.NDArray[Any]:
    """What a synapse brings in every step: delayed values, none after the stop of a sample."""
    delay = synapse.link.delay
    late = shifted(values[synapse.source], delay)
    return before(late, ran) if delay else late


def inputs_read(network: Network) -> dict[str, InputCode]:
    """The inputs that at least one layer reads, in order; nothing enters the chip by another."""
    read = {synapse.source for layer in network.layers for synapse in layer.synapses}
    return {name: code for name, code in network.inputs.items() if name in read}


def _tally_layer(
    layer: Any,
    values: Mapping[str, npt.NDArray[Any]],
    blocks: Sequence[Rows],
    ran: Ints,
    running: Ints,
) -> LayerTally:
    arriving = [arriving_at(synapse, values, ran) for synapse in layer.synapses]
    exists = present(layer.synapses)
    spikes = values[layer.name].sum(axis=2, dtype=np.int64)  # (sample, time)
    active_updates = active(layer, [x != 0 for x in arriving])
    return LayerTally(
        layer=layer,
        exists=tuple(exists),
        spikes=_per_block(spikes, blocks),
        active=_per_block(active_updates, blocks),
        running=running,
        synapses=tuple(
            _tally_synapse(*x, blocks, ran)
            for x in zip(layer.synapses, arriving, exists, strict=True)
        ),
    )


def _tally_synapse(
    synapse: Synapse, arriving: npt.NDArray[Any], every: Bools, blocks: Sequence[Rows], ran: Ints
) -> SynapseTally:
    """The operations of one synapse on values that are delayed already; every: its weights."""
    arriving = own_values(synapse, every, arriving)
    event = arriving != 0  # (sample, time, in)
    events = [_summed(event, rows) for rows in blocks]  # (time, in) each
    joined = fan_out(synapse, synapse.weight != 0)
    binary = np.all((arriving == 0) | (np.abs(arriving) == 1), axis=(0, 2))
    sent = np.sum(events, axis=0)
    if not binary.all():
        sent = np.abs(arriving.astype(np.int64)).sum(axis=0)
    return SynapseTally(
        events=int(sum(int(x.sum()) for x in events)),
        synops=np.stack([x @ joined for x in events]),
        most=int(joined.sum()) * _mean(np.maximum(ran - synapse.link.delay, 0)),
        binary=binary,
        weighted=int(sent.sum(axis=0) @ fan_out(synapse, every)),
        dense=int(fan_out(unpooled(synapse), every).sum()) * _mean(ran),
    )


def _mean(ran: Ints) -> float:
    return float(ran.sum()) / max(len(ran), 1)


def active(layer: Any, events: Sequence[Bools], neurons: Bools | None = None) -> Ints:
    """Neurons that receive an event through a nonzero weight, `(sample, time)`.

    events: of each synapse, delayed already. neurons: `(size,)`, which are meant; default all.
    """
    samples, steps = events[0].shape[:2]
    meant = np.ones(layer.size, np.bool_) if neurons is None else neurons
    if layer.is_dense and np.all(layer.weight != 0):  # every event reaches every neuron
        return np.where(events[0].any(axis=2), np.int64(meant.sum()), np.int64(0))
    rows = [event.reshape(-1, event.shape[2]) for event in events]
    connected = [synapse.weight != 0 for synapse in layer.synapses]
    found, piece = np.zeros(samples * steps, np.int64), max(1, PIECE // int(layer.size))
    for start in range(0, len(found), piece):
        touched = np.zeros((min(piece, len(found) - start), layer.size), np.bool_)
        for synapse, joined, event in zip(layer.synapses, connected, rows, strict=True):
            touched |= reached(synapse, joined, event[start : start + piece])
        found[start : start + piece] = np.count_nonzero(touched & meant, axis=1)
    return found.reshape(samples, steps)


def _per_block(found: Ints, blocks: Sequence[Rows]) -> Ints:
    """`(sample, time)` summed over the samples of each block, `(blocks, time)`."""
    return np.stack([found[rows].sum(axis=0) for rows in blocks])


def _summed(event: Bools, rows: Rows) -> Ints:
    """Events of a block, summed over its samples: `(time, in)`."""
    if isinstance(rows, slice):
        whole: Ints = event[rows].sum(axis=0, dtype=np.int64)
        return whole
    total = np.zeros(event.shape[1:], np.int64)
    piece = max(1, PIECE // max(1, total.size))  # a list of rows is copied
    for start in range(0, len(rows), piece):
        total += event[rows[start : start + piece]].sum(axis=0, dtype=np.int64)
    return total
