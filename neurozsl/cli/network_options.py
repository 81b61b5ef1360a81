"""Options of the commands that take a `.nir` file: what the file does not say, and its input.

An argument is a file of a network (its suffix is `.nir`, or it is a file), or a folder: a run or a
bundle. Options that belong to one of the two are refused with the other.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.export.network.network_run import Source
    from neurozsl.export.nir.foreign import Said


class Unit(StrEnum):
    """The units that `--tau-unit` accepts."""

    s = "s"
    ms = "ms"
    us = "us"


class AtSpike(StrEnum):
    """The resets that `--reset` accepts."""

    zero = "zero"
    subtract = "subtract"


class Comparison(StrEnum):
    """The comparisons that `--compare` accepts."""

    above = ">"
    reached = ">="


PANEL: Final = "A .nir file"
Dt = Annotated[
    float | None,
    typer.Option("--dt", metavar="SECONDS", help="Length of a step.", rich_help_panel=PANEL),
]
TauUnit = Annotated[
    Unit | None,
    typer.Option("--tau-unit", help="Unit of every time in the file.", rich_help_panel=PANEL),
]
Reset = Annotated[
    AtSpike | None,
    typer.Option("--reset", help="What a spike does to the membrane.", rich_help_panel=PANEL),
]
Compare = Annotated[
    Comparison | None,
    typer.Option(
        "--compare",
        metavar="[>|>=]",
        help="Membrane against threshold, in quotes for the shell.",
        rich_help_panel=PANEL,
    ),
]
MaxSpikes = Annotated[
    int | None,
    typer.Option("--max-spikes", help="Spikes of a neuron in a step.", rich_help_panel=PANEL),
]
LowerBound = Annotated[
    float | None,
    typer.Option("--lower-bound", help="Lowest membrane, 0 or less.", rich_help_panel=PANEL),
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", min=1, help="Steps of a sample; default 100.", rich_help_panel=PANEL),
]
Input = Annotated[
    Path | None,
    typer.Option(
        "--input", help=".npz or .npy, (batch, time, ...) per input.", rich_help_panel=PANEL
    ),
]
Poisson = Annotated[
    float | None,
    typer.Option(
        "--poisson",
        metavar="RATE",
        help="Synthetic input instead: spikes per channel and step, 0 to 1.",
        rich_help_panel=PANEL,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples", min=1, help="Samples of --poisson; default 16.", rich_help_panel=PANEL
    ),
]
Chip = Annotated[
    str | None,
    typer.Option(
        "--chip",
        help="Whose integers run: loihi2, loihi1 or speck2f.",
        rich_help_panel=PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Of --poisson; default 0.", rich_help_panel=PANEL),
]

GOLDEN_RATE: Final = 0.05  # of golden samples, where the caller gives no input
SAYS: Final[Mapping[str, str]] = {
    "dt": "--dt",
    "tau_unit": "--tau-unit",
    "reset": "--reset",
    "compare": "--compare",
    "max_spikes": "--max-spikes",
    "lower_bound": "--lower-bound",
    "steps": "--steps",
}
FEEDS: Final[Mapping[str, str]] = {
    "input_path": "--input",
    "poisson": "--poisson",
    "samples": "--samples",
    "seed": "--seed",
}


def is_network(path: Path) -> bool:
    """True for the file of a network, False for the folder of a run or a bundle."""
    return path.is_file() or (path.suffix == ".nir" and not path.is_dir())


def given(context: typer.Context, names: Mapping[str, str]) -> list[str]:
    """Options, as written, that the command line holds."""
    found = []
    for name, option in names.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            found.append(option)
    return found


def refuse(context: typer.Context, names: Mapping[str, str], reason: str) -> None:
    """An error that names every given option that does not belong here.

    Raises:
        BadInput: with `reason` after the options.
    """
    found = given(context, names)
    if found:
        raise BadInput(f"{', '.join(found)}: {reason}")


def refuse_for_folder(context: typer.Context, folder: Path) -> None:
    """Options of a file with a run or a bundle.

    Raises:
        BadInput: names them.
    """
    names = {**SAYS, **FEEDS, "chip": "--chip"}
    if context.command.name == "export":
        del names["samples"]  # golden samples of a run as well
    if context.command.name == "simulate":
        names["out"] = "--out"
    refuse(context, names, f"only with a .nir file, and {folder} is none; leave out")


def said(
    dt: float | None,
    tau_unit: Unit | None,
    reset: AtSpike | None,
    compare: Comparison | None,
    max_spikes: int | None,
    lower_bound: float | None,
    steps: int | None,
) -> Said:
    """What the options say about the file.

    Raises:
        BadInput: a value that no file can have, by the name of its option.
    """
    from neurozsl.export.nir.foreign import Said

    if dt is not None and not 0 < dt < math.inf:
        raise BadInput(f"--dt {dt:g}: expected seconds above 0")
    if max_spikes is not None and not 1 <= max_spikes <= 255:
        raise BadInput(f"--max-spikes {max_spikes}: expected 1..255 spikes of a neuron in a step")
    if lower_bound is not None and not -math.inf < lower_bound <= 0:
        raise BadInput(f"--lower-bound {lower_bound:g}: expected 0 or less")

    return Said(
        dt_s=dt,
        tau_unit=_plain(tau_unit),
        reset=_plain(reset),
        compare=_plain(compare),
        max_spikes=max_spikes,
        low=lower_bound,
        steps=steps,
    )


def source(
    input_path: Path | None,
    poisson: float | None,
    samples: int | None,
    seed: int | None,
    limit: int | None = None,
) -> Source:
    """Where the options take the input from.

    Raises:
        BadInput: a seed beside a file.
    """
    from neurozsl.export.network.network_run import Source

    if seed is not None and input_path is not None:
        raise BadInput(f"--seed {seed}: belongs to --poisson, and {input_path} is given; leave out")
    return Source(path=input_path, rate=poisson, samples=samples, seed=seed or 0, limit=limit)


def golden_source(
    input_path: Path | None, poisson: float | None, samples: int, seed: int | None
) -> Source:
    """Input of an export: a whole file, else `samples` synthetic ones (at 0.05 by default)."""
    if input_path is None and poisson is None:
        poisson = GOLDEN_RATE
    return source(input_path, poisson, None if poisson is None else samples, seed)


def call(command: str, file: Path, options: str = "") -> str:
    """A command on a file, quoted for the shell, to paste."""
    return f"neurozsl {command} {shlex.quote(str(file))}{options}"


def again(context: typer.Context, *, feeds: bool = True) -> str:
    """The options about the file (and its input) as they were given, to paste behind a command."""
    names = {**SAYS, **(FEEDS if feeds else {})}
    words = []
    for name, option in names.items():
        if given(context, {name: option}):
            words += [option, shlex.quote(str(_plain(context.params[name])))]
    return "".join(f" {word}" for word in words)


def _plain(value: Any) -> Any:
    """The text of a choice; other values as they are."""
    return value.value if isinstance(value, StrEnum) else value
