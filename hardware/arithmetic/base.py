"""What a chip with an integer neuron of its own brings: an `Arithmetic`, one file and one line.

    quantize    float network + chip + options -> program    refuses what the chip cannot compute
    emulate     program + input + options      -> Trace      bit for bit
    dequantize  program                        -> float network that computes the same
    load        a file of its program          -> program
    notes       program + chip                 -> what a user of the chip has to know

Its program keeps the words of `network.program`, which counters, the placer and backends ask. A
chip's file names an arithmetic by its key (`chips.arithmetics`). Nothing here imports torch or
numba: an entry imports its emulator when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.program import ChipProgram

# Of the options of `emulate`.
DEFAULTS: Final[Mapping[str, object]] = {
    "record": ("spikes",),
    "batch": None,
    "device": "cpu",
    "kernel": "auto",
}


class Quantise(Protocol):
    """`quantize` of one arithmetic."""

    def __call__(
        self,
        lowered: Lowered,
        chip: Chip,
        *,
        bits: int,
        calibration: ChipInput | None,
        scale: ScaleRule,
        correct_bias: bool,
    ) -> ChipProgram:
        """The integers; refuses what the chip cannot compute and options that have no place."""


class Emulate(Protocol):
    """`emulate` of one arithmetic; `program` is one of its own."""

    def __call__(
        self,
        program: Any,
        chip_input: ChipInput,
        *,
        record: tuple[Record, ...],
        batch: int | None,
        device: str,
        kernel: str,
        progress: Progress | None,
    ) -> Trace:
        """The spikes; `refuse` takes the options that its emulator does not have."""


def refuse(chip: str, **asked: object) -> None:
    """Options of `emulate` that an emulator does not have keep their defaults.

    Args:
        chip: of the program.
        asked: these options, as they were given.

    Raises:
        BadInput: one of them is not its default.
    """
    given = [f"{name}={value!r}" for name, value in asked.items() if value != DEFAULTS[name]]
    if given:
        raise BadInput(
            f"emulate on chip '{chip}': {', '.join(given)}; its emulator knows no "
            f"{' and no '.join(asked)}, leave that out"
        )


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
    quantize: Quantise
    emulate: Emulate
    dequantize: Callable[[Any], Lowered]
    load: Callable[[Path], ChipProgram]
    notes: Callable[[Any, Chip], tuple[str, ...]] = _no_notes
    compares_membranes: bool = True
