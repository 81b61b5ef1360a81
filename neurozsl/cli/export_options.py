"""What every export takes, and what it hands back to `neurozsl export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.core.errors import BadInput
from neurozsl.hardware.loihi.scales import ScaleRule

if TYPE_CHECKING:
    from neurozsl.export.bundle.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What every export takes; None of bits and rule leaves the choice to the exported thing."""

    target: Annotated[str, typer.Option(help="Target (`neurozsl targets`), or its chip.")]
    bits: Annotated[
        int | None,
        typer.Option(help="Weight bits of integer targets, 4 to 8; default 8, or as fine-tuned."),
    ] = None
    scale_rule: Annotated[
        ScaleRule | None,
        typer.Option(help="Largest weight of a layer's grid; default max, or as fine-tuned."),
    ] = None
    samples: Annotated[int, typer.Option(min=1, help="Golden samples to verify on.")] = 16
    out: Annotated[
        Path | None,
        typer.Option(help="Bundle folder; default RUN/deploy/TARGET or FILE.deploy/TARGET."),
    ] = None

    def __post_init__(self) -> None:
        if self.bits is not None and not 4 <= self.bits <= 8:  # float targets would not look
            raise BadInput(f"--bits {self.bits}: weights have 4 to 8 bits; leave it out for 8")


@dataclass(frozen=True)
class Exported:
    """A bundle. on_host: spiking parts that stay there. commands: what can follow."""

    bundle: Path
    manifest: Manifest
    commands: tuple[str, ...]
    on_host: tuple[str, ...] = ()
