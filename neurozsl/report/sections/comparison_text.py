"""What follows from the pairs of cost tables, in words: `sentence`.

Every part is chosen by the numbers, also where they speak against spikes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from neurozsl.core.quantities import share, si, times
from neurozsl.hardware.energy import EnergyRow, SignRow, StepTime

_REFERENCE = "cmos45_fp32/dense_pass"


class Pair(NamedTuple):
    """Two cost tables with their rows."""

    sign: SignRow
    spiking: EnergyRow
    dense: EnergyRow


def sentence(
    signs: Sequence[SignRow],
    rows: Mapping[str, EnergyRow],
    rate: float | None,
    paces: Sequence[StepTime],
) -> str:
    """All that follows from at least one pair of tables; rows: of the tables, by their keys.

    rate: mean rate of the layers' inputs; None where nothing is joined. paces: what the length of a
    step does.
    """
    pairs = [Pair(x, rows[x.spiking], rows[x.dense]) for x in signs]
    return " ".join((_sign_sentence(pairs), *_break_even(pairs, rate), *_static_sentence(paces)))


def _sign_sentence(signs: Sequence[Pair]) -> str:
    """Over all pairs without static power, then against the reference pass in joules.

    A table that another chip inherits is no further table: its pairs are not counted again. How
    many pairs are those of chips that cannot run the network is part of the sentence.
    """
    bare = _bare(signs)
    tables = [row for row in bare if not row.spiking.inherited] or bare
    wins = {
        word: sum(row.sign.advantage == word for row in tables)
        for word in ("spiking", "dense", "either")
    }
    total = len(tables)
    if wins["spiking"] == total:
        text = f"The spiking network is the cheaper one on all {total} pairs of cost tables"
    elif wins["dense"] == total:
        text = f"The dense pass is the cheaper one on all {total} pairs of cost tables"
    else:
        text = (
            "The sign of the advantage depends on the cost table chosen: the spiking network is "
            f"the cheaper one on {wins['spiking']} of {total} pairs, the dense pass on "
            f"{wins['dense']}"
        )
        if wins["either"]:
            text += f", and on {wins['either']} the interval allows both"
    unreal = sum(row.spiking.as_if for row in tables)
    said = "dynamic energy, static power left out"
    if unreal:
        many = "all" if unreal == total else f"{unreal}"
        said += f"; {many} of the pairs are as-if, on chips that cannot run this network"
    return f"{text} ({said}).{_against(bare)}"


def _bare(signs: Sequence[Pair]) -> list[Pair]:
    """Each pair once: without static power, but for all-in figures, which hold it."""
    return [row for row in signs if not row.sign.with_static or row.spiking.scope == "all_in"]


def _reference(bare: Sequence[Pair]) -> list[Pair]:
    """The pairs with the dense pass that the sentence is about: fp32 at 45 nm where it is there."""
    keys = [row.dense.key for row in bare]
    key = _REFERENCE if _REFERENCE in keys else keys[0]
    return [row for row in bare if row.dense.key == key]


def _against(bare: Sequence[Pair]) -> str:
    """The joules on every spiking table beside one dense pass."""
    rows = sorted(_reference(bare), key=lambda r: r.sign.spiking_joules)
    found = []
    for word, side in (
        ("cheaper", "spiking"),
        ("dearer", "dense"),
        ("either, by the interval,", "either"),
    ):
        told = [
            f"{_short(r.spiking)} {si(r.sign.spiking_joules, 'J')}"
            f"{' or more' * r.spiking.lower_bound}"
            for r in rows
            if r.sign.advantage == side
        ]
        if told:
            found.append(f"{word} on {'; '.join(told)}")
    dense = rows[0].dense
    floor = " (arithmetic or peak rate, a lower bound)" if dense.lower_bound else ""
    return (
        f" Against one dense pass on {_short(dense)}, {si(dense.joules, 'J')}{floor}, it is "
        f"{', '.join(found)}."
    )


def _short(row: EnergyRow) -> str:
    """Name without what is in brackets, and without the method of a dense pass."""
    name = row.name.partition(" (")[0].removesuffix(", dense pass")
    return f"{name} (inherited)" if row.inherited else name


def _break_even(signs: Sequence[Pair], rate: float | None) -> tuple[str, ...]:
    """At which rate the sign changes, against the reference pass."""
    rows = _reference(_bare(signs))
    known = [r for r in rows if r.sign.break_even_rate is not None]
    if rate is None:
        return ()
    if not rate:
        return ("No event reached a layer, so this does not say at which rate the sign changes.",)
    if not known:
        return (f"No spike rate changes the sign there; the inputs' mean is {share(rate)}.",)
    told = "; ".join(f"{share(r.sign.break_even_rate)} on {_short(r.spiking)}" for r in known)
    return (f"The sign changes there at a mean input rate of {told}; it is {share(rate)} here.",)


def _static_sentence(paces: Sequence[StepTime]) -> tuple[str, ...]:
    """Static energy of the first chip with steps, at its longest and its shortest step."""
    if not paces:
        return ()
    own = [x for x in paces if x.device == paces[0].device]
    short, long = own[0], own[-1]
    beside = (
        f", {times(long.static_joules / long.dynamic_joules)} its dynamic energy"
        if long.dynamic_joules
        else ""
    )
    return (
        f"With steps of {si(long.step_s, 's')} static power alone is {si(long.static_joules, 'J')} "
        f"on {long.name}{beside}; with steps of {si(short.step_s, 's')} it is "
        f"{si(short.static_joules, 'J')}.",
    )
