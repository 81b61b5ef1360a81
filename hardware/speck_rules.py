"""What Speck asks of a network: every broken rule in one error, with the change that helps.

In: a `Lowered` branch. sinabs checks the memory of a core and leaves the rest to samna's closed
`validate_configuration`; its own check accepts kernels of 17, stride 3, dilation 2 (which it never
writes to the chip), groups and maps of 256. The limits here are those of the chip's file (sinabs
docs/speck/overview). A dense layer is a convolution with kernel 1 on a map of 1 x 1; the rules for
the rest of a `CoreShape` are the same table.

Which core each layer gets is `place`'s question; here are the rules of one layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from neurozsl.errors import BadInput, DoesNotFit
from neurozsl.hardware.chip import Chip
from neurozsl.hardware.lower import Lowered, LoweredLayer
from neurozsl.hardware.speck import SpeckProgram

REMEDY: Final = (
    "train with `neurozsl train --motion-profile speck` (integrate-and-fire neurons, binary "
    "inputs, widths that fit the nine cores)"
)


@dataclass(frozen=True)
class CoreShape:
    """What one layer asks of its core: c `inputs`, f `outputs`, and the layers that it feeds.

    kernel, input_side, map_side: of the square kernel, input and output map; 1 for dense layers.
    """

    name: str
    source: str
    inputs: int
    outputs: int
    destinations: int
    biased: bool = False
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    pool: int = 1
    input_side: int = 1
    map_side: int = 1

    @property
    def kernel_words(self) -> int:
        """Words that addressing takes: c 2^(ceil(log2 kernel^2) + ceil(log2 f))."""
        return int(self.inputs << (_log2_up(self.kernel**2) + _log2_up(self.outputs)))

    @property
    def neuron_words(self) -> int:
        """Words of the states: f 2^(2 ceil(log2 map_side))."""
        return int(self.outputs << (2 * _log2_up(self.map_side)))

    @property
    def bias_words(self) -> int:
        """One word per output, none where all biases are 0."""
        return self.outputs if self.biased else 0


def core_shapes(network: Lowered | SpeckProgram) -> tuple[CoreShape, ...]:
    """One `CoreShape` per layer of a dense branch, in its order."""
    fed = [layer.source for layer in network.layers]
    return tuple(
        CoreShape(
            name=layer.name,
            source=layer.source,
            inputs=int(layer.weight.shape[1]),
            outputs=int(layer.weight.shape[0]),
            destinations=fed.count(layer.name),
            biased=bool(np.any(layer.bias)),
        )
        for layer in network.layers
    )


def check_speck(lowered: Lowered, chip: Chip) -> tuple[CoreShape, ...]:
    """The shapes of a branch that the chip can compute.

    Raises:
        DoesNotFit: a layer, or the number of layers, is too large; what else the chip cannot
            compute is named beside.
        BadInput: a leak, an input that is not binary, thresholds that differ inside a layer or
            over time, in a branch that would fit.
    """
    shapes = core_shapes(lowered)
    sizes = size_faults(shapes, chip)
    semantics = list(_semantic_faults(lowered, chip))
    listed = "; ".join([*semantics, *sizes])
    if sizes:
        raise DoesNotFit(f"branch does not fit {chip.key}: {listed}; {REMEDY}")
    if semantics:
        raise BadInput(f"branch cannot run on {chip.key}: {listed}; {REMEDY}")
    return shapes


def size_faults(shapes: tuple[CoreShape, ...], chip: Chip) -> list[str]:
    """Every limit of a single layer, and of their number, that is broken."""
    faults = [fault for shape in shapes for fault in _layer_faults(shape, chip)]
    cores = int(chip.limit["cores"].value)
    if len(shapes) > cores:
        faults.append(f"{len(shapes)} layers, the chip has {cores} cores, one layer each")
    return faults


def notes(network: Lowered | SpeckProgram, chip: Chip) -> tuple[str, ...]:
    """What the rules allow and a user of the chip has to know all the same."""
    found = []
    if any(np.any(layer.bias) for layer in network.layers):
        found.append(
            f"biases need the slow clock: one tick per step, {1 / network.dt_s:g} Hz; on the chip "
            "they are a constant drift, between events"
        )
    readout = int(chip.limit["readout_classes"].value)
    wide = [x.name for x in core_shapes(network) if x.name in network.outputs]
    sizes = {x.name: x.outputs for x in core_shapes(network)}
    if any(sizes[name] > readout for name in wide):
        found.append(
            f"outputs {', '.join(wide)} are wider than the readout block ({readout} classes): read "
            "them as monitored spikes"
        )
    return tuple(found)


def _log2_up(x: int) -> int:
    """ceil(log2 x) for x >= 1."""
    return (x - 1).bit_length()


def _layer_faults(shape: CoreShape, chip: Chip) -> Iterator[str]:
    where = f"layer '{shape.name}'"
    limit, allowed = chip.limit, chip.allowed
    most = {
        "input channels": (shape.inputs, limit["channels"]),
        "output channels": (shape.outputs, limit["channels"]),
        "kernel side": (shape.kernel, limit["kernel_side"]),
        "padding": (shape.padding, limit["padding"]),
        "input side": (shape.input_side, limit["input_side"]),
        "map side": (shape.map_side, limit["map_side"]),
        "destinations": (shape.destinations, limit["destinations_per_core"]),
    }
    for what, (value, figure) in most.items():
        if value > figure.value:
            yield f"{where}: {value} {what}, at most {figure.value:g}"
    for what in ("stride", "dilation", "groups", "pool"):
        if getattr(shape, what) not in allowed[what]:
            choices = ", ".join(map(str, allowed[what]))
            yield f"{where}: {what} {getattr(shape, what)}, the chip knows {choices}"
    yield from _memory_faults(shape, chip)


def _memory_faults(shape: CoreShape, chip: Chip) -> Iterator[str]:
    """Words that no core has; whether each layer finds one of its own is for `place`."""
    for what in ("kernel_words", "neuron_words", "bias_words"):
        needed, largest = getattr(shape, what), max(core[what] for core in chip.cores)
        if needed > largest:
            yield (
                f"layer '{shape.name}': {shape.inputs} x {shape.outputs} takes {needed} "
                f"{what.replace('_', ' ')}, the largest core has {largest}"
                + (_most_outputs(shape, largest) if what == "kernel_words" else "")
            )


def _most_outputs(shape: CoreShape, words: int) -> str:
    """The widest layer on as many inputs that `words` hold."""
    per_output = shape.kernel_words >> _log2_up(shape.outputs)
    room = words // per_output
    widest = 1 << (room.bit_length() - 1) if room else 0
    return f" ({shape.inputs} inputs take at most {widest} outputs)"


def _semantic_faults(lowered: Lowered, chip: Chip) -> Iterator[str]:
    """What no size would cure."""
    for name, code in lowered.inputs.items():
        if code.kind != "binary":
            yield (
                f"input '{name}' has {code.kind} codes, {chip.key} has spikes without sign or "
                "payload"
            )
    leaky = [layer.name for layer in lowered.layers if _leaks(layer)]
    if leaky:
        yield f"layers {', '.join(leaky)} leak and {chip.key} has integrate-and-fire neurons only"
    for layer in lowered.layers:
        if np.any(layer.threshold != layer.threshold[0]):
            low, high = layer.threshold.min(), layer.threshold.max()
            yield (
                f"layer '{layer.name}': thresholds {low:g}..{high:g} differ between neurons, the "
                "chip has one per layer"
            )
        elif layer.threshold[0] <= 0:
            yield f"layer '{layer.name}': threshold {layer.threshold[0]:g}, it must be above 0"
    if lowered.policy not in ("fixed", "frozen"):
        yield (
            f"threshold policy '{lowered.policy}', the chip has one constant per layer (export "
            "with --threshold frozen)"
        )


def _leaks(layer: LoweredLayer) -> bool:
    leak: Any = np.any(layer.leak != 0) or np.any(layer.syn_leak != 1)
    return bool(leak)
