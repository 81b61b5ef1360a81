"""The table of arithmetics, and the entry of a chip or of a program."""

from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.hardware.arithmetic.base import Arithmetic
from neurozsl.hardware.arithmetic.loihi import LOIHI
from neurozsl.hardware.arithmetic.speck import SPECK
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.network.program import ChipProgram

ARITHMETICS: Final[dict[str, Arithmetic]] = {one.key: one for one in (LOIHI, SPECK)}


def of_chip(chip: Chip) -> Arithmetic:
    """The arithmetic of a chip.

    Raises:
        BadInput: the chip has none, or one that is not in the table.
    """
    if chip.arithmetic not in ARITHMETICS:
        *some, last = [key for one in ARITHMETICS.values() for key in one.chips]
        raise BadInput(
            f"chip '{chip.key}': has {chip.arithmetic or 'figures of energy only'}, programs are "
            f"made for {' and '.join(ARITHMETICS)}; choose {', '.join(some)} or {last}"
        )
    return ARITHMETICS[chip.arithmetic]


def of_program(program: ChipProgram) -> Arithmetic:
    """The arithmetic of a program's integers."""
    return ARITHMETICS[program.arithmetic]


def load_program(path: Path, chip: str) -> ChipProgram:
    """The integers in a file, in the arithmetic of their chip."""
    return of_chip(load_chip(chip)).load(path)


def notes(program: ChipProgram) -> tuple[str, ...]:
    """What the rules of its chip allow and a user of it has to know all the same."""
    return of_program(program).notes(program, load_chip(program.chip))
