"""`Lowered` + chip -> the integers that the chip runs, and what the integers lost.

    loihi_cuba   `Program`        `loihi.quantize` per layer, `loihi.loss` for the report,
                                  `loihi.bias` for the correction, `loihi.dequantize`, the way back
    speck_if     `SpeckProgram`   `speck.quantize`

The equations are theirs; here is the verb, and what a chip refuses before any arithmetic.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, TypedDict, Unpack, overload

import nir

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.bias import quantize_corrected
from neurozsl.hardware.loihi.dequantize import dequantize, dequantize_input
from neurozsl.hardware.loihi.loss import with_agreement
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.loihi.quantize import quantize_layer
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.speck.program import ARITHMETIC as SPECK
from neurozsl.hardware.speck.program import AnyProgram, SpeckProgram
from neurozsl.hardware.speck.quantize import quantize_speck

__all__ = ["ARITHMETIC", "MIN_BITS", "dequantize", "dequantize_input", "quantize"]

ARITHMETIC: Final = "loihi_cuba"
MIN_BITS: Final = 4
Network: TypeAlias = nir.NIRGraph | Lowered


class _Options(TypedDict, total=False):
    """Keyword arguments of `quantize`; see there."""

    bits: int
    calibration: ChipInput | None
    scale: ScaleRule
    correct_bias: bool


@overload
def quantize(
    network: Network, chip: Literal["loihi1", "loihi2"], **options: Unpack[_Options]
) -> Program: ...
@overload
def quantize(
    network: Network, chip: Literal["speck2f"], **options: Unpack[_Options]
) -> SpeckProgram: ...
@overload
def quantize(network: Network, chip: Chip | str, **options: Unpack[_Options]) -> AnyProgram: ...
def quantize(
    network: Network,
    chip: Chip | str,
    *,
    bits: int = fp.WEIGHT_BITS,
    calibration: ChipInput | None = None,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
) -> AnyProgram:
    """The integers that `chip` runs for the network.

    Args:
        network: a NIR graph with our metadata, or the result of `lower`.
        chip: with the arithmetic `loihi_cuba` or `speck_if`, or its key.
        bits: weight bits, 4..8 (Speck: 8).
        calibration: input on which the loss report compares spikes with the float network.
        scale: how the largest weight of a layer is chosen, see `scales`.
        correct_bias: fold the mean change of each neuron's drive on `calibration` into its bias.

    Returns:
        Program with one `LayerLoss` per layer, or a SpeckProgram (see `speck.quantize`).

    Raises:
        BadInput: another arithmetic, an input code or spike count that the chip cannot carry,
            decays or thresholds that differ inside a layer, a threshold beyond 17 bits, a
            correction without calibration input or of a recurrent network.
    """
    lowered = network if isinstance(network, Lowered) else lower(network)
    chip = load_chip(chip) if isinstance(chip, str) else chip
    if chip.arithmetic == SPECK:
        if scale != "max" or correct_bias:
            raise BadInput(
                f"chip '{chip.key}': scale {scale!r}, correct_bias {correct_bias}; its one scale a "
                "layer follows sinabs and takes neither, use scale='max' without correction"
            )
        return quantize_speck(lowered, chip, bits=bits, calibration=calibration)
    _check_chip(lowered, chip, bits)
    if not correct_bias:
        made = [quantize_layer(x, lowered, bits, scale) for x in lowered.layers]
    elif calibration is None:
        raise BadInput("quantise: correct_bias needs calibration input; pass calibration=")
    else:
        made = quantize_corrected(lowered, calibration, bits, scale)
    program = Program(
        chip=chip.key,
        inputs=lowered.inputs,
        layers=tuple(layer for layer, _ in made),
        outputs=lowered.outputs,
        steps=lowered.steps,
        dt_s=lowered.dt_s,
        policy=lowered.policy,
        loss=tuple(loss for _, loss in made),
    )
    return program if calibration is None else with_agreement(program, lowered, calibration)


def _check_chip(lowered: Lowered, chip: Chip, bits: int) -> None:
    if chip.arithmetic != ARITHMETIC:
        raise BadInput(
            f"chip '{chip.key}': has {chip.arithmetic or 'figures of energy only'}, programs are "
            f"made for {ARITHMETIC} and {SPECK}; choose loihi1, loihi2 or speck2f"
        )
    if (
        isinstance(bits, bool)
        or not isinstance(bits, int)
        or not MIN_BITS <= bits <= fp.WEIGHT_BITS
    ):
        raise BadInput(f"weight bits: {bits!r}, expected {MIN_BITS}..{fp.WEIGHT_BITS}")
    payload = chip.limit.get("spike_payload_bits")
    for name, code in lowered.inputs.items():
        needed = 0 if code.kind == "binary" else code.bits + int(code.low < 0)
        if needed and payload is None:
            raise BadInput(
                f"input '{name}': {code.kind} codes need spikes with a payload, chip '{chip.key}' "
                "has binary spikes; encode it as two binary channels (ON, OFF) or use loihi2"
            )
        if payload is not None and needed > payload.value:
            raise BadInput(
                f"input '{name}': {needed} bits a spike, chip '{chip.key}' carries "
                f"{payload.value:g}; use fewer bits"
            )
    for layer in lowered.layers:
        if layer.rule.max_spikes > 1 and payload is None:
            raise BadInput(
                f"layer '{layer.name}': up to {layer.rule.max_spikes} spikes a step need a "
                f"payload, chip '{chip.key}' has binary spikes; use loihi2 or one spike a step"
            )
