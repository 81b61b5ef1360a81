"""Synaptic operations as NeuroBench decides on them, and event by event.

NeuroBench looks at a call: the inputs of one Linear or Conv in one step of a batch. Are all of them
-1, 0 or 1, then its operations are ACs, else all are MACs. It sees real values (code x scale) and
behind a pool the sums of the windows::

    operations of a call = sum over values j that are not 0 of (nonzero weights behind j)

Event by event: a code or spike count of -1 or 1 is an AC per nonzero weight that it goes through,
pools included, any other that is not 0 a MAC.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.count.tally import Network, arriving_at
from neurozsl.hardware.network.connections import (
    PIECE,
    Bools,
    Ints,
    fan_out,
    own_values,
    present,
    unpooled,
)
from neurozsl.hardware.network.synapse import Synapse, pooled

Values = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class CallOperations:
    """Of all synapses, over all samples.

    acs, macs: NeuroBench's. exact_acs, exact_macs: event by event. one_by_one: the same where each
    of several spikes in a step is an event. mixed: a call held units and other values.
    """

    acs: int
    macs: int
    exact_acs: int
    exact_macs: int
    one_by_one: int
    mixed: bool


def operations(network: Network, values: Values, batch: int, ran: Ints) -> CallOperations:
    """Every call of every synapse.

    values: codes of the inputs and spikes of the layers, `(samples, time, size)`. batch: samples of
    a call. ran: steps of each sample.
    """
    acs = macs = exact_acs = exact_macs = one_by_one = 0
    mixed = False
    for synapse, every in _synapses(network):
        code = network.inputs.get(synapse.source)
        late = own_values(synapse, every, arriving_at(synapse, values, ran))
        joined = fan_out(unpooled(synapse), synapse.weight != 0)
        behind = fan_out(synapse, synapse.weight != 0)
        for start in range(0, len(late), batch):
            call = _calls(synapse, late[start : start + batch], 1.0 if code is None else code.scale)
            found = call.nonzero @ joined
            acs += int(found[call.binary].sum())
            macs += int(found[~call.binary].sum())
            exact_acs += int(call.units @ behind)
            exact_macs += int(call.others @ behind)
            mixed = mixed or call.mixed
            one_by_one += int((call.units + call.others if code else call.total) @ behind)
    return CallOperations(acs, macs, exact_acs, exact_macs, one_by_one, mixed)


def connections(network: Network) -> tuple[int, int]:
    """Connections that the weights make, behind the pools: not zero, and all."""
    joined = every = 0
    for synapse, exists in _synapses(network):
        joined += int(fan_out(unpooled(synapse), synapse.weight != 0).sum())
        every += int(fan_out(unpooled(synapse), exists).sum())
    return joined, every


def _synapses(network: Network) -> Iterator[tuple[Synapse, Bools]]:
    """Every synapse and which of its weights exist."""
    for layer in network.layers:
        yield from zip(layer.synapses, present(layer.synapses), strict=True)


@dataclass(frozen=True)
class _Calls:
    """One batch through one synapse, a call per step.

    nonzero: `(time, values behind the pools)`, samples in which a value is not 0. binary: per step.
    units, others, total: per value, events of -1 or 1, other events, and the sum of all.
    """

    nonzero: Ints
    binary: Bools
    units: Ints
    others: Ints
    total: Ints
    mixed: bool


def _calls(synapse: Synapse, late: npt.NDArray[Any], scale: float) -> _Calls:
    samples, steps, size = late.shape
    units, others, total = np.zeros((3, size), np.int64)
    binary, has_unit, has_other = (np.full(steps, start) for start in (True, False, False))
    nonzero: Any = 0
    piece = max(1, PIECE // max(1, 8 * steps * size))
    for start in range(0, samples, piece):
        rows = np.abs(late[start : start + piece].astype(np.int32))
        unit, other = rows == 1, rows > 1
        has_unit |= unit.any(axis=(0, 2))
        has_other |= other.any(axis=(0, 2))
        units += unit.sum(axis=(0, 1), dtype=np.int64)
        others += other.sum(axis=(0, 1), dtype=np.int64)
        total += rows.sum(axis=(0, 1), dtype=np.int64)
        seen = rows
        if synapse.link.pools:
            signed = late[start : start + piece].astype(np.int64).reshape(-1, size)
            seen = np.abs(pooled(synapse.link, signed)).reshape(len(rows), steps, -1)
        event = seen != 0
        nonzero = nonzero + event.sum(axis=0, dtype=np.int64)
        binary &= np.all(~event | (seen * scale == 1), axis=(0, 2))
    return _Calls(nonzero, binary, units, others, total, bool(np.any(has_unit & has_other)))
