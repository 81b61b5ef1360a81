"""`Calibration`: one published figure of a chip and our estimate of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.chips.figures import Figure

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Calibration:
    """One published figure of a chip and our estimate of it.

    quantity: "energy" in joules per inference, or "power" in watts. low, high: interval of the
    estimate; None where there is none. ratio: estimate / published. figures_from: what the
    estimate rests on. check: "prediction" where the row had no part in the figures, "consistency"
    where it had (a fit to it, a range set around it) or where only a bound is tested, "none" where
    nothing is. holds: the published value agrees as `test` says; None where nothing is tested.
    """

    device: str
    task: str
    quantity: Literal["energy", "power"]
    published: float
    low: float | None
    estimate: float | None
    high: float | None
    ratio: float | None
    figures_from: str
    test: str
    check: Literal["prediction", "consistency", "none"]
    holds: bool | None
    source: str
    note: str = ""


def bounds(chip: Chip, name: str, figure: Figure) -> tuple[float, float]:
    """Both bounds of a figure.

    Raises:
        BadInput: one of them is unpublished.
    """
    if figure.low is None or figure.high is None:
        raise BadInput(
            f"chip '{chip.key}': {name} has low {figure.low} and high {figure.high}, a calibration "
            "needs both; add them to the chip's file with their source"
        )
    return figure.low, figure.high


def checked(
    chip: Chip,
    row: Row,
    quantity: Literal["energy", "power"],
    published: float,
    *,
    figures_from: str,
    test: str,
    task: str | None = None,
    low: float | None = None,
    estimate: float | None = None,
    high: float | None = None,
    holds: bool | None = None,
    predicts: bool = False,
    note: str = "",
) -> Calibration:
    """One row of a chip's file beside the estimate; holds is None where nothing is tested."""
    tested: Literal["prediction", "consistency"] = "prediction" if predicts else "consistency"
    return Calibration(
        device=chip.key,
        task=task or str(row["task"]),
        quantity=quantity,
        published=published,
        low=low,
        estimate=estimate,
        high=high,
        ratio=None if estimate is None else estimate / published,
        figures_from=figures_from,
        test=test,
        check="none" if holds is None else tested,
        holds=holds,
        source=str(row["source"]),
        note=note,
    )
