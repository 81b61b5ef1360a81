"""`speck_if`: integrate-and-fire neurons in 16-bit states, Speck 2f (`hardware.speck`)."""

from __future__ import annotations

from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.arithmetic.base import Arithmetic, refuse
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.speck.program import ARITHMETIC, SpeckProgram
from neurozsl.hardware.speck.quantize import dequantize_speck, quantize_speck
from neurozsl.hardware.speck.rules import notes

_BATCH: Final = 256


def _quantize(
    lowered: Lowered,
    chip: Chip,
    *,
    bits: int,
    calibration: ChipInput | None,
    scale: ScaleRule,
    correct_bias: bool,
) -> SpeckProgram:
    if scale != "max" or correct_bias:
        raise BadInput(
            f"chip '{chip.key}': scale {scale!r}, correct_bias {correct_bias}; its one scale a "
            "layer follows sinabs and takes neither, use scale='max' without correction"
        )
    return quantize_speck(lowered, chip, bits=bits, calibration=calibration)


def _emulate(
    program: SpeckProgram,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...],
    batch: int | None,
    device: str,
    kernel: str,
    progress: Progress | None,
) -> Trace:
    from neurozsl.hardware.speck.emulator import emulate_speck  # imports torch

    refuse(program.chip, kernel=kernel)
    return emulate_speck(
        program, chip_input, record=record, batch=batch or _BATCH, device=device, progress=progress
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
