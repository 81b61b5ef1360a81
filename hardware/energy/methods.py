"""How the figures of a chip are used: counts x figures -> terms, one function per method.

    per_term      synaptic operations, neuron updates (active, inactive), spikes out, messages, hops
    per_spike     dynamic energy per spike, all its synaptic operations inside (Speck)
    per_synop     synaptic operations alone (Speck, derived bracket)
    event_driven  Effective_ACs x AC + Effective_MACs x MAC (arithmetic only)
    dense_pass    one pass of the same layers as an artificial network: Dense / steps x MAC

The first three add what enters and leaves the chip (events in, bytes over the link to the host)
where it has figures for them (`input_event`, `link_byte`).

Every function says what is inside, what this estimate leaves out although a figure exists or none
is needed, and what costs energy without a published figure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from neurozsl.hardware.chips.figures import Figure
from neurozsl.hardware.chips.rules import EnergyMethod
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy.row import EnergyTerm, SpikeMessages, term

Figures = Mapping[str, Figure]
_INPUT: Final = "input encoding: events into the chip"
_LINK: Final = "link to the host: codes in, spikes back"


@dataclass(frozen=True)
class Terms:
    """The terms of a row, and what they hold, leave out and cannot know."""

    terms: tuple[EnergyTerm, ...]
    included: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


# What counts as a figure of neurons, or of hops: a key that no term reads is none.
NEURON_FIGURES: Final = frozenset(
    ("neuron_active", "neuron_inactive", "neuron_access", "neuron_update")
)
HOP_FIGURES: Final = frozenset(("hop_ew", "hop_ns"))


def _number(mean: float) -> str:
    """A mean count: whole where it is large."""
    return f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}"


def _per_term(counts: Counts, figures: Figures, traffic: SpikeMessages | None) -> Terms:
    """Loihi, SpiNNaker, TrueNorth: every term that the source publishes, nothing else."""
    spikes = counts.total("spikes")
    # Where a source has a figure of its own for convolutions, it goes with their operations.
    convs = counts.total("conv_synops") if "synop_conv" in figures else 0.0
    messages = None if traffic is None else traffic.messages
    sent = spikes if messages is None else messages
    each = "messages, one per spike" if messages is None else "messages to other cores"
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
        ("spikes out", ("spike_out",), spikes),
        (
            "spikes out" if messages is None else "messages, each inside its tile",
            ("spike_in_tile",),
            sent,
        ),
        (each, ("message_out",), sent),
        *_hops(traffic),
    )
    terms = []
    for name, keys, number in wanted:
        key = next((k for k in keys if k in figures), None)
        if key is not None:
            terms.append(term(name, key, number, figures[key]))
    outside, unknown = _outside(counts, figures)
    terms += outside
    if _INPUT in unknown and traffic is not None and traffic.input_messages is not None:
        unknown[0] = f"{_INPUT} ({_number(traffic.input_messages)} messages)"
    excluded = []
    if figures.keys().isdisjoint(HOP_FIGURES):
        excluded.append("hops (no figure of their own)")
    elif traffic is None:
        excluded.append("hops (no placement)")
    elif traffic.hops_ew is None or traffic.hops_ns is None:
        excluded.append("hops (the placement has no mesh)")
    if figures.keys().isdisjoint(NEURON_FIGURES):
        excluded.append("neuron updates (unpublished)")
    return Terms(
        tuple(terms), tuple(t.name for t in terms), tuple(excluded), unknown=tuple(unknown)
    )


def _outside(counts: Counts, figures: Figures) -> tuple[list[EnergyTerm], list[str]]:
    """What enters and leaves the chip: terms where there are figures, else what is unknown."""
    terms, unknown = [], []
    for name, key, number, missing in (
        ("events into the chip", "input_event", counts.entering, _INPUT),
        ("bytes between host and chip", "link_byte", counts.link_bytes, _LINK),
    ):
        if key in figures and number is not None:
            terms.append(term(name, key, number, figures[key]))
        else:
            unknown.append(missing)
    return terms, unknown


def _hops(traffic: SpikeMessages | None) -> tuple[tuple[str, tuple[str, ...], float], ...]:
    if traffic is None or traffic.hops_ew is None or traffic.hops_ns is None:
        return ()
    return (
        ("hops, east-west", ("hop_ew",), traffic.hops_ew),
        ("hops, north-south", ("hop_ns",), traffic.hops_ns),
    )


def _per_spike(counts: Counts, figures: Figures, traffic: SpikeMessages | None) -> Terms:
    found = _one_figure(counts, figures, "spikes", "dynamic_per_spike", counts.total("spikes"))
    events = ("input events",) if _INPUT in found.unknown else ()
    inside = ("all synaptic operations of a spike", *found.included)
    return replace(found, included=inside, excluded=(*events, *found.excluded))


def _per_synop(counts: Counts, figures: Figures, traffic: SpikeMessages | None) -> Terms:
    found = _one_figure(counts, figures, "synaptic operations", "synop", counts.total("synops"))
    return replace(found, included=("synaptic operations, input events too", *found.included))


def _one_figure(counts: Counts, figures: Figures, name: str, key: str, number: float) -> Terms:
    """Operations of one kind, and what enters and leaves the chip; the read-out is left out."""
    outside, unknown = _outside(counts, figures)
    terms = (term(name, key, number, figures[key]), *outside)
    return Terms(terms, tuple(x.name for x in outside), ("read-out",), tuple(unknown))


def _event_driven(counts: Counts, figures: Figures, traffic: SpikeMessages | None) -> Terms:
    adds, macs = counts.total("effective_acs"), counts.total("effective_macs")
    terms = (
        term("accumulates (Effective_ACs)", "ac", adds, figures["ac"]),
        term("multiplies (Effective_MACs)", "mac", macs, figures["mac"]),
    )
    return Terms(terms, ("arithmetic of synapses",), ("memory", "neuron updates", "control"))


def _dense_pass(counts: Counts, figures: Figures, traffic: SpikeMessages | None) -> Terms:
    key = mac_keys(figures)[0]
    passes = counts.total("dense") / max(counts.ran, 1)
    mac = term("multiplies, one dense pass", key, passes, figures[key])
    return Terms(
        (mac,), ("arithmetic of the same layers, once",), ("memory", "activations", "control")
    )


def mac_keys(figures: Figures) -> tuple[str, ...]:
    """The multiply-accumulates that a chip has figures for, fp32 (`mac`) first."""
    return tuple(sorted(key for key in figures if key.partition("_")[0] == "mac"))


METHODS: Final[Mapping[EnergyMethod, Callable[[Counts, Figures, SpikeMessages | None], Terms]]] = {
    "per_term": _per_term,
    "per_spike": _per_spike,
    "per_synop": _per_synop,
    "event_driven": _event_driven,
    "dense_pass": _dense_pass,
}
