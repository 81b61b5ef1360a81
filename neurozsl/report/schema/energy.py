"""What it costs: joules with their terms and sources, comparisons, and rows of measured chips.

Energies are joules, times seconds, both per inference. A figure that is unknown is None, never 0.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from neurozsl.report.schema.accuracy import Scores
from neurozsl.report.schema.value import Value

Cause = Literal["synapses", "neurons", "routing", "static", "input", "link", "arithmetic", "whole"]
"""What a term pays for; "whole": everything at once, measured or of an all-in figure."""
Interval = Literal["published", "between sources", "unpublished"]


class EnergyTerm(Value):
    """`count` operations times one published figure; low and high as the source has them.

    figure: its key in the chip's file. kind: how the figure came about (measured, simulated,
    fitted, derived, ...).
    """

    name: str
    cause: Cause
    figure: str
    count: float
    joules_each: float
    joules_low: float | None = None
    joules: float
    joules_high: float | None = None
    kind: str
    source: str


class Energy(Value):
    """Joules of one inference on one device by one method, and where the figure comes from.

    joules: the dynamic part (the whole of a measured row, or of an all-in figure); None: the device
    has no published figure to compute it from. joules_low, joules_high: bounds that sources give,
    none is invented; `interval` says whether one source publishes both ("published") or several
    sources of the same chip span them ("between sources"). static_joules: static power x latency
    (for a chip without steps: x the window that it is powered for); None where unpublished.
    powered_s: the time that static power is counted over. step_s: the step that `latency_s` rests
    on. inherited: the per-operation figures belong to another chip. scope: `per_term` (terms add
    up) or `all_in` (static and routing inside). unknown: what costs energy and has no figure.
    estimate False: it was measured. as_if: the chip
    cannot run the network, and is priced as if it did; `warnings` say why.
    """

    device: str
    name: str
    method: str = ""
    joules_low: float | None = None
    joules: float | None
    joules_high: float | None = None
    interval: Interval = "unpublished"
    static_joules_low: float | None = None
    static_joules: float | None = None
    static_joules_high: float | None = None
    powered_s: float | None = None
    step_s: float | None = None
    latency_s: float | None = None
    source: str
    inherited: bool = False
    lower_bound: bool = False
    scope: str = "per_term"
    terms: tuple[EnergyTerm, ...] = ()
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    note: str = ""
    estimate: bool = True
    as_if: bool = False

    @property
    def total_joules(self) -> float | None:
        """Dynamic and static; the dynamic part alone where static power is unpublished."""
        return None if self.joules is None else self.joules + (self.static_joules or 0.0)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        both = self.joules_low is not None and self.joules_high is not None
        if both != (self.interval != "unpublished"):
            raise ValueError(
                f"energy row '{self.device}': interval is called {self.interval}, but the bounds "
                f"are {self.joules_low} and {self.joules_high}; only 'unpublished' goes without two"
            )
        for low, value, high in (
            (self.joules_low, self.joules, self.joules_high),
            (self.static_joules_low, self.static_joules, self.static_joules_high),
        ):
            known = [x for x in (low, value, high) if x is not None]
            if known != sorted(known) or any(x < 0 for x in known):
                raise ValueError(
                    f"energy row '{self.device}': {known} is not 0 <= low <= value <= high"
                )
        return self


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
    """The same job without spikes (an MLP, or the same layers run dense), for comparison."""

    name: str
    description: str
    macs: float
    energy: tuple[Energy, ...] = ()
    accuracy: Scores | None = None


class SignRow(Value):
    """The spiking network on one cost table against the dense pass on another.

    ratio: spiking / dense joules. advantage: the cheaper one; "either" where the interval of the
    ratio (ratio_low..ratio_high, None without an interval) holds 1. break_even_rate: mean spike
    rate of the layers' inputs at which the two cost the same, everything else equal; None where no
    rate does. with_static: static power x latency is in the spiking side. as_if: the chip of the
    spiking side cannot run the network.
    """

    spiking: str
    spiking_joules: float
    dense: str
    dense_joules: float
    with_static: bool
    as_if: bool = False
    ratio_low: float | None = None
    ratio: float = Field(ge=0)
    ratio_high: float | None = None
    advantage: Literal["spiking", "dense", "either"]
    break_even_rate: float | None = None


class StepTime(Value):
    """What the length of a time step does: static power x latency beside the dynamic energy."""

    device: str
    step_s: float
    latency_s: float
    dynamic_joules: float
    static_joules: float


class Comparison(Value):
    """All cost tables side by side; `sentence` says what follows from them."""

    sentence: str
    rows: tuple[SignRow, ...] = ()
    step_times: tuple[StepTime, ...] = ()


class CalibrationRow(Value):
    """A published measurement of a chip, and what our figures give for the same workload.

    quantity: "energy" (J) or "power" (W). figures_from: what the estimate rests on (e.g. the other
    rows of the same table, leaving this one out). low, high: interval of the estimate. check:
    "prediction" where the row had no part in the figures, "consistency" where it had or where only
    a bound is tested. holds: True where the published value agrees as `test` says; None where only
    a ratio is shown.
    """

    device: str
    task: str
    quantity: Literal["energy", "power"]
    published: float
    low: float | None = None
    estimate: float | None
    high: float | None = None
    ratio: float | None = None
    figures_from: str
    test: str
    check: Literal["prediction", "consistency", "none"]
    holds: bool | None = None
    source: str
    note: str = ""
