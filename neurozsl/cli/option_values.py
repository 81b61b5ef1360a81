"""Values of options as they stand on the command line: lists with commas, `key=value` pairs."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neurozsl.cli.bounds import check_count
from neurozsl.core.errors import BadInput

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Preset = Literal["clean", "default", "noisy"]  # of a camera
Hop = Annotated[
    float | None,
    typer.Option(
        help="Distance of windows, s. Clips: default 1; recordings: with --seconds, default one "
        "window."
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        help="Processes of this machine, one thread each; more than 1 needs neurozsl\\[cluster]."
    ),
]
Scheduler = Annotated[
    str,
    typer.Option(help="Address of your Dask scheduler, tcp://HOST:8786: its workers do the work."),
]
Data = Annotated[
    Path | None, typer.Option(help="Data set of the run, where it does not lie where it was.")
]


def listed(text: str) -> tuple[str, ...]:
    """Words between commas.

    >>> listed("lava, speck,")
    ('lava', 'speck')
    """
    return tuple(x.strip() for x in text.split(",") if x.strip())


def numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers between commas.

    Raises:
        BadInput: one of them is none; it names the option `name`.
    """
    try:
        return tuple(check_count(name, int(x)) for x in listed(text))
    except ValueError as error:
        raise BadInput(f"{name} '{text}': expected whole numbers, commas between") from error


def decimals(name: str, text: str) -> tuple[float, ...]:
    """Numbers between commas.

    Raises:
        BadInput: one of them is none; it names the option `name`.

    >>> decimals("--densities", "1,0.05")
    (1.0, 0.05)
    """
    try:
        found = tuple(float(x) for x in listed(text))
    except ValueError as error:
        raise BadInput(f"{name} '{text}': expected numbers, commas between") from error
    if any(math.isnan(x) for x in found):
        raise BadInput(f"{name} '{text}': nan is no number")
    return found


def widths(name: str, text: str) -> tuple[tuple[int, ...], ...]:
    """Networks between commas, each the widths of its layers with hyphens between.

    Raises:
        BadInput: one of them is none; it names the option `name`.

    >>> widths("--widths", "256-128-64,64-64")
    ((256, 128, 64), (64, 64))
    """
    try:
        return tuple(
            tuple(check_count(name, int(x)) for x in one.split("-")) for one in listed(text)
        )
    except ValueError as error:
        raise BadInput(
            f"{name} '{text}': expected widths of layers such as 256-128-64, commas between"
        ) from error


def parse_options(pairs: list[str], name: str = "--set") -> dict[str, Any]:
    """Read `key=value` pairs; values are JSON where they parse as JSON, text otherwise.

    >>> parse_options(["heads=4", "gate=tokens", "motion=false", "motion_widths=[128,64]"])
    {'heads': 4, 'gate': 'tokens', 'motion': False, 'motion_widths': [128, 64]}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            example = "motion=false" if name == "--set" else "sampler=weighted"
            raise BadInput(f"{name} '{pair}': expected key=value, for example {name} {example}")
        try:
            options[key] = json.loads(text)
        except ValueError:
            options[key] = text
        except RecursionError as error:
            raise BadInput(f"{name} '{key}': lists nest too deep; give plain values") from error
    return options


def per_model(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """`MODEL.key=value` pairs, by model.

    Raises:
        BadInput: a pair names no model.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in parse_options(pairs).items():
        model, dot, key = name.partition(".")
        if not dot or not key:
            raise BadInput(f"--set '{name}=...': expected MODEL.key=value, say mdft.hidden=64")
        found.setdefault(model, {})[key] = value
    return found
