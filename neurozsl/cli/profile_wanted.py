"""How `neurozsl profile` shall profile: its options as one value."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurozsl.export.network.network_run import Source
    from neurozsl.export.nir.foreign import Said
    from neurozsl.hardware.chips.chip import Chip


@dataclass(frozen=True)
class Wanted:
    """The options that say how to profile.

    devices: files of the user's own chips. step_s: length of a step on the chips. said, source:
    of a `.nir` file, asked for only where there is one. asked: its options as given.
    """

    bundle: Path | None
    devices: tuple[Path, ...]
    step_s: float | None
    clips: Path | None
    said: Callable[[], Said]
    source: Callable[[], Source]
    chip: str | None
    asked: str

    def chips(self) -> tuple[Chip, ...]:
        """The user's chips.

        Raises:
            BadInput: a file is missing or holds an invalid figure, or there is no such chip.
        """
        from neurozsl.hardware.chips.chip import find_chip

        return tuple(find_chip(str(path)) for path in self.devices)

    def words(self) -> str:
        """The options about devices, to paste behind a command."""
        words = [f" --device {shlex.quote(str(path))}" for path in self.devices]
        words += [] if self.step_s is None else [f" --step-time {self.step_s!r}"]
        return "".join(words)
