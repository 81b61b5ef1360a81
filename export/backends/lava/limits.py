"""What stock lava-nc 0.10.0 cannot run, found before a worker starts.

Its `LIF` neurons send one spike where v > threshold and reset to zero, without a lower bound. Each
of its synapses takes one step: a loop of n synapses needs n or more steps of delay. Its fixed-point
synapses shift their own sums, so a right shift (`weight_exp` below 0) of a sum over several
synapses is another number. What is refused here runs in the emulator and the float simulator.
"""

import math
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.network.synapse import LARGEST_MATRIX, Synapse

_REMEDY = "available in the emulator and the float simulator, `simulate --backend emulator`"


def check_network(network: Lowered | ChipProgram) -> None:
    """Raise where lava-nc would compute something else.

    Raises:
        BadInput: lists every fault.
    """
    faults = [f"layer '{x.name}': {fault}" for x in network.layers for fault in _layer_faults(x)]
    if loop := short_loop(network.layers):
        faults.append(
            f"loop {' -> '.join([*loop, loop[0]])}: its delays are shorter than its {len(loop)} "
            "synapses, each of which takes a step in Lava"
        )
    if faults:
        raise BadInput(f"lava-nc cannot run this network: {'; '.join(faults)}; {_REMEDY}")


def short_loop(layers: tuple[Any, ...]) -> list[str]:
    """Names along a loop with more synapses than steps of delay, [] where there is none.

    Longest paths of `1 - delay` a synapse do not settle exactly where there is such a loop.
    """
    lag = {layer.name: 0 for layer in layers}
    before: dict[str, str] = {}
    last = ""
    for _ in range(len(layers) + 1):
        last = ""
        for layer in layers:
            for synapse in layer.synapses:
                due = lag.get(synapse.source, 0) + 1 - synapse.link.delay
                if synapse.source in lag and due > lag[layer.name]:
                    lag[layer.name], before[layer.name] = due, synapse.source
                    last = layer.name
        if not last:
            return []
    for _ in layers:  # steps back until the walk is inside the loop
        last = before[last]
    loop = [last]
    while before[loop[-1]] != last:
        loop.append(before[loop[-1]])
    return loop[::-1]


def _layer_faults(layer: Any) -> list[str]:
    rule, found = layer.rule, []
    if rule.spiking and rule.reset != "zero":
        found.append(f"reset {rule.reset}, Lava's neurons reset to zero")
    if rule.spiking and rule.max_spikes > 1:
        found.append(f"sends up to {rule.max_spikes} spikes a step, Lava's neurons send one")
    if rule.spiking and rule.compare != ">":
        found.append("spikes at v >= threshold, Lava's neurons at v > threshold")
    if rule.low is not None:
        found.append(f"keeps v above {rule.low:g}, Lava's neurons have no lower bound")
    if getattr(layer, "weight_exp", 0) < 0 and (layer.also or _overlaps(layer.synapses[0])):
        found.append(f"weight_exp {layer.weight_exp} on a sum that Lava splits and rounds apart")
    for synapse in layer.synapses:
        entries = matrix_entries(synapse)
        if entries > LARGEST_MATRIX:
            found.append(
                f"written as a matrix, the synapse from '{synapse.source}' has {entries:,} "
                f"entries, at most {LARGEST_MATRIX:,} are run"
            )
    return found


def _overlaps(synapse: Synapse) -> bool:
    """True where a neuron is in several windows, so that weights add up."""
    return any(p.stride[i] < p.kernel[i] for p in synapse.link.pools for i in (0, 1))


def matrix_entries(synapse: Synapse) -> int:
    """An upper bound of the entries other than 0 when pools and kernel are one matrix."""
    windows = math.prod(math.prod(pool.kernel) for pool in synapse.link.pools)
    return synapse.size_out * min(math.prod(synapse.weight.shape[1:]) * windows, synapse.size_in)
