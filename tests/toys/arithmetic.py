"""A chip that nobody built: its arithmetic and its program; `target` is what it is exported to.

    v* = v - (v dv >> 12) + sum(weight code) + bias;   z = v* > threshold;   v = 0 where z

In 6-bit weights and one unit a layer. It keeps the written contract and nothing beyond it:
`network.program` for the program, `Arithmetic` for the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.arithmetic.base import Arithmetic, EmulatorOptions, QuantiserOptions
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.network.synapse import PLAIN, LayerLinks, Link, Synapse, apply
from neurozsl.hardware.network.wiring import check_parts

KEY: Final = "toy_shift"
CHIP: Final = "toychip"
LEVELS: Final = 31  # of 6-bit weights, on each side of 0
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ToyLayer(LayerLinks):
    """Integers of a layer; `unit` is the real value of one LSB of all of them."""

    name: str
    source: str
    weight: Ints
    bias: Ints
    dv: Ints
    threshold: Ints
    unit: float
    link: Link = PLAIN
    also: tuple[Synapse, ...] = ()
    rule: ClassVar[NeuronRule] = PLAIN_RULE
    per_neuron: ClassVar[tuple[str, ...]] = ("bias", "dv", "threshold")
    weight_bits: ClassVar[int] = 6
    bias_bits: ClassVar[int] = 16
    threshold_bits: ClassVar[int] = 16
    state_bits: ClassVar[int] = 32
    constant_axons: ClassVar[int] = 0

    @property
    def leaky(self) -> bool:
        """True where a membrane decays."""
        return bool(np.any(self.dv))

    @property
    def membrane_threshold(self) -> float:
        """The mean where neurons differ."""
        return float(np.mean(self.threshold))

    @property
    def state_unit(self) -> float:
        """Real value of one LSB of the membrane."""
        return self.unit


@dataclass(frozen=True)
class ToyLoss:
    """What the integers of a layer lost."""

    name: str
    weight_bits: int
    largest_error: float
    spike_agreement: float | None = None


@dataclass(frozen=True, eq=False)
class ToyProgram(ChipProgram):
    """All layers."""

    layers: tuple[ToyLayer, ...]
    loss: tuple[ToyLoss, ...] = ()
    arithmetic: ClassVar[str] = KEY
    kind: ClassVar[str] = "toy"
    schemas: ClassVar[tuple[int, ...]] = (1,)
    arrays: ClassVar[tuple[str, ...]] = ("weight", "bias", "dv", "threshold")
    layer_type: ClassVar[type] = ToyLayer
    loss_type: ClassVar[type] = ToyLoss

    def __post_init__(self) -> None:
        """Check that inputs, sources and sizes fit together."""
        check_parts("toy program", self.inputs, self.layers, self.outputs)


def quantize(lowered: Lowered, chip: Chip, options: QuantiserOptions) -> ToyProgram:
    """Every number of a layer over its unit, rounded."""
    if options.scale != "max" or options.correct_bias or lowered.policy not in ("fixed", "frozen"):
        raise BadInput(f"chip '{chip.key}': has one scale and one threshold a layer")
    made = [_layer(layer, lowered) for layer in lowered.layers]
    return ToyProgram.of(lowered, chip.key, made)


def _layer(layer: LoweredLayer, lowered: Lowered) -> tuple[ToyLayer, ToyLoss]:
    if layer.also or layer.rule != PLAIN_RULE or np.any(layer.syn_leak != 1):
        raise BadInput(f"layer '{layer.name}': the toy has one source and one plain membrane")
    code = lowered.inputs.get(layer.source)
    real = layer.weight * (1.0 if code is None else code.scale)
    unit = float(np.abs(real).max() / LEVELS)
    weight = _rounded(real / unit)
    made = ToyLayer(
        name=layer.name,
        source=layer.source,
        weight=weight,
        bias=_rounded(layer.bias / unit),
        dv=_rounded(4096 * layer.leak),
        threshold=_rounded(layer.threshold / unit),
        unit=unit,
        link=layer.link,
    )
    return made, ToyLoss(layer.name, 6, float(np.abs(real - weight * unit).max()))


def _rounded(values: npt.NDArray[Any]) -> Ints:
    rounded: Ints = np.rint(values).astype(np.int64)
    return rounded


def dequantize(program: ToyProgram) -> Lowered:
    """The same numbers in float; truncations of the leak are left out."""
    layers = []
    for x in program.layers:
        code, unit = program.inputs.get(x.source), np.float64(x.unit)
        layers.append(
            LoweredLayer(
                name=x.name,
                source=x.source,
                weight=x.weight * unit / (1.0 if code is None else code.scale),
                bias=x.bias * unit,
                leak=x.dv / 4096,
                syn_leak=np.ones(x.size),
                threshold=x.threshold * unit,
                link=x.link,
            )
        )
    return program.twin(layers)


def emulate(program: ToyProgram, chip_input: ChipInput, options: EmulatorOptions) -> Trace:
    """All samples together; it has no other device and no kernels."""
    options.refuse(program.chip, "device", "kernel")
    values: dict[str, Any] = dict(program.check(chip_input).codes)
    membranes = {}
    for layer in program.layers:
        sums = apply(layer.synapses[0], values[layer.source].astype(np.int64))
        spikes, membrane = np.zeros(sums.shape, np.uint8), np.zeros(sums.shape, np.int64)
        v: Ints = np.zeros(sums[:, 0].shape, np.int64)
        for t in range(sums.shape[1]):
            v = v - (v * layer.dv >> 12) + sums[:, t] + layer.bias
            spikes[:, t] = v > layer.threshold
            v = np.where(spikes[:, t], 0, v)
            membrane[:, t] = v
        values[layer.name] = spikes
        membranes[layer.name] = membrane
    return Trace(
        {layer.name: values[layer.name] for layer in program.layers},
        membrane=membranes if "membrane" in options.record else {},
    )


def notes(program: ToyProgram, chip: Chip) -> tuple[str, ...]:
    """What a user has to know."""
    return (f"{chip.name} cannot be bought",)


ENTRY: Final = Arithmetic(KEY, (CHIP,), quantize, emulate, dequantize, ToyProgram.load, notes=notes)
