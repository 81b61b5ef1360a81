"""What the neurons of a graph mean: said, else of the dialect, else assumed, with every assumption.

In: a flat graph (`normalise`), what the caller says, the dialect that it is read in. Out: a
`Meaning`: step, unit of time, decay, gain of an IF, a rule for every neuron. What nobody says is
assumed:

    dt          1e-4 s, the step of the NIR paper's experiments and of most exporters
    tau unit    seconds, as the paper's files hold them
    decay       dt / tau a step (explicit Euler)
    IF's r      the gain of a step where it is near 1, NIR's own rate where r dt is; else asked
    reset       to zero. A v_reset of 0 in the file proves nothing: snnTorch's subtracting cells and
                Sinabs' IAF write it too. Another v_reset is a reset to it
    threshold   one spike a step where v > theta

An assumption that has another side is a `Choice`: what `simulate` runs to say how many spikes the
other side would change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import nir
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.dialects.base import DT_S, NeuronNode, evidence
from neurozsl.export.nir.dialects.registry import Spoken
from neurozsl.export.nir.dialects.words import Discretisation, IfGain
from neurozsl.export.nir.said import SECONDS, Said, TauUnit
from neurozsl.hardware.lower.neurons import has_time_constant
from neurozsl.hardware.network.neuron import MAX_SPIKES, NeuronRule

_PLAUSIBLE: Final = (0.05, 20.0)  # gains of a step that a network may be meant to have


@dataclass(frozen=True)
class Choice:
    """The other side of an assumption: the option that takes it, and all that is then said."""

    option: str
    said: Said


@dataclass(frozen=True)
class Meaning:
    """How a graph is read; dt_assumed: no one says the step, and something depends on it."""

    dt_s: float
    unit_s: float
    discretisation: Discretisation
    if_gain: IfGain
    rules: Mapping[str, NeuronRule]
    assumptions: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    dt_assumed: bool = False


@dataclass(frozen=True)
class _Part:
    """One part of a meaning with what was assumed for it."""

    value: Any
    assumptions: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()


def meaning(graph: nir.NIRGraph, said: Said, spoken: Spoken | None) -> Meaning:
    """The meaning of a flat graph.

    Raises:
        BadInput: an unknown word, an IF whose r is neither gain, a rule that cannot be.
    """
    _check_words(said)
    dt = _step(graph, said, spoken)
    timed = any(has_time_constant(node) for node in graph.nodes.values())
    parts = {
        "dt": dt,
        "unit": _unit(said, spoken, dt.value, timed=timed),
        "decay": _decay(said, spoken, timed=timed),
        "gain": _if_gain(graph, said, spoken, dt.value),
        "rules": _rules(graph, said, spoken),
    }
    return Meaning(
        dt_s=dt.value,
        unit_s=parts["unit"].value,
        discretisation=parts["decay"].value,
        if_gain=parts["gain"].value,
        rules=parts["rules"].value,
        assumptions=(
            *_recognised(spoken),
            *(text for part in parts.values() for text in part.assumptions),
        ),
        choices=tuple(choice for part in parts.values() for choice in part.choices),
        dt_assumed=timed and bool(dt.assumptions),
    )


def _recognised(spoken: Spoken | None) -> tuple[str, ...]:
    """A dialect that nobody said is an assumption as well."""
    if spoken is None or spoken.said:
        return ()
    return (f"dialect: {spoken.word}, {spoken.why} (--dialect says another)",)


def _check_words(said: Said) -> None:
    for what, value, words in (
        ("unit of time", said.tau_unit, get_args(TauUnit)),
        ("discretisation", said.discretisation, get_args(Discretisation)),
        ("gain of an IF", said.if_gain, get_args(IfGain)),
    ):
        if value is not None and value not in words:
            raise BadInput(f"{what} {value!r}, expected one of {', '.join(words)}")
    dt_s = said.dt_s
    if dt_s is not None and not (isinstance(dt_s, int | float) and 0 < dt_s < math.inf):
        raise BadInput(f"dt_s {dt_s!r}: the length of a step, expected seconds above 0")


def _step(graph: nir.NIRGraph, said: Said, spoken: Spoken | None) -> _Part:
    if said.dt_s is not None:
        return _Part(said.dt_s)
    told = None if spoken is None else spoken.dialect.step_in_s(evidence(graph))
    if told is not None:
        return _Part(told)
    if not any(has_time_constant(node) for node in graph.nodes.values()):
        rate = _told_by_rates(graph) if spoken is None and said.if_gain != "step" else None
        if rate is not None:
            return _Part(rate)
        return _Part(DT_S, (f"dt: a step is called {DT_S:g} s; no node depends on it",))
    if spoken is not None and spoken.dialect.times_in_steps and said.tau_unit is None:
        return _Part(DT_S, (f"dt: a step is called {DT_S:g} s; time constants count steps (--dt)",))
    if spoken is not None:
        usual = spoken.dialect.dt_s
        return _Part(usual, (f"dt: {usual:g} s, usual with {spoken.dialect.title} (--dt)",))
    return _Part(DT_S, (f"dt: {DT_S:g} s a step (the file does not say; --dt)",))


def _told_by_rates(graph: nir.NIRGraph) -> float | None:
    """The step at which every IF adds what arrives: 1 / r, where all agree on a power of ten."""
    steps = {cell.implied_dt for cell in _cells(graph) if cell.kind == "IF"}
    if len(steps) != 1:
        return None
    [step] = steps
    if step is None or step >= 1e-1:
        return None
    exponent = np.log10(step)
    return float(10 ** round(exponent)) if abs(exponent - round(exponent)) < 1e-3 else None


def _unit(said: Said, spoken: Spoken | None, dt_s: float, *, timed: bool) -> _Part:
    if said.tau_unit is not None:
        return _Part(SECONDS[said.tau_unit])
    if spoken is not None:
        return _Part(dt_s if spoken.dialect.times_in_steps else 1.0)
    text = "unit of time: seconds (the file does not say; --tau-unit)"
    return _Part(1.0, (text,) if timed else ())


def _decay(said: Said, spoken: Spoken | None, *, timed: bool) -> _Part:
    if said.discretisation is not None:
        return _Part(said.discretisation)
    if spoken is not None:
        return _Part(spoken.dialect.discretisation)
    if not timed:
        return _Part("euler")
    other = Choice("--discretisation exponential", replace(said, discretisation="exponential"))
    text = "decay: dt / tau a step (NIR fixes none; --discretisation exponential is the other)"
    return _Part("euler", (text,), (other,))


def _if_gain(graph: nir.NIRGraph, said: Said, spoken: Spoken | None, dt_s: float) -> _Part:
    if said.if_gain is not None:
        return _Part(said.if_gain)
    if spoken is not None:
        return _Part(spoken.dialect.if_gain)
    integrators = {
        name: np.ravel(np.asarray(node.r, np.float64))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.IF | nir.I)
    }
    if not integrators:
        return _Part("step")
    every = np.abs(np.concatenate(list(integrators.values())))
    fits = {"step": _plausible(every), "rate": _plausible(every * dt_s)}
    if not any(fits.values()):
        name = next(name for name, r in integrators.items() if not _plausible(np.abs(r)))
        r = integrators[name][0]
        raise BadInput(
            f"NIR node '{name}': r {r:g} is neither the gain of a step, so near 1 (as Sinabs and "
            f"Norse write it), nor 1 / dt, so near {1 / dt_s:g} (NIR's v' = r I, as SpikingJelly "
            f"writes it): say --if-gain step (every spike counts {r:g} times) or --if-gain rate "
            f"({r * dt_s:g} times; --dt changes it)"
        )
    chosen: IfGain = "step" if fits["step"] else "rate"
    near = "1, the gain of a step" if chosen == "step" else f"1 / dt = {1 / dt_s:g}, NIR's v' = r I"
    other: IfGain = "rate" if chosen == "step" else "step"
    text = f"IF: r is near {near} (--if-gain {other} is the other)"
    return _Part(chosen, (text,))


def _plausible(gains: Any) -> bool:
    low, high = _PLAUSIBLE
    some = gains[gains > 0]
    return bool(some.size == 0 or (np.all(some >= low) and np.all(some <= high)))


def _cells(graph: nir.NIRGraph) -> Sequence[NeuronNode]:
    return evidence(graph).cells


def _rules(graph: nir.NIRGraph, said: Said, spoken: Spoken | None) -> _Part:
    cells = _cells(graph)
    if spoken is not None:
        own = {cell.name: spoken.dialect.rule(cell, spoken.variant) for cell in cells}
        return _Part(
            {name: _as_said(rule, said) for name, rule in own.items()}, *_open(cells, said, spoken)
        )
    moved = any(_resets_elsewhere(cell) for cell in cells)
    assumptions, choices = [], []
    if cells and said.reset is None and not moved:
        held = any(cell.values("v_reset") is not None for cell in cells)
        why = "a v_reset of 0 proves no reset to it" if held else "the file does not say"
        assumptions.append(f"reset: to zero at a spike ({why}; --reset subtract is the other)")
        choices.append(Choice("--reset subtract", replace(said, reset="subtract")))
    if cells and said.max_spikes is None and said.compare is None:
        assumptions.append("threshold: one spike a step where v > theta (sinabs: >= and several)")
        choices.append(Choice("--compare '>='", replace(said, compare=">=")))
        if not moved:
            several = replace(said, reset="subtract", compare=">=", max_spikes=MAX_SPIKES)
            option = f"--reset subtract --compare '>=' --max-spikes {MAX_SPIKES}"
            choices.append(Choice(option, several))
    rule = _as_said(NeuronRule(), said)
    return _Part({cell.name: rule for cell in cells}, tuple(assumptions), tuple(choices))


def _as_said(rule: NeuronRule, said: Said) -> NeuronRule:
    """The rule with what the caller says in the place of its own."""
    return NeuronRule(
        reset=said.reset or rule.reset,
        max_spikes=rule.max_spikes if said.max_spikes is None else said.max_spikes,
        compare=said.compare or rule.compare,
        low=rule.low if said.low is None else said.low,
    )


def _open(
    cells: Sequence[NeuronNode], said: Said, spoken: Spoken
) -> tuple[tuple[str, ...], tuple[Choice, ...]]:
    """What the files of a dialect cannot say about their neurons, and nobody else says."""
    variants, about = spoken.dialect.variants, spoken.dialect.variants_say
    key, choices = spoken.dialect.key, []
    for option, fields in spoken.dialect.other_rules.items():
        if all(getattr(said, field) is None for field in fields):
            choices.append(Choice(option, replace(said, **fields)))
    concerned = any(cell.kind in spoken.dialect.variants_of for cell in cells)
    if spoken.stated or not concerned or (about == "reset" and said.reset is not None):
        return (), tuple(choices)
    others = [variant for variant in variants if variant != spoken.variant]
    text = f"{about}: {variants[spoken.variant]}, the default of {spoken.dialect.title}"
    words = ", ".join(f"{key}:{variant}" for variant in others)
    own = [
        Choice(f"--dialect {key}:{variant}", replace(said, dialect=f"{key}:{variant}"))
        for variant in others
    ]
    return (f"{text} (its files do not say; --dialect {words})",), (*own, *choices)


def _resets_elsewhere(cell: NeuronNode) -> bool:
    reset = cell.values("v_reset")
    return reset is not None and bool(np.any(reset != 0))
