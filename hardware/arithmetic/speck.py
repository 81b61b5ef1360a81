"""`speck_if`: integrate-and-fire neurons in 16-bit states, Speck 2f (`hardware.speck`)."""

from __future__ import annotations

from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.arithmetic.base import Arithmetic, EmulatorOptions, QuantiserOptions
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.speck.program import ARITHMETIC, SpeckProgram
from neurozsl.hardware.speck.quantize import dequantize_speck, quantize_speck
from neurozsl.hardware.speck.rules import notes

_BATCH: Final = 256


def _quantize(lowered: Lowered, chip: Chip, options: QuantiserOptions) -> SpeckProgram:
    if options.scale != "max" or options.correct_bias:
        raise BadInput(
            f"chip '{chip.key}': scale {options.scale!r}, correct_bias {options.correct_bias}; its "
            "one scale a layer follows sinabs and takes neither, use scale='max' without correction"
        )
    return quantize_speck(lowered, chip, bits=options.bits)


def _emulate(program: SpeckProgram, chip_input: ChipInput, options: EmulatorOptions) -> Trace:
    from neurozsl.hardware.speck.emulator import emulate_speck  # imports torch

    options.refuse(program.chip, "kernel")
    return emulate_speck(
        program,
        chip_input,
        record=options.record,
        batch=options.batch or _BATCH,
        device=options.device,
        progress=options.progress,
    )


SPECK: Final = Arithmetic(
    key=ARITHMETIC,
    chips=("speck2f",),
    quantize=_quantize,
    emulate=_emulate,
    dequantize=dequantize_speck,
    load=SpeckProgram.load,
    notes=notes,
    compares_membranes=False,
)
