"""A verdict on two families (`frontier_statement`) as one plain sentence."""

from collections.abc import Mapping
from typing import Final

from neurozsl.studies.frontier_statement import Side, Stretch, Verdict

Names = Mapping[Side, str]
NAMES: Final[Names] = {"first": "the spiking network", "second": "the dense network"}
_OTHER: Final[Mapping[Side, Side]] = {"first": "second", "second": "first"}


def sentence(prices: str, found: Verdict, names: Names = NAMES) -> str:
    """What the verdict says; prices: the pair of cost tables."""
    return f"{prices}: {_said(found, names)}{_only(found, names)}{_seeds(found.seeds)}"


def _said(found: Verdict, names: Names) -> str:
    whole = _span(found.stretches[0].start, found.stretches[-1].to) if found.stretches else ""
    if not found.levels:
        ranges = f"HM {_span(*found.first)} and {_span(*found.second)}"
        if found.kind == "undecided":
            return f"the seeds do not decide, {ranges} differ by less than they scatter"
        return f"not comparable, {ranges} do not meet"
    if found.kind == "tie":
        return f"a tie at HM {whole}"
    if found.kind == "dominates":
        assert found.winner is not None
        top = (found.second if found.winner == "first" else found.first)[1]
        name, other = names[found.winner], names[_OTHER[found.winner]]
        own = [x for x in found.stretches if x.cheaper == found.winner]
        return (
            f"{name} dominates: at every HM that {other} reaches (up to {top:.1f}) it needs at "
            f"most as much energy ({_times(own)} less)"
        )
    if found.kind == "cheaper":
        assert found.winner is not None
        own = [x for x in found.stretches if x.cheaper == found.winner]
        ties = [x for x in found.stretches if x.cheaper == "tie"]
        tied = "".join(f", a tie {_where(x, found)}" for x in ties)
        return f"{names[found.winner]} is cheaper at HM {whole} ({_times(own)}){tied}"
    return ", ".join(_stretch(x, found, names) for x in found.stretches)


def _stretch(one: Stretch, found: Verdict, names: Names) -> str:
    where = _where(one, found)
    if one.cheaper == "tie":
        return f"a tie {where}"
    if one.cheaper == "undecided":
        return f"the seeds do not decide {where}"
    return f"{names[one.cheaper]} is cheaper {where} ({_times([one])})"


def _where(one: Stretch, found: Verdict) -> str:
    first, last = one is found.stretches[0], one is found.stretches[-1]
    if first and last:
        return f"at HM {_span(one.start, one.to)}"
    if first:
        return f"up to HM {one.to:.1f}"
    return f"above HM {one.start:.1f}" if last else f"above HM {one.start:.1f} to {one.to:.1f}"


def _only(found: Verdict, names: Names) -> str:
    """Who alone reaches more."""
    if not found.levels:
        return ""
    side: Side = "first" if found.first[1] > found.second[1] else "second"
    least, most = sorted((found.first[1], found.second[1]))
    if f"{least:.1f}" == f"{most:.1f}":
        return ""
    return f"; HM above {least:.1f}, up to {most:.1f}, is reached by {names[side]} alone"


def _seeds(number: int) -> str:
    return " (one seed, so no interval)" if number == 1 else f" ({number} seeds)"


def _times(stretches: list[Stretch]) -> str:
    least, most = min(x.least for x in stretches), max(x.most for x in stretches)
    low, high = _ratio(least), _ratio(most)
    return f"{high} times" if low == high else f"{low} to {high} times"


def _ratio(value: float) -> str:
    """Two digits of a quotient of at least 1; three below 1.1.

    >>> _ratio(1.06), _ratio(3.26), _ratio(127481.0)
    ('1.06', '3.3', '130,000')
    """
    if value < 1.095:
        return f"{value:.2f}"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.1f}"


def _span(low: float, high: float) -> str:
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
