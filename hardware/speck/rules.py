"""What Speck asks of a network: every broken rule in one error, with the change that helps.

In: a `Lowered` network. What no size would cure is listed here: leaks, loops, delays, several
sources, layers without spikes, inputs with sign or payload, thresholds that differ inside a layer,
biases that differ inside a channel. The limits of a core are in `cores`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.wiring import is_recurrent
from neurozsl.hardware.speck.cores import CoreShape, as_map, core_shapes, size_faults
from neurozsl.hardware.speck.program import RESETS, SpeckProgram

REMEDY: Final = (
    "it takes integrate-and-fire neurons, binary inputs and widths that fit the nine cores "
    "(`neurozsl train --motion-profile speck` trains such a branch of our own models, "
    "`--network conv-if` such a classifier)"
)


def check_speck(lowered: Lowered, chip: Chip) -> tuple[CoreShape, ...]:
    """The shapes of a branch that the chip can compute.

    Raises:
        DoesNotFit: a layer, or the number of layers, is too large; what else the chip cannot
            compute is named beside.
        BadInput: a leak, a loop, a delay, a layer with several sources or without spikes, an
            input that is not binary, thresholds that differ inside a layer or over time, biases
            that differ inside a channel, in a network that would fit.
    """
    shapes = core_shapes(lowered)
    sizes = size_faults(shapes, chip)
    semantics = list(_semantic_faults(lowered, chip))
    listed = "; ".join([*semantics, *sizes])
    if sizes:
        raise DoesNotFit(f"branch does not fit {chip.key}: {listed}; {REMEDY}")
    if semantics:
        raise BadInput(f"the network cannot run on {chip.key}: {listed}; {REMEDY}")
    return shapes


def notes(network: Lowered | SpeckProgram, chip: Chip) -> tuple[str, ...]:
    """What the rules allow and a user of the chip has to know all the same."""
    found = []
    if any(np.any(layer.bias) for layer in network.layers):
        found.append(
            f"biases need the slow clock: one tick per step, {1 / network.dt_s:g} Hz; on the chip "
            "they are a constant drift, between events"
        )
    readout = int(chip.limit["readout_classes"].value)
    outputs = {x.name: x.size for x in network.layers if x.name in network.outputs}
    if any(size > readout for size in outputs.values()):
        found.append(
            f"outputs {', '.join(outputs)} are wider than the readout block ({readout} classes): "
            "read them as monitored spikes"
        )
    return tuple(found)


def _semantic_faults(lowered: Lowered, chip: Chip) -> Iterator[str]:
    """What no size would cure."""
    for name, code in lowered.inputs.items():
        if code.kind != "binary":
            yield (
                f"input '{name}' has {code.kind} codes, {chip.key} has spikes without sign or "
                "payload"
            )
    for layer in lowered.layers:
        if layer.start is not None or layer.drive is not None:
            yield f"layer '{layer.name}' starts or drives its membrane apart from its inputs"
    leaky = [layer.name for layer in lowered.layers if layer.leaky]
    if leaky:
        which = (
            f"layer '{leaky[0]}' leaks" if len(leaky) == 1 else f"layers {', '.join(leaky)} leak"
        )
        yield f"{which} and {chip.key} has integrate-and-fire neurons only"
    yield from _wiring_faults(lowered)
    for layer in lowered.layers:
        if _uneven_bias(layer):
            yield (
                f"layer '{layer.name}': biases differ inside a channel, the chip has one per "
                "channel"
            )
        if not layer.rule.spiking:
            yield f"layer '{layer.name}' sends no spikes, every neuron of the chip does"
        elif np.any(layer.threshold != layer.threshold[0]):
            low, high = layer.threshold.min(), layer.threshold.max()
            yield (
                f"layer '{layer.name}': thresholds {low:g}..{high:g} differ between neurons, the "
                "chip has one per layer"
            )
        elif layer.rule.reset not in RESETS:
            yield (
                f"layer '{layer.name}': reset {layer.rule.reset}, the chip has "
                f"{' and '.join(RESETS)} (at once)"
            )
        elif layer.threshold[0] <= 0:
            yield f"layer '{layer.name}': threshold {layer.threshold[0]:g}, it must be above 0"
    if lowered.policy not in ("fixed", "frozen"):
        yield (
            f"threshold policy '{lowered.policy}', the chip has one constant per layer (export "
            "with --threshold frozen)"
        )


def _wiring_faults(lowered: Lowered) -> Iterator[str]:
    """Connections that cores do not have."""
    maps = {layer.name: layer.shape for layer in lowered.layers}
    if is_recurrent(lowered.layers):
        yield "the network is recurrent, cores pass spikes forward only"
    for layer in lowered.layers:
        where, link = f"layer '{layer.name}'", layer.link
        if layer.also:
            sources = ", ".join(synapse.source for synapse in layer.synapses)
            yield f"{where} reads several sources ({sources}), a core takes one"
        delays = sorted({synapse.link.delay for synapse in layer.synapses} - {0})
        if delays:
            late = ", ".join(map(str, delays))
            steps = "step" if delays == [1] else "steps"
            yield f"{where} sees spikes {late} {steps} late, a core sees them at once"
        if layer.source in maps:
            sent = as_map(maps[layer.source])
            read = link.pools[0].shape if link.pools else sent
            if link.conv is not None and not link.pools:
                read = link.conv.shape
            if read != sent:
                yield f"{where} reads a map {read}, '{layer.source}' makes {sent}"
        elif link.pools:
            yield f"{where} pools input '{layer.source}', no core is before it: pool on the host"


def _uneven_bias(layer: LoweredLayer) -> bool:
    channels = layer.bias.reshape(layer.shape[0], -1)
    return bool(np.any(channels != channels[:, :1]))
