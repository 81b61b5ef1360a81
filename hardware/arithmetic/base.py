"""What a chip with an integer neuron of its own brings: an `Arithmetic`, one file and one line.

    quantize    float network + chip + options -> program    refuses what the chip cannot compute
    emulate     program + input + options      -> Trace      bit for bit
    dequantize  program                        -> float network that computes the same;
                                                  dequantize_input: what it is then fed
    load        a file of its program          -> program
    notes       program + chip                 -> what a user of the chip has to know

Its program keeps the words of `network.program`, which counters, the placer and backends ask. A
chip's file names an arithmetic by its key (`chips.arithmetics`). Nothing here imports torch or
numba: an entry imports its emulator when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.program import ChipProgram


@dataclass(frozen=True)
class QuantiserOptions:
    """How integers are made, see `quantize`; a quantiser refuses what it has no place for."""

    calibration: ChipInput | None
    bits: int
    scale: ScaleRule
    correct_bias: bool


@dataclass(frozen=True)
class EmulatorOptions:
    """How integers are run, see `emulate`; an emulator refuses what it does not have."""

    record: tuple[Record, ...] = ("spikes",)
    batch: int | None = None
    device: str = "cpu"
    kernel: str = "auto"
    progress: Progress | None = None

    def refuse(self, chip: str, *names: str) -> None:
        """Options that the emulator of a chip does not have keep their defaults.

        Raises:
            BadInput: one of these names was given something else.
        """
        given = {x: getattr(self, x) for x in names if getattr(self, x) != getattr(_DEFAULTS, x)}
        if given:
            raise BadInput(
                f"emulate on chip '{chip}': {', '.join(f'{k}={v!r}' for k, v in given.items())}; "
                f"its emulator knows no {' and no '.join(names)}, leave that out"
            )


_DEFAULTS: Final = EmulatorOptions()


def _same(program: Any, chip_input: ChipInput) -> ChipInput:
    return chip_input


def _no_notes(program: Any, chip: Chip) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Arithmetic:
    """One row of the table; see the module docstring.

    key: as chip files write it. chips: keys of chips that have it, as errors suggest them.
    compares_membranes: backends record its membranes, and checks compare them with those of the
    float network (`ChipLayer.state_unit`).
    """

    key: str
    chips: tuple[str, ...]
    quantize: Callable[[Lowered, Chip, QuantiserOptions], ChipProgram]
    emulate: Callable[[Any, ChipInput, EmulatorOptions], Trace]
    dequantize: Callable[[Any], Lowered]
    load: Callable[[Path], ChipProgram]
    dequantize_input: Callable[[Any, ChipInput], ChipInput] = _same
    notes: Callable[[Any, Chip], tuple[str, ...]] = _no_notes
    compares_membranes: bool = True
