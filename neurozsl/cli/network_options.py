"""Options of the commands that take a `.nir` file: what the file does not say, and its input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from neurozsl.core.errors import BadInput
from neurozsl.core.shell import words
from neurozsl.export.nir.dialects.words import Discretisation, IfGain
from neurozsl.export.nir.said import TauUnit
from neurozsl.hardware.network.neuron import Compare, Reset

if TYPE_CHECKING:
    from neurozsl.export.network.network_run import Source
    from neurozsl.export.nir.said import Said

GOLDEN_RATE: Final = 0.05  # of golden samples, where the caller gives no input
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of a sample; default 100.")]
Poisson = Annotated[
    float | None,
    typer.Option(
        metavar="RATE", help="Synthetic input instead: spikes per channel and step, 0 to 1."
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Of --poisson; default 0.")]
Samples = Annotated[int | None, typer.Option(min=1, help="Samples of --poisson; default 16.")]
Chip = Annotated[
    str | None, typer.Option(help="Whose integers run: loihi2, loihi1 or speck2f, or a target's.")
]


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What the caller says about the file."""

    dialect: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="Who wrote the file, so what it means: snntorch, spikingjelly, sinabs, norse, "
            "lava, nir; variants such as snntorch:zero. Recognised where the file shows it.",
        ),
    ] = None
    dt: Annotated[float | None, typer.Option(metavar="SECONDS", help="Length of a step.")] = None
    tau_unit: Annotated[TauUnit | None, typer.Option(help="Unit of every time in the file.")] = None
    reset: Annotated[Reset | None, typer.Option(help="What a spike does to the membrane.")] = None
    compare: Annotated[
        Compare | None,
        typer.Option(metavar="[>|>=]", help="Membrane against threshold, in quotes for the shell."),
    ] = None
    max_spikes: Annotated[int | None, typer.Option(help="Spikes of a neuron in a step.")] = None
    lower_bound: Annotated[float | None, typer.Option(help="Lowest membrane, 0 or less.")] = None
    if_gain: Annotated[
        IfGain | None, typer.Option(help="r of an IF: the gain of a step, or times dt.")
    ] = None
    discretisation: Annotated[
        Discretisation | None,
        typer.Option(help="A decay of dt / tau a step, or of 1 - exp(-dt / tau)."),
    ] = None
    steps: Steps = None

    def said(self) -> Said:
        """The same for the library.

        Raises:
            BadInput: a value that no file can have, by the name of its option.
        """
        from neurozsl.export.nir.said import Said

        dt, most, low = self.dt, self.max_spikes, self.lower_bound
        if dt is not None and not 0 < dt < math.inf:
            raise BadInput(f"--dt {dt:g}: expected seconds above 0")
        if most is not None and not 1 <= most <= 255:
            raise BadInput(f"--max-spikes {most}: expected 1..255 spikes of a neuron in a step")
        if low is not None and not -math.inf < low <= 0:
            raise BadInput(f"--lower-bound {low:g}: expected 0 or less")
        return Said(
            dt_s=dt,
            tau_unit=self.tau_unit,
            reset=self.reset,
            compare=self.compare,
            max_spikes=most,
            low=low,
            steps=self.steps,
            dialect=self.dialect,
            if_gain=self.if_gain,
            discretisation=self.discretisation,
        )

    def words(self) -> str:
        """To paste behind a command."""
        return words(vars(self))


Input = Annotated[Path | None, typer.Option(help=".npz or .npy, (batch, time, ...) per input.")]


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Where the input comes from."""

    input: Input = None
    poisson: Poisson = None
    seed: Seed = None

    def source(self, samples: int | None = None, limit: int | None = None) -> Source:
        """The same for the library; samples: of synthetic input, limit: of a file.

        Raises:
            BadInput: a seed beside a file.
        """
        from neurozsl.export.network.network_run import Source

        path, seed = self.input, self.seed
        if seed is not None and path is not None:
            raise BadInput(f"--seed {seed}: belongs to --poisson, and {path} is given; leave out")
        return Source(path, self.poisson, samples, seed or 0, limit)

    def golden(self, samples: int) -> Source:
        """Input of an export: a whole file, else `samples` synthetic ones (at 0.05 by default)."""
        rate = GOLDEN_RATE if self.input is None and self.poisson is None else self.poisson
        asked = InputOptions(input=self.input, poisson=rate, seed=self.seed)
        return asked.source(None if rate is None else samples)

    def words(self, samples: int | None = None) -> str:
        """To paste behind a command."""
        return words({**vars(self), "samples": samples})
