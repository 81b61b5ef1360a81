"""What the small commands behind `neurozsl profile` share: the chips that price, and their work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from neurozsl.core.errors import BadInput
from neurozsl.core.shell import words

if TYPE_CHECKING:
    from neurozsl.hardware.chips.chip import Chip
    from neurozsl.report.schema import Report

Work: TypeAlias = "Callable[[], tuple[Report, tuple[str, ...]]]"
"""What is left once everything was checked: gives the report, and the commands that can follow."""


@dataclass(frozen=True, kw_only=True)
class PriceOptions:
    """Which chips are priced."""

    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Further energy rows: a device file of your own (x.toml), or a chip that is not "
            "priced by default; repeatable."
        ),
    ] = None
    step_time: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of a step on the chips, for static power; default each chip's own.",
        ),
    ] = None

    def chips(self) -> tuple[Chip, ...]:
        """The further chips.

        Raises:
            BadInput: a file is missing or holds an invalid figure, there is no such chip, or a step
                has no such length.
        """
        from neurozsl.export.targets.names import chip_called
        from neurozsl.hardware.chips.chip import find_chip, is_file_name

        if self.step_time is not None and not 0 < self.step_time < 1e3:
            raise BadInput(f"--step-time {self.step_time:g}: expected above 0 s and below 1000 s")
        own = ", or give the path of a TOML file of your own (ending in .toml)"
        return tuple(
            find_chip(name if is_file_name(name) else chip_called(name, own))
            for name in self.device or ()
        )

    def words(self) -> str:
        """To paste behind a command."""
        return words(vars(self))
