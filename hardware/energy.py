"""First energy estimate per inference: counts x published figures, each with its source.

    joules = sum over terms of (count x joules per operation)            dynamic energy
    static_joules = static power x latency                               a line of its own

How the figures of a chip are used is its `energy_methods`:

    per_term      synaptic operations, neuron updates (active, inactive), spikes out, messages
    per_spike     dynamic energy per spike, all its synaptic operations inside (Speck)
    per_synop     synaptic operations alone (Speck, derived bracket)
    event_driven  Effective_ACs x AC + Effective_MACs x MAC (arithmetic only)
    dense_pass    one pass of the same layers as an artificial network: Dense / steps x MAC

Bounds: low and high exist only where every term's source publishes them (or a relative error of
its model); otherwise they are None and `interval` is "unpublished". Nothing is ever added to a
figure of scope `all_in`. Loihi 2 has no published energies per operation: its row uses those of
Loihi 1 and is marked `inherited`.

Not counted by any method: the host, the input encoder, off-chip input, and learning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from neurozsl.errors import BadInput
from neurozsl.hardware.chip import Chip, EnergyMethod, Figure, Scope, load_chip
from neurozsl.hardware.counts import Counts

DEFAULT_CHIPS: Final = (
    "loihi1",
    "loihi1_sanafe",
    "loihi2",
    "speck2f",
    "cmos45_fp32",
    "cmos45_int8",
)
Interval = Literal["published", "unpublished"]


@dataclass(frozen=True)
class EnergyTerm:
    """count operations x one figure; low and high as published."""

    name: str
    figure: str
    count: float
    joules_each: float
    joules_low: float | None
    joules: float
    joules_high: float | None
    source: str


@dataclass(frozen=True)
class EnergyRow:
    """Dynamic energy of one inference on one device, by one method.

    joules_low, joules_high: None where the source publishes a point only.
    static_joules: static power x latency, None where unpublished or inside an all-in figure.
    inherited: another chip's figures stand in. lower_bound: a figure is published as a minimum,
    or terms that cost energy are missing. warnings: results that measured chips contradict.
    """

    device: str
    name: str
    method: EnergyMethod
    scope: Scope
    joules_low: float | None
    joules: float
    joules_high: float | None
    interval: Interval
    static_joules_low: float | None
    static_joules: float | None
    static_joules_high: float | None
    latency_s: float | None
    latency_note: str
    terms: tuple[EnergyTerm, ...]
    source: str
    included: tuple[str, ...]
    excluded: tuple[str, ...]
    inherited: bool
    lower_bound: bool
    warnings: tuple[str, ...]

    @property
    def total_joules(self) -> float:
        """Dynamic plus static energy (dynamic alone where static is unpublished)."""
        return self.joules + (self.static_joules or 0.0)


def estimate(
    counts: Counts,
    chip: Chip | str,
    *,
    steps: int | None = None,
    step_s: float | None = None,
    method: EnergyMethod | None = None,
) -> EnergyRow:
    """Energy of one inference on one chip.

    Args:
        counts: of one inference (means over samples).
        chip: the chip or its key.
        steps: time steps that the chip takes; default those of the counts.
        step_s: length of a step in seconds; default the figure of the chip. For a chip without
            steps (Speck), the length of the window that it is powered for is steps x step_s.
        method: one of the chip's `energy_methods`; default its first.

    Raises:
        BadInput: the chip has no energy method, or not this one.
    """
    chip = load_chip(chip) if isinstance(chip, str) else chip
    figures = load_chip(chip.inherits_energy).energy if chip.inherits_energy else chip.energy
    # Synaptic operations alone are what much of the literature reports, so any chip may be asked.
    known = chip.energy_methods + (("per_synop",) if "synop" in figures else ())
    if not known or (method is not None and method not in known):
        raise BadInput(
            f"chip '{chip.key}': no energy method {method or ''}; it has "
            f"{', '.join(dict.fromkeys(known)) or 'none'}"
        )
    method = method or known[0]
    steps = counts.steps if steps is None else steps
    terms, included, excluded = _METHODS[method](counts, figures)
    if not terms:
        raise BadInput(f"chip '{chip.key}': publishes no figure that method {method} needs")
    if chip.scope == "all_in":  # one figure holds everything: a second term would count it twice
        terms, included = terms[:1], included[:1]
    low, high = _bounds(terms, figures)
    latency, note = _latency(chip, len(counts.layers), steps, step_s)
    powered = steps * step_s if chip.time_model == "asynchronous" and step_s else latency
    static = _static(chip, powered)
    row = EnergyRow(
        device=chip.key,
        name=chip.name + (" (inherited: Loihi 1 constants)" if chip.inherits_energy else ""),
        method=method,
        scope=chip.scope,
        joules_low=low,
        joules=sum(term.joules for term in terms),
        joules_high=high,
        interval="unpublished" if low is None or high is None else "published",
        static_joules_low=static[0],
        static_joules=static[1],
        static_joules_high=static[2],
        latency_s=latency,
        latency_note=note,
        terms=terms,
        source=_source(chip, terms),
        included=included + (("static power x latency, own line",) if static[1] else ()),
        excluded=excluded + _static_excluded(chip),
        inherited=bool(chip.inherits_energy),
        lower_bound=_is_lower_bound(method, terms, figures),
        warnings=(),
    )
    return replace(row, warnings=_warnings(row, chip, counts, powered))


def estimate_all(
    counts: Counts,
    chips: tuple[str, ...] = DEFAULT_CHIPS,
    *,
    steps: int | None = None,
    step_s: Mapping[str, float] | None = None,
) -> tuple[EnergyRow, ...]:
    """One row per chip and method; step_s per chip key where it is not the chip's own."""
    paces = step_s or {}
    return tuple(
        estimate(counts, chip, steps=steps, step_s=paces.get(chip.key), method=method)
        for chip in map(load_chip, chips)
        for method in chip.energy_methods
    )


# --- methods: counts and figures -> terms, included, excluded ---------------------------------

_Terms = tuple[tuple[EnergyTerm, ...], tuple[str, ...], tuple[str, ...]]


def _per_term(counts: Counts, figures: Mapping[str, Figure]) -> _Terms:
    """Loihi, SpiNNaker, TrueNorth: every term that the source publishes, nothing else."""
    spikes = counts.total("spikes")
    # Where a source has a figure of its own for convolutions, it goes with their operations.
    convs = counts.total("conv_synops") if "synop_conv" in figures else 0.0
    wanted = (
        ("synaptic operations", ("synop", "synop_dense"), counts.total("synops") - convs),
        *((("synaptic operations, convolutions", ("synop_conv",), convs),) if convs else ()),
        ("neuron updates, active", ("neuron_active",), counts.total("active_updates")),
        ("neuron updates, inactive", ("neuron_inactive",), counts.total("inactive_updates")),
        ("neuron accesses", ("neuron_access",), counts.total("neuron_updates")),
        (
            "neuron updates",
            ("neuron_update",),
            # Beside an access energy the update is paid by active neurons, else by all.
            counts.total("active_updates" if "neuron_access" in figures else "neuron_updates"),
        ),
        ("spikes out", ("spike_out", "spike_in_tile"), spikes),
        ("messages, one per spike", ("message_out",), spikes),
    )
    terms = []
    for name, keys, number in wanted:
        key = next((k for k in keys if k in figures), None)
        if key is not None:
            terms.append(_term(name, key, number, figures[key]))
    excluded: tuple[str, ...] = ("hops between tiles (no placement)", "input spikes from the host")
    if not any(key.startswith("neuron") for key in figures):
        excluded += ("neuron updates (unpublished)",)
    return tuple(terms), tuple(term.name for term in terms), excluded


def _per_spike(counts: Counts, figures: Mapping[str, Figure]) -> _Terms:
    term = _term(
        "spikes", "dynamic_per_spike", counts.total("spikes"), figures["dynamic_per_spike"]
    )
    return (term,), ("all synaptic operations of a spike",), ("input events", "read-out")


def _per_synop(counts: Counts, figures: Mapping[str, Figure]) -> _Terms:
    term = _term("synaptic operations", "synop", counts.total("synops"), figures["synop"])
    return (term,), ("synaptic operations, input events too",), ("read-out",)


def _event_driven(counts: Counts, figures: Mapping[str, Figure]) -> _Terms:
    terms = (
        _term("accumulates (Effective_ACs)", "ac", counts.total("effective_acs"), figures["ac"]),
        _term("multiplies (Effective_MACs)", "mac", counts.total("effective_macs"), figures["mac"]),
    )
    return terms, ("arithmetic of synapses",), ("memory", "neuron updates", "control")


def _dense_pass(counts: Counts, figures: Mapping[str, Figure]) -> _Terms:
    passes = counts.total("dense") / max(counts.steps, 1)
    key = next(key for key in ("mac", "mac_bf16") if key in figures)
    term = _term("multiplies, one dense pass", key, passes, figures[key])
    return (term,), ("arithmetic of the same layers, once",), ("memory", "activations", "control")


_METHODS: Final[Mapping[EnergyMethod, Callable[[Counts, Mapping[str, Figure]], _Terms]]] = {
    "per_term": _per_term,
    "per_spike": _per_spike,
    "per_synop": _per_synop,
    "event_driven": _event_driven,
    "dense_pass": _dense_pass,
}


def _term(name: str, key: str, number: float, figure: Figure) -> EnergyTerm:
    return EnergyTerm(
        name=name,
        figure=key,
        count=number,
        joules_each=figure.value,
        joules_low=None if figure.low is None else number * figure.low,
        joules=number * figure.value,
        joules_high=None if figure.high is None else number * figure.high,
        source=figure.source,
    )


# --- parts of a row ---------------------------------------------------------------------------


def _bounds(
    terms: tuple[EnergyTerm, ...], figures: Mapping[str, Figure]
) -> tuple[float | None, float | None]:
    """Low and high of the sum: a published model error, else the sums of published bounds.

    One published side alone is no interval, so both are None then.
    """
    joules = sum(term.joules for term in terms)
    if "relative_error" in figures:
        error = figures["relative_error"].value
        return joules * (1 - error), joules * (1 + error)
    lows, highs = [t.joules_low for t in terms], [t.joules_high for t in terms]
    if any(x is None for x in (*lows, *highs)):
        return None, None
    return sum(x for x in lows if x is not None), sum(x for x in highs if x is not None)


def _is_lower_bound(
    method: EnergyMethod, terms: tuple[EnergyTerm, ...], figures: Mapping[str, Figure]
) -> bool:
    """A figure is its own published minimum or a peak rate, or terms that cost are left out."""
    if method in ("event_driven", "dense_pass"):
        return True  # arithmetic only
    if method == "per_synop" and any(key.startswith("neuron") for key in figures):
        return True
    used = [figures[term.figure] for term in terms]
    return any(f.low == f.value or f.kind == "peak_bound" for f in used)


def _latency(chip: Chip, layers: int, steps: int, step_s: float | None) -> tuple[float | None, str]:
    if chip.time_model == "asynchronous":
        figure = chip.time.get("nine_layer_latency")
        if figure is None or layers > 9:
            return None, "unpublished"
        return figure.value, f"nine layers, events through the chip ({figure.kind})"
    if step_s is not None:
        return steps * step_s, f"{steps} steps of {step_s:g} s as given"
    step = chip.time.get("step")
    if step is None:
        return None, "unpublished"
    origin = "; ".join(filter(None, (step.kind, step.note)))
    return steps * step.value, f"{steps} steps of {step.value:g} s ({origin})"


def _static(chip: Chip, powered_s: float | None) -> tuple[float | None, float | None, float | None]:
    power = chip.power.get("static_chip")
    if chip.scope == "all_in" or power is None or powered_s is None:
        return None, None, None
    low = None if power.low is None else power.low * powered_s
    high = None if power.high is None else power.high * powered_s
    return low, power.value * powered_s, high


def _static_excluded(chip: Chip) -> tuple[str, ...]:
    if chip.scope == "all_in":
        return ("nothing may be added: the figure already holds static power and routing",)
    return () if "static_chip" in chip.power else ("static power (unpublished)",)


def _source(chip: Chip, terms: tuple[EnergyTerm, ...]) -> str:
    """Every constant with its value, then the references in full."""
    used = "; ".join(f"{t.figure} {t.joules_each * 1e12:.4g} pJ" for t in terms)
    references = " | ".join(dict.fromkeys(t.source for t in terms))
    prefix = f"inherited from {chip.inherits_energy}: " if chip.inherits_energy else ""
    return f"{prefix}{used} [{references}]"


def _warnings(
    row: EnergyRow, chip: Chip, counts: Counts, powered_s: float | None
) -> tuple[str, ...]:
    found = []
    plausible = chip.power.get("plausible_mean")
    if plausible is not None and plausible.low and plausible.high and powered_s:
        power = row.total_joules / powered_s
        if not plausible.low <= power <= plausible.high:
            found.append(
                f"energy / latency is {power * 1e3:.3g} mW, published workloads took "
                f"{plausible.low * 1e3:g}..{plausible.high * 1e3:g} mW: one of the two is off"
            )
    if chip.neuron_models == ("IF",) and counts.leaky:
        found.append("the network leaks and the chip runs integrate-and-fire only: as-if figure")
    return tuple(found)
