"""Who is cheaper: the spiking network on every cost table against one dense pass on every other.

    ratio = (joules + static) of the spiking row / joules of the dense row

The break-even rate is the mean rate of the layers' inputs at which the two cost the same, all else
equal. Terms of events (synaptic operations, spikes, messages, hops) grow in proportion to it;
neuron updates and static power do not::

    break-even = rate * (dense - neuron updates - static) / event terms

None where no rate in (0, 1] does: then whoever `ratio` favours is the cheaper one at every rate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from neurozsl.hardware.chips import DEFAULT_CHIPS
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy.estimates import estimate
from neurozsl.hardware.energy.row import EnergyRow
from neurozsl.hardware.energy.tables import ANCHOR, FAMILY

Advantage = Literal["spiking", "dense", "either"]
STEP_LENGTHS_S = (1e-5, 1e-4, 1e-3)


@dataclass(frozen=True)
class SignRow:
    """One pair of cost tables, by the keys of their rows; see the module.

    with_static: static power x latency is in the spiking side. Bounds are None where neither has an
    interval.
    """

    spiking: str
    spiking_joules: float
    dense: str
    dense_joules: float
    with_static: bool
    ratio_low: float | None
    ratio: float
    ratio_high: float | None
    advantage: Advantage
    break_even_rate: float | None


@dataclass(frozen=True)
class StepTime:
    """Static power x latency beside the dynamic energy at one length of a step."""

    device: str
    name: str
    step_s: float
    latency_s: float
    dynamic_joules: float
    static_joules: float


def compare(counts: Counts, rows: Iterable[EnergyRow]) -> tuple[SignRow, ...]:
    """Every spiking cost table of `rows` against every dense one, without and with static power.

    Rows of families and anchors stay out: their sources are compared one by one, and an anchor
    holds no figure of this network. Of a chip with several methods the first one counts, so that
    Speck is there once. Tables of bare arithmetic are compared in one number format alone: int8
    additions against fp32 products would credit the spikes with the narrower numbers.
    """
    rows = tuple(rows)
    rate = mean_input_rate(counts)
    return tuple(
        _sign(spiking, dense, static, rate)
        for spiking in spiking_rows(rows)
        for static in with_static(spiking)
        for dense in rivals(spiking, rows)
        if dense.joules > 0
    )


def rivals(spiking: EnergyRow, rows: Iterable[EnergyRow]) -> tuple[EnergyRow, ...]:
    """The dense rows among `rows` that a spiking one of them may be compared with."""
    rows = tuple(rows)
    arithmetic = {row.device for row in rows if row.method == "event_driven"}

    def fair(dense: EnergyRow) -> bool:
        formats = {spiking.device, dense.device}
        return len(formats) == 1 or not formats <= arithmetic

    return tuple(row for row in rows if row.method == "dense_pass" and fair(row))


def spiking_rows(rows: Iterable[EnergyRow]) -> tuple[EnergyRow, ...]:
    """Those that grow with a spiking run's counts, one per chip."""
    methods: dict[str, EnergyRow] = {}
    for row in rows:
        if row.method not in ("dense_pass", FAMILY, ANCHOR):
            methods.setdefault(row.device, row)
    return tuple(methods.values())


def with_static(row: EnergyRow) -> tuple[bool, ...]:
    """Whether static power counts, in each way to compare a spiking row.

    An all-in figure holds static power, whether one asks for it or not.
    """
    if row.scope == "all_in":
        return (True,)
    return (False,) if row.static_joules is None else (False, True)


def _sign(spiking: EnergyRow, dense: EnergyRow, static: bool, rate: float | None) -> SignRow:
    low, value, high = _span(spiking, static)
    dense_low, _, dense_high = _span(dense, False)
    ratio = value / dense.joules
    ratio_low = ratio_high = None
    if (low, dense_low) != (value, dense.joules) or (high, dense_high) != (value, dense.joules):
        ratio_low, ratio_high = low / dense_high, high / dense_low
    return SignRow(
        spiking=spiking.key,
        spiking_joules=value,
        dense=dense.key,
        dense_joules=dense.joules,
        with_static=static,
        ratio_low=ratio_low,
        ratio=ratio,
        ratio_high=ratio_high,
        advantage=_advantage(
            ratio if ratio_low is None else ratio_low, ratio if ratio_high is None else ratio_high
        ),
        break_even_rate=_break_even(spiking, dense, value, rate),
    )


def _span(row: EnergyRow, static: bool) -> tuple[float, float, float]:
    """Low, value and high; the value where a part of the sum has no published bound."""
    low, high = row.span
    if not static or row.static_joules is None:
        return low, row.joules, high
    rest = row.static_joules
    low += rest if row.static_joules_low is None else row.static_joules_low
    high += rest if row.static_joules_high is None else row.static_joules_high
    return low, row.joules + rest, high


def _advantage(low: float, high: float) -> Advantage:
    if high < 1:
        return "spiking"
    return "dense" if low > 1 else "either"


def _break_even(
    spiking: EnergyRow, dense: EnergyRow, joules: float, rate: float | None
) -> float | None:
    if not rate or not spiking.event_joules:
        return None
    fixed = joules - spiking.event_joules
    found = rate * (dense.joules - fixed) / spiking.event_joules
    return found if 0 < found <= 1 else None


def mean_input_rate(counts: Counts) -> float | None:
    """Mean rate of the layers' inputs, each weighted by its fan-out; None where nothing is joined.

    Synaptic operations done / those of inputs with an event in every step, zero weights left out
    of both. Behind a pool the inputs are the spikes that it merges.
    """
    most = counts.total("most_synops")
    return counts.total("synops") / most if most else None


def step_times(
    counts: Counts,
    chips: Sequence[str | Chip] = DEFAULT_CHIPS,
    *,
    lengths_s: Sequence[float] = (),
    window_s: float | None = None,
) -> tuple[StepTime, ...]:
    """What the length of a step does on every chip whose static power is published.

    Lengths: 10 us, 100 us, 1 ms, the chip's own figure with its low end, and `lengths_s`. A chip
    without steps is powered for steps x length, the window of its input; where that is known
    (window_s), its own length is among them.
    """
    steps, found = counts.ran, []
    for chip in (load_chip(c) if isinstance(c, str) else c for c in chips):
        if "static_chip" not in chip.power or not chip.energy_methods:
            continue
        own = chip.time.get("step")
        published = () if own is None else tuple(x for x in (own.low, own.value) if x is not None)
        if chip.time_model == "asynchronous" and window_s is not None:
            published = (window_s / max(steps, 1),)
        for length in sorted({*STEP_LENGTHS_S, *published, *lengths_s}):
            row = estimate(counts, chip, step_s=length)
            if row.static_joules is None:
                break  # one dense pass takes no steps
            found.append(
                StepTime(chip.key, chip.name, length, steps * length, row.joules, row.static_joules)
            )
    return tuple(found)
