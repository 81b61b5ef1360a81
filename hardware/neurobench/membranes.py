"""Membranes of a run after each step, and how many of them changed: NeuroBench's MembraneUpdates.

The trace may hold them (`record=("spikes", "membrane")`); else they are computed again, some
samples at a time. In float the recorded spikes give them back without a threshold where the reset
is to zero, so it does not matter which backend and which policy made them::

    u = (1 - syn_leak) u + W x;   v = (1 - leak) v + u + bias;   v = 0 (or v - n theta) where n

Integers are run once more, which gives the same bits.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import ChipInput, Trace, before
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.count.tally import Network, inputs_read
from neurozsl.hardware.floatsim.floatsim import drive, layer_thresholds
from neurozsl.hardware.floatsim.rules import replay
from neurozsl.hardware.network.connections import Ints
from neurozsl.hardware.network.lowered import Lowered

_HELD: Final = 1 << 23  # membranes of a layer that are held at once, 64 MB
Membranes = Mapping[str, npt.NDArray[Any]]  # of layers, (sample, time, neuron)


def membrane_updates(
    network: Network, chip_input: ChipInput, trace: Trace, layers: Sequence[str]
) -> int:
    """All neurons of these layers in the first step, later those whose membrane changed.

    Over all samples; the trace may hold membranes.

    Raises:
        BadInput: a program has to run again and its thresholds are missing.
    """
    found = 0
    for ran, membranes in _pieces(network, chip_input, trace, layers):
        for name in layers:
            v = membranes[name]
            changed = before(v[:, 1:] != v[:, :-1], ran - 1)
            found += v[:, :1].size + int(np.count_nonzero(changed))
    return found


def _pieces(
    network: Network, chip_input: ChipInput, trace: Trace, layers: Sequence[str]
) -> Iterator[tuple[Ints, Membranes]]:
    """Some samples at a time: their steps that ran, and membranes."""
    if all(name in trace.membrane for name in layers):
        yield chip_input.ran, trace.to_numpy().membrane
        return
    widest = max(layer.size for layer in network.layers)
    several = max(1, _HELD // max(1, chip_input.steps * widest))
    for start in range(0, chip_input.batch, several):
        rows = slice(start, start + several)
        spikes = {name: x[rows] for name, x in trace.spikes.items()}
        part = chip_input.take(rows)
        if isinstance(network, Lowered):
            yield part.ran, _in_float(network, part, Trace(spikes))
        else:
            yield part.ran, emulate(network, part, record=("spikes", "membrane")).membrane


def _in_float(network: Lowered, chip_input: ChipInput, trace: Trace) -> Membranes:
    given, spikes = chip_input.to_numpy(), trace.to_numpy().spikes
    codes = {name: given.codes[name] * code.scale for name, code in inputs_read(network).items()}
    values = {**codes, **spikes}
    return {
        layer.name: replay(
            layer,
            drive(layer, values),
            spikes[layer.name],
            layer_thresholds(network.policy, layer, given),
        )
        for layer in network.layers
    }
