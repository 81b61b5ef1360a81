"""Counts and a chip -> the energy of one inference, dynamic and static apart.

    joules = sum over terms of (count x joules per operation)            dynamic energy
    static_joules = static power x latency                               a line of its own

A chip without steps (Speck) rests at its static power for the window of its input, steps x step_s,
however quick the events are; without a window there is no static figure.

Bounds: low and high exist only where every term's source publishes them (or a relative error of
its model); otherwise they are None and `interval` is "unpublished". Nothing is ever added to a
figure of scope `all_in`. Loihi 2 has no published energies per operation: its row uses those of
Loihi 1 and is marked `inherited`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.chips.figures import Figure
from neurozsl.hardware.chips.rules import EnergyMethod
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy.methods import METHODS, NEURON_FIGURES, Terms, mac_keys
from neurozsl.hardware.energy.row import EnergyRow, EnergyTerm, SpikeMessages

_LOIHI2: Final = "energies per operation of this chip (never published; another chip's stand in)"


def estimate(
    counts: Counts,
    chip: Chip | str,
    *,
    steps: float | None = None,
    step_s: float | None = None,
    method: EnergyMethod | None = None,
    figure: str | None = None,
    traffic: SpikeMessages | None = None,
) -> EnergyRow:
    """Energy of one inference on one chip.

    Args:
        counts: of one inference (means over samples).
        chip: the chip or its key.
        steps: time steps that the chip takes; default the mean that the counts ran.
        step_s: length of a step in seconds; default the figure of the chip. For a chip without
            steps (Speck), the length of the window that it is powered for is steps x step_s.
        method: one of the chip's `energy_methods`; default its first.
        figure: for `dense_pass`, which multiply-accumulate of the chip; default fp32 (`mac`).
        traffic: messages and hops after placement; without it a spike is one message and hops are
            left out.

    Raises:
        BadInput: the chip has no energy method, or not this one, or not this figure.
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
    steps = counts.ran if steps is None else steps
    if figure is not None:
        if method != "dense_pass" or figure not in mac_keys(figures):
            raise BadInput(
                f"chip '{chip.key}': no figure '{figure}' for {method}; a dense pass has "
                f"{', '.join(mac_keys(figures)) or 'none'}"
            )
        figures = {figure: figures[figure]}
    found = METHODS[method](counts, figures, traffic)
    if not found.terms:
        raise BadInput(f"chip '{chip.key}': publishes no figure that method {method} needs")
    if chip.scope == "all_in":
        found = _all_in(found)
    low, high = _bounds(found.terms, figures)
    latency, latency_note = _latency(chip, method, len(counts.layers), steps, step_s)
    stepless = chip.time_model == "asynchronous"
    powered = (None if step_s is None else steps * step_s) if stepless else latency
    said, power = _static_said(chip, method, powered), chip.power.get("static_chip")
    static: tuple[float | None, ...] = (None, None, None)
    if power is not None and powered is not None:  # an all-in file has no such figure
        static = power.times(powered)
    key, name = _named(chip, method, found.terms)
    floor = _floor(chip, step_s, latency)
    row = EnergyRow(
        device=chip.key,
        key=key,
        name=name,
        method=method,
        scope=chip.scope,
        joules_low=low,
        joules=sum(term.joules for term in found.terms),
        joules_high=high,
        interval="unpublished" if low is None or high is None else "published",
        static_joules_low=static[0],
        static_joules=static[1],
        static_joules_high=static[2],
        step_s=None if stepless or latency is None else latency / max(steps, 1),
        latency_s=latency,
        latency_note=latency_note,
        terms=found.terms,
        source=_source(chip, found.terms, static[1] is not None),
        included=found.included + said.included,
        excluded=found.excluded + said.excluded,
        unknown=((_LOIHI2,) if chip.inherits_energy else ()) + found.unknown + said.unknown,
        inherited=bool(chip.inherits_energy),
        # The minimum of another chip bounds nothing on this one.
        lower_bound=not chip.inherits_energy
        and _is_lower_bound(chip, method, found.terms, figures),
        as_if=counts.leaky and chip.neuron_models == ("IF",),
        powered_s=None if static[1] is None else powered,
        note="; ".join(
            dict.fromkeys(filter(None, (*(figures[t.figure].note for t in found.terms), floor)))
        ),
    )
    return replace(row, warnings=_warnings(row, chip, None if floor else powered))


def _all_in(found: Terms) -> Terms:
    """Nothing else is named as left out; several terms are different operations, none twice.

    `check_all_in` lets no figure into such a file that another one holds already.
    """
    terms = tuple(replace(term, cause="whole") for term in found.terms)
    return Terms(terms, (*found.included, "static power, memory and control: all in"))


# --- parts of a row ---------------------------------------------------------------------------


def _named(chip: Chip, method: EnergyMethod, terms: tuple[EnergyTerm, ...]) -> tuple[str, str]:
    """Key and name of the row: the chip's own where it has one row alone."""
    key, name = chip.key, chip.name
    if chip.inherits_energy:
        name += f" (inherited: constants of {load_chip(chip.inherits_energy).name})"
    if len(chip.energy_methods) > 1 or method not in chip.energy_methods:
        key, name = f"{key}/{method}", f"{name}, {method.replace('_', ' ')}"
    if method == "dense_pass" and len(mac_keys(chip.energy)) > 1:
        figure = terms[0].figure
        kind = figure.removeprefix("mac").removeprefix("_").replace("_", " ") or "fp32"
        key, name = f"{key}/{figure}", f"{name}, {kind}"
    return key, name


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
    chip: Chip, method: EnergyMethod, terms: tuple[EnergyTerm, ...], figures: Mapping[str, Figure]
) -> bool:
    """A figure is its own published minimum or a peak rate, or terms that cost are left out."""
    used = [figures[term.figure] for term in terms]
    if any(f.low == f.value or f.kind == "peak_bound" for f in used):
        return True
    if any(term.cause == "arithmetic" for term in terms):
        return True  # arithmetic only
    neurons = not NEURON_FIGURES.isdisjoint(figures)
    if method == "per_term":  # an all-in figure holds the neurons
        return chip.scope == "per_term" and not neurons
    return method == "per_synop" and neurons


def _latency(
    chip: Chip, method: EnergyMethod, layers: int, steps: float, step_s: float | None
) -> tuple[float | None, str]:
    if method == "dense_pass":
        return None, "not estimated: one pass, no steps"
    if chip.time_model == "asynchronous":
        figure = chip.time.get("nine_layer_latency")
        if figure is None or layers > 9:
            return None, "unpublished"
        return figure.value, f"nine layers, events through the chip ({figure.kind})"
    if step_s is not None:
        return steps * step_s, f"{round(steps, 2)} steps of {step_s:g} s as given"
    step = chip.time.get("step")
    if step is None:
        return None, "unpublished"
    origin = "; ".join(filter(None, (step.kind.replace("_", " "), step.note)))
    return steps * step.value, f"{round(steps, 2)} steps of {step.value:g} s ({origin})"


def _floor(chip: Chip, step_s: float | None, latency_s: float | None) -> str:
    """What to know of a latency made of a chip's shortest step; "" where it is another."""
    step = chip.time.get("step")
    own = step_s is None and latency_s is not None and chip.time_model != "asynchronous"
    if not own or step is None or step.kind != "peak_bound":
        return ""
    floor = f"the latency is a floor, {step.value:g} s is the chip's shortest step"
    if "workload_mean" not in chip.power:
        return floor
    return (
        f"{floor}; with the length of a step given, the mean power of whole workloads measured on "
        "it is an anchor"
    )


def _static_said(chip: Chip, method: EnergyMethod, powered_s: float | None) -> Terms:
    """What a row says of static power: included, excluded or unknown."""
    if chip.scope == "all_in":
        whole = "nothing may be added: the figure already holds static power and routing"
        return Terms((), (), excluded=(whole,))
    if "static_chip" not in chip.power:  # reference arithmetic is no chip that could have any
        unknown = () if method in ("event_driven", "dense_pass") else ("static power",)
        return Terms((), (), ("static power (unpublished)",), unknown)
    if powered_s is None:
        return Terms((), (), ("static power (the powered time is not given)",))
    stepless = chip.time_model == "asynchronous"
    what = f"the {powered_s:.3g} s that the input lasts" if stepless else "latency"
    return Terms((), (f"static power x {what}, own line",) if powered_s else ())


def _source(chip: Chip, terms: tuple[EnergyTerm, ...], static: bool) -> str:
    """Every constant with its value, then the references in full."""
    used = [f"{t.figure} {t.joules_each * 1e12:.4g} pJ" for t in terms]
    references = [t.source for t in terms]
    if static:
        power = chip.power["static_chip"]
        used.append(f"static power {power.value * 1e3:.4g} mW")
        references.append(power.source)
    prefix = f"inherited from {chip.inherits_energy}: " if chip.inherits_energy else ""
    return f"{prefix}{'; '.join(used)} [{' | '.join(dict.fromkeys(references))}]"


def _warnings(row: EnergyRow, chip: Chip, powered_s: float | None) -> tuple[str, ...]:
    found = []
    plausible = chip.power.get("plausible_mean")
    if plausible is not None and plausible.low and plausible.high and powered_s:
        power = row.total_joules / powered_s
        if not plausible.low <= power <= plausible.high:
            found.append(
                f"energy / latency is {power:.3g} W, published workloads took {plausible.low:g} to "
                f"{plausible.high:g} W: the energy or the length of a step is off; give a measured "
                "step"
            )
    if row.as_if:
        found.append("the network leaks and the chip runs integrate-and-fire only: as-if figure")
    return tuple(found)
