"""All cost tables at once: a row per chip and method, and where sources disagree, a row for both.

Several cost tables of the same silicon (`Chip.family`) give one more row whose interval is what
they span: low the least of them, high the upper end of the greatest, value that of the source
nearest to silicon. Loihi 2, without energies per operation, gets a row from its measured
workloads: their mean power x the latency, which knows nothing of this network but its latency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from neurozsl.hardware.chips import DEFAULT_CHIPS
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy.estimates import estimate
from neurozsl.hardware.energy.methods import mac_keys
from neurozsl.hardware.energy.row import EnergyRow, SpikeMessages, term

FAMILY: Final = "between_sources"
ANCHOR: Final = "workload_anchor"

# Nearest to silicon last.
_EVIDENCE: Final = ("simulated", "modelled", "derived", "fitted", "measured")


def estimate_all(
    counts: Counts,
    chips: Sequence[str | Chip] = DEFAULT_CHIPS,
    *,
    steps: float | None = None,
    step_s: Mapping[str, float] | None = None,
    window_s: float | None = None,
    traffic: Mapping[str, SpikeMessages] | None = None,
) -> tuple[EnergyRow, ...]:
    """One row per chip and method (and per precision of a dense pass), families and anchors.

    Args:
        counts: of one inference.
        chips: keys or chips of a user.
        steps: time steps that the chips take; default the mean that the counts ran.
        step_s: length of a step per chip key where it is not the chip's own.
        window_s: how long the input of one inference lasts: chips without steps are powered so
            long. Unknown by default, and so is their static energy then.
        traffic: messages and hops per chip family, where the network was placed.
    """
    steps = counts.ran if steps is None else steps
    paces = step_s or {}
    found: list[EnergyRow] = []
    loaded = [load_chip(c) if isinstance(c, str) else c for c in chips]
    for place, chip in enumerate(loaded):
        pace = paces.get(chip.key)
        if pace is None and chip.time_model == "asynchronous" and window_s is not None:
            pace = window_s / max(steps, 1)
        sent = (traffic or {}).get(chip.key, (traffic or {}).get(chip.family))
        for method in chip.energy_methods:
            figures = mac_keys(chip.energy) if method == "dense_pass" else (None,)
            given: dict[str, Any] = {"steps": steps, "step_s": pace, "traffic": sent}
            found += [estimate(counts, chip, method=method, figure=x, **given) for x in figures]
        if chip.family not in [later.family for later in loaded[place + 1 :]]:
            members = [c.key for c in loaded if c.family == chip.family]
            found += family_row([row for row in found if row.device in members], chip.family)
        if "workload_mean" in chip.power and pace is not None:
            found.append(anchor_row(chip, steps=steps, step_s=pace))
    return tuple(found)


def family_row(rows: Sequence[EnergyRow], family: str) -> tuple[EnergyRow, ...]:
    """The row of a chip with several cost tables; none where fewer than two can be compared.

    All-in figures stay out (they hold static power), and so do rows of further methods of a chip.
    """
    rows = [row for row in rows if row.method == "per_term" and row.scope == "per_term"]
    if len({row.device for row in rows}) < 2:
        return ()
    value = max(rows, key=_evidence)
    static = next((row for row in rows if row.static_joules is not None), None)
    if static is None:  # what the value says of it holds for the family
        static, excluded, unknown = value, value.excluded, value.unknown
    else:
        excluded = tuple(x for x in value.excluded if not x.startswith("static"))
        unknown = tuple(x for x in value.unknown if x != "static power")
    return (
        replace(
            value,
            device=family,
            key=f"{family}/{FAMILY}",
            name=f"{rows[0].name}, {len(rows)} sources",
            method=FAMILY,
            joules_low=min(row.span[0] for row in rows),
            joules_high=max(row.span[1] for row in rows),
            interval="between sources",
            static_joules_low=static.static_joules_low,
            static_joules=static.static_joules,
            static_joules_high=static.static_joules_high,
            step_s=static.step_s,
            latency_s=static.latency_s,
            powered_s=static.powered_s,
            latency_note=static.latency_note,
            source=" || ".join(f"{row.key}: {row.source}" for row in rows),
            included=tuple(dict.fromkeys((*value.included, *static.included[-1:]))),
            excluded=excluded,
            unknown=unknown,
            warnings=static.warnings,
            note=f"low: least of {', '.join(row.key for row in rows)}; value and terms: "
            f"{value.key}, the source nearest to silicon",
        ),
    )


def _evidence(row: EnergyRow) -> int:
    """How near to silicon the figures of a row's largest term are."""
    largest = max(row.terms, key=lambda one: one.joules)
    return _EVIDENCE.index(largest.kind) if largest.kind in _EVIDENCE else -1


def anchor_row(chip: Chip, *, steps: float, step_s: float) -> EnergyRow:
    """Mean power of published workloads x this network's latency, static power and all inside.

    Only with a step that somebody gave: the chip's own figure is the floor of its circuits, and a
    mean power over a time that nothing runs in says nothing.
    """
    power = chip.power["workload_mean"]
    latency = steps * step_s
    if power.low is None or power.high is None:  # one side alone is no interval
        power = replace(power, low=None, high=None)
    name = "seconds at the mean power of other workloads"
    whole = term(name, "workload_mean", latency, power, cause="whole")
    return EnergyRow(
        device=chip.key,
        key=f"{chip.key}/{ANCHOR}",
        name=f"{chip.name}, anchor: mean power of other workloads",
        method=ANCHOR,
        scope="all_in",
        joules_low=whole.joules_low,
        joules=whole.joules,
        joules_high=whole.joules_high,
        interval="unpublished" if power.low is None else "published",
        step_s=step_s,
        latency_s=latency,
        latency_note=f"{round(steps, 2)} steps of {step_s:g} s as given",
        terms=(whole,),
        source=f"workload_mean {power.value:.4g} W [{power.source}]",
        included=("the whole chip while it runs",),
        excluded=("nothing may be added: the figure already holds static power and routing",),
        unknown=("how much of it this network takes: no energy per operation is published",),
        note="an anchor of other workloads, not an estimate from this network's counts; "
        + power.note,
    )
