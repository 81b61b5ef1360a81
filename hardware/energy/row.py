"""What an energy estimate is: a row per device and method, and the terms that it is the sum of."""

from dataclasses import dataclass
from typing import Literal, Protocol

from neurozsl.hardware.chips.figures import Figure
from neurozsl.hardware.chips.keys import ENERGY, Cause
from neurozsl.hardware.chips.rules import Scope

Interval = Literal["published", "between sources", "unpublished"]


class SpikeMessages(Protocol):
    """Spike messages of one inference after placement; None where it is not known.

    messages: one per spike and destination core. hops_ew, hops_ns: steps between tiles, east-west
    and north-south, over all messages. input_messages: those that bring the input into the chip.
    """

    @property
    def messages(self) -> float | None: ...
    @property
    def hops_ew(self) -> float | None: ...
    @property
    def hops_ns(self) -> float | None: ...
    @property
    def input_messages(self) -> float | None: ...


@dataclass(frozen=True, kw_only=True)
class EnergyTerm:
    """count operations x one figure; low and high as published, kind as the figure came about."""

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


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """Dynamic energy of one inference on one device, by one method.

    device: key of the chip, or of the family that several cost tables describe. key: of the row,
    unique among those of one estimate. joules_low, joules_high: None where the source publishes a
    point only. static_joules: static power x the time that the chip is powered for, None where
    unpublished or inside an all-in figure. powered_s: that time. step_s: what latency_s rests on,
    None without steps.
    inherited: another chip's figures stand in. lower_bound: a figure is published as a minimum, or
    terms that cost energy are missing. excluded: left out of this row; unknown: costs energy and
    nobody has published a figure. warnings: results that measured chips contradict, and why the
    chip cannot run the network where `as_if` says that it is priced as if it did. estimate False:
    it was measured.
    """

    device: str
    key: str
    name: str
    method: str = ""
    scope: Scope = "per_term"
    joules_low: float | None = None
    joules: float
    joules_high: float | None = None
    interval: Interval = "unpublished"
    static_joules_low: float | None = None
    static_joules: float | None = None
    static_joules_high: float | None = None
    powered_s: float | None = None
    step_s: float | None = None
    latency_s: float | None = None
    latency_note: str = ""
    terms: tuple[EnergyTerm, ...] = ()
    source: str
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    inherited: bool = False
    lower_bound: bool = False
    warnings: tuple[str, ...] = ()
    note: str = ""
    as_if: bool = False
    estimate: bool = True

    @property
    def total_joules(self) -> float:
        """Dynamic plus static energy (dynamic alone where static is unpublished)."""
        return self.joules + (self.static_joules or 0.0)

    @property
    def span(self) -> tuple[float, float]:
        """Both bounds of the dynamic energy; the value itself where one is unpublished."""
        low = self.joules if self.joules_low is None else self.joules_low
        return low, self.joules if self.joules_high is None else self.joules_high

    @property
    def event_joules(self) -> float:
        """The part that grows with the number of events: all but neuron updates."""
        return sum(term.joules for term in self.terms if term.cause != "neurons")


def term(
    name: str, key: str, number: float, figure: Figure, cause: Cause | None = None
) -> EnergyTerm:
    """`number` operations at a figure of a chip, whose key says what they pay for by default."""
    cause = cause or ENERGY[key].cause
    assert cause is not None  # only the error of a model has none, and no method counts by it
    low, joules, high = figure.times(number)
    return EnergyTerm(
        name=name,
        cause=cause,
        figure=key,
        count=number,
        joules_each=figure.value,
        joules_low=low,
        joules=joules,
        joules_high=high,
        kind=figure.kind,
        source=figure.source,
    )
