"""`Lowered` + chip -> the integers that the chip runs, and what the integers lost.

The equations are those of the chip's arithmetic (`hardware.loihi`, `hardware.speck`); here is the
verb, which asks the table for them, and the way back.
"""

from dataclasses import replace
from typing import Literal, TypeAlias, TypedDict, Unpack, overload

import nir
import numpy as np

from neurozsl.core.signals import ChipInput
from neurozsl.hardware.arithmetic.base import QuantiserOptions
from neurozsl.hardware.arithmetic.registry import of_chip, of_program
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.speck.program import SpeckProgram

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
def quantize(network: Network, chip: Chip | str, **options: Unpack[_Options]) -> ChipProgram: ...
def quantize(
    network: Network,
    chip: Chip | str,
    *,
    bits: int = fp.WEIGHT_BITS,
    calibration: ChipInput | None = None,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
) -> ChipProgram:
    """The integers that `chip` runs for the network.

    Args:
        network: a NIR graph with our metadata, or the result of `lower`.
        chip: with an arithmetic of the table (`registry`), or its key.
        bits: weight bits, 4..8.
        calibration: input on which the loss report compares spikes with the float network.
        scale: how the largest weight of a layer is chosen, see `scales`.
        correct_bias: fold the mean change of each neuron's drive on `calibration` into its bias.

    Returns:
        The program of that arithmetic, with the loss of every layer: for Loihi a `Program`, for
        Speck a `SpeckProgram`.

    Raises:
        BadInput: a chip without arithmetic, an input code or spike count that it cannot carry,
            decays or thresholds that differ inside a layer, a threshold beyond 17 bits, a
            correction without calibration input or of a recurrent network.
        DoesNotFit: a delay that no synapse of the chip has.

    Example::

        program = nz.quantize(network, "loihi2", bits=6, calibration=chip_input)
        [loss for loss in program.loss]  # per layer, what the integers cost
    """
    lowered = network if isinstance(network, Lowered) else lower(network)
    chip = load_chip(chip) if isinstance(chip, str) else chip
    options = QuantiserOptions(calibration, bits, scale, correct_bias)
    program = of_chip(chip).quantize(lowered, chip, options)
    return program if calibration is None else _with_agreement(program, lowered, calibration)


def _with_agreement(program: ChipProgram, lowered: Lowered, calibration: ChipInput) -> ChipProgram:
    """The program with `spike_agreement` filled: float network against its rounded twin."""
    one = of_program(program)
    before = simulate(lowered, calibration).spikes
    after = simulate(one.dequantize(program), one.dequantize_input(program, calibration)).spikes
    agree = {
        x.name: float(np.mean(before[x.name] == after[x.name])) if x.rule.spiking else None
        for x in program.layers
    }
    loss = tuple(replace(x, spike_agreement=agree[x.name]) for x in program.loss)
    return replace(program, loss=loss)


def dequantize(program: ChipProgram) -> Lowered:
    """The float network that computes what the integers compute.

    For the policy dynamic, thresholds of Loihi's input go through `loihi.dequantize_input`.
    """
    return of_program(program).dequantize(program)
