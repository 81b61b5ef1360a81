"""`--margin`: stop samples early, as a word of the command line; and what it gave, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.cli.console import say, show_table
from neurozsl.cli.option_values import listed
from neurozsl.core import quantities as q
from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.deploy.anytime import Margin
    from neurozsl.deploy.anytime_score import AnytimeScore

_HELP = (
    "Stop every sample once the gap between its two best classes reaches this margin (0..1; inf "
    "never stops), or 'auto' for the margin that validation data choose; counted as used"
)
OneMargin = Annotated[str | None, typer.Option(metavar="M|auto", help=f"{_HELP}.")]
SeveralMargins = Annotated[
    list[str] | None,
    typer.Option("--margin", metavar="M|auto", help=f"{_HELP}; repeatable, or commas between."),
]


def margin_of(text: str) -> Margin:
    """The margin that a word says.

    Raises:
        BadInput: neither a number nor "auto".

    >>> margin_of("0.25"), margin_of("auto"), margin_of("inf")
    (0.25, 'auto', inf)
    """
    if text == "auto":
        return "auto"
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not (0 <= found <= 1 or found == float("inf")):
        raise BadInput(
            f"--margin '{text}': expected a number from 0 to 1 (inf never stops), or auto"
        )
    return found


def margins_of(words: Sequence[str]) -> tuple[Margin, ...]:
    """All margins of a repeated option, commas between.

    >>> margins_of(["0.1,0.2", "auto"])
    (0.1, 0.2, 'auto')
    """
    return tuple(margin_of(word) for text in words for word in listed(text))


def margin_text(threshold: float | None) -> str:
    """A threshold as people read it.

    >>> margin_text(0.12345), margin_text(None)
    ('0.123', 'never')
    """
    return "never" if threshold is None else f"{threshold:.3g}"


def show_margins(rows: Sequence[AnytimeScore]) -> None:
    """One line per margin, and what the chosen one saves."""
    show_table(
        "samples stopped at a margin, counted as used",
        ("margin", "chosen", "S", "U", "HM", "ZSL", "mean steps", "SynOps", "saved"),
        [
            (
                margin_text(x.threshold) + (f" from step {x.min_steps}" if x.min_steps > 1 else ""),
                "given" if x.validated is None else "on validation",
                *(f"{getattr(x, key):.2f}" for key in ("S", "U", "HM", "ZSL")),
                f"{x.mean_steps:.2f} of {x.steps}",
                q.count(x.synops),
                q.share(x.saved),
            )
            for x in rows
        ],
    )
    for x in rows:
        if x.validated is not None:
            say(chosen_text(x))
    say("The host prepares and finishes a sample once per step; that work is not in these counts.")


def chosen_text(x: AnytimeScore) -> str:
    """What the margin that validation data chose costs and saves."""
    assert x.validated is not None
    v = x.validated
    allowed = f"at most {v.max_loss:g} points of HM on validation data"
    if x.threshold is None:
        return f"auto: no margin costs {allowed}; no sample is stopped before its last step"
    return (
        f"auto: {margin_text(x.threshold)} from step {x.min_steps} on costs {allowed} "
        f"({v.full_HM:.2f} to {v.HM:.2f}); on the test it saves "
        f"{q.share(x.saved)} of the SynOps, HM {q.points(-x.loss)}"
    )
