"""What it costs: joules with their terms and sources, and who is cheaper.

Energies are joules, times seconds, both per inference. A figure that is unknown is None, never 0.
"""

from typing import Annotated

from pydantic import AfterValidator

from neurozsl.hardware.energy import EnergyRow, SignRow, StepTime
from neurozsl.report.schema.value import Value


def _bounded(row: EnergyRow) -> EnergyRow:
    both = row.joules_low is not None and row.joules_high is not None
    if both != (row.interval != "unpublished"):
        raise ValueError(
            f"energy row '{row.key}': interval is called {row.interval}, but the bounds are "
            f"{row.joules_low} and {row.joules_high}; only 'unpublished' goes without two"
        )
    for low, value, high in (
        (row.joules_low, row.joules, row.joules_high),
        (row.static_joules_low, row.static_joules, row.static_joules_high),
    ):
        known = [x for x in (low, value, high) if x is not None]
        if known != sorted(known) or any(x < 0 for x in known):
            raise ValueError(f"energy row '{row.key}': {known} is not 0 <= low <= value <= high")
    return row


Energy = Annotated[EnergyRow, AfterValidator(_bounded)]
"""A row of `hardware.energy` whose bounds hold what they say."""


class Host(Value):
    """The part that stays on the host: every weight but those of the motion branch.

    flops, bytes_moved: per inference (torch's flop counter; parameters and activations that the
    operators read and write). link_bytes: codes and thresholds that go to the chip, and spikes that
    come back. encoding_flops: of `flops`, what prepares the chip's input.
    """

    device: str
    motion_backend: str
    flops: float | None = None
    encoding_flops: float | None = None
    bytes_moved: float | None = None
    link_bytes: float | None = None
    energy: tuple[Energy, ...] = ()
    seconds_per_inference: float | None = None


class Baseline(Value):
    """The same job without spikes (the same layers run dense), for comparison."""

    name: str
    description: str
    macs: float
    energy: tuple[Energy, ...] = ()


class Comparison(Value):
    """All cost tables side by side; `sentence` says what follows from them."""

    sentence: str
    rows: tuple[SignRow, ...] = ()
    step_times: tuple[StepTime, ...] = ()
