"""`neurozsl profile --layers`: dense layers that nobody has trained, before there is a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from neurozsl.cli.network_options import Steps
from neurozsl.cli.profile_options import PriceOptions, Work
from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.report.schema import Report

STEPS: Final = 10  # where --steps says nothing


def profile_layers(
    *,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="512-512-512",
            help="Instead of WHAT: estimate dense layers of these widths (input first) at --rate, "
            "before there is a network.",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Spikes per channel or neuron and step, 0 to 1.")
    ] = None,
    steps: Steps = None,
    prices: PriceOptions,
) -> Work:
    """Counts by arithmetic, joules from tables.

    Raises:
        BadInput: widths or rate are none.
    """
    from neurozsl.report.sections.uniform import report_of_sizes

    assert layers is not None  # what makes it this command
    sizes, chips = _sizes(layers), prices.chips()
    if rate is None:
        raise BadInput(f"--layers {layers}: needs --rate, spikes per neuron and step, e.g. 0.05")
    number = STEPS if steps is None else steps
    again = f"neurozsl profile --layers {layers} --rate {rate!r} --steps {number}{prices.words()}"

    def work() -> tuple[Report, tuple[str, ...]]:
        report = report_of_sizes(
            sizes, rate, number, command=again, devices=chips, step_s=prices.step_time
        )
        return report, (f"{again} --report estimate.html",)

    return work


def _sizes(layers: str) -> tuple[int, ...]:
    """Widths between hyphens.

    Raises:
        BadInput: one of them is no whole number.
    """
    words = layers.split("-")
    if not all(word.isascii() and word.isdigit() for word in words):
        raise BadInput(
            f"--layers {layers}: expected whole numbers between hyphens, the input's width first, "
            "e.g. 512-512-64"
        )
    return tuple(map(int, words))
