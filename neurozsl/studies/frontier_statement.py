"""Which of two families is cheaper at equal HM: from priced settings to a verdict.

A setting reaches a level of HM where its mean over the seeds is at least the level. At every level
(the mean HM of every setting) the cheapest setting of each family that reaches it is taken, and the
cheaper one of the two is the cheaper family there::

    tie         the two differ by at most 5 %, or by the smaller of their published half intervals
                where both have one
    undecided   with several seeds: the answer is another one where a setting also reaches a level
                whose own setting is not better by more than chance, i.e. where the 95 % interval of
                the paired differences (Student's t over the seeds) is not wholly below 0

Between two levels nothing was trained, so that an answer holds from above the level before up to
its own. Levels that lie below all settings of a family say nothing of a smaller one of it; the
verdict is made where the HM of both families meet, and `dominates` looks at all levels.

With three seeds the interval is +-2.5 standard deviations of a difference: wide. A verdict that it
leaves standing is safe; "undecided" asks for more seeds, it does not say that families are equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt
from statistics import mean, stdev
from typing import Final, Literal

from neurozsl.core.errors import BadInput

Side = Literal["first", "second", "tie", "undecided"]
Kind = Literal["dominates", "cheaper", "crossing", "tie", "undecided", "not comparable"]
TIE: Final = 0.05
# 97.5 % quantile of Student's t by degrees of freedom; from 10 on that of 10, which is wider.
_T: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_EPSILON: Final = 1e-9


@dataclass(frozen=True)
class Offer:
    """One setting at one price: joules of an inference and HM in percent by seed.

    low, high: the published interval of the joules; None where there is none.
    """

    name: str
    joules: float
    hm: Mapping[int, float]
    low: float | None = None
    high: float | None = None

    @property
    def mean(self) -> float:
        """Of HM over the seeds."""
        return mean(self.hm.values())

    @property
    def half(self) -> float | None:
        """Half the published interval over the value."""
        if self.low is None or self.high is None or self.joules <= 0:
            return None
        return (self.high - self.low) / 2 / self.joules


@dataclass(frozen=True)
class Level:
    """The cheapest setting of each family that reaches an HM, and which family is cheaper."""

    hm: float
    first: str
    first_joules: float
    second: str
    second_joules: float
    cheaper: Side

    @property
    def ratio(self) -> float:
        """Joules of the dearer one over those of the cheaper one."""
        low, high = sorted((self.first_joules, self.second_joules))
        return high / low if low > 0 else float("inf")


@dataclass(frozen=True)
class Stretch:
    """Neighbouring levels with one answer, up to `to`; ratios over them."""

    start: float
    to: float
    cheaper: Side
    least: float
    most: float


@dataclass(frozen=True)
class Verdict:
    """What can be said of two families at one pair of prices.

    winner: of kinds `dominates` and `cheaper`. first, second: least and most mean HM. seeds: that
    both have; one gives no interval.
    """

    kind: Kind
    winner: Side | None
    first: tuple[float, float]
    second: tuple[float, float]
    seeds: int
    levels: tuple[Level, ...]
    stretches: tuple[Stretch, ...]


def paired_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of their mean by Student's t; None for one of them.

    >>> [round(x, 2) for x in paired_interval([1.0, 2.0, 3.0])]
    [-0.48, 4.48]
    """
    if len(differences) < 2:
        return None
    half = _T[min(len(differences) - 1, len(_T)) - 1] * stdev(differences) / sqrt(len(differences))
    return mean(differences) - half, mean(differences) + half


def verdict(first: Sequence[Offer], second: Sequence[Offer]) -> Verdict:
    """Compare two families, in any order of their settings.

    Raises:
        BadInput: a family has no setting, or the settings do not share their seeds.
    """
    first, second = tuple(first), tuple(second)
    every = (*first, *second)
    if not first or not second:
        raise BadInput("frontier: a family has no setting, so nothing can be compared")
    if len({frozenset(offer.hm) for offer in every}) > 1:
        raise BadInput("frontier: settings with different seeds are not paired; train the rest")
    ranges = _range(first), _range(second)
    levels = {hm: _level(hm, first, second) for hm in sorted({offer.mean for offer in every})}
    low, high = max(x[0] for x in ranges), min(x[1] for x in ranges)
    met = tuple(x for hm, x in levels.items() if x is not None and low <= hm <= high)
    best = _dominates(levels, ranges)
    if best is not None:
        met = tuple(x for x in levels.values() if x is not None)
    kind, winner = _of({x.cheaper for x in met}) if best is None else ("dominates", best)
    if kind == "not comparable" and _may_meet(first, second):
        kind = "undecided"
    return Verdict(kind, winner, *ranges, len(every[0].hm), met, _stretches(met))


def _range(offers: Sequence[Offer]) -> tuple[float, float]:
    means = [offer.mean for offer in offers]
    return min(means), max(means)


def _level(hm: float, first: Sequence[Offer], second: Sequence[Offer]) -> Level | None:
    """The answer at a level; None where one family does not reach it."""
    a, b = _cheapest(first, hm), _cheapest(second, hm)
    if a is None or b is None:
        return None
    found = _cheaper(a, b)
    if found != "tie" and len(a.hm) > 1:
        at = [offer for offer in (*first, *second) if offer.mean == hm]
        wider = [[x for x in family if _reaches(x, at)] for family in (first, second)]
        least = [min(family, key=lambda x: (x.joules, x.name)) for family in wider]
        if _cheaper(*least) != found:
            found = "undecided"
    return Level(hm, a.name, a.joules, b.name, b.joules, found)


def _cheapest(offers: Sequence[Offer], hm: float) -> Offer | None:
    reach = [offer for offer in offers if offer.mean >= hm - _EPSILON]
    return min(reach, key=lambda x: (x.joules, -x.mean, x.name)) if reach else None


def _reaches(offer: Offer, at: Sequence[Offer]) -> bool:
    """Whether a setting reaches the level of `at` within the interval of the paired differences."""
    if offer.mean >= at[0].mean - _EPSILON:
        return True
    found = [paired_interval([offer.hm[s] - one.hm[s] for s in one.hm]) for one in at]
    return any(x is not None and x[1] >= 0 for x in found)


def _cheaper(first: Offer, second: Offer) -> Side:
    halves = (first.half, second.half)
    near = TIE if None in halves else min(x for x in halves if x is not None)
    low, high = sorted((first.joules, second.joules))
    if high <= low * (1 + near):
        return "tie"
    return "first" if first.joules < second.joules else "second"


def _dominates(
    levels: Mapping[float, Level | None], ranges: tuple[tuple[float, float], tuple[float, float]]
) -> Side | None:
    """The family that is cheaper or equal at every HM that the other one reaches, if there is one.

    Equal everywhere is no domination.
    """
    sides: tuple[Side, Side] = ("first", "second")
    for number, side in enumerate(sides):
        own, other = ranges[number], ranges[1 - number]
        answers = {x.cheaper for hm, x in levels.items() if hm <= other[1] and x is not None}
        if own[1] >= other[1] - _EPSILON and answers <= {side, "tie"} and side in answers:
            return side
    return None


def _may_meet(first: Sequence[Offer], second: Sequence[Offer]) -> bool:
    """Whether the best of the worse family reaches the worst of the better one, by the interval."""
    worse, better = sorted((first, second), key=lambda x: _range(x)[1])
    worst = min(better, key=lambda x: x.mean)
    return any(_reaches(offer, [worst]) for offer in worse)


def _of(answers: set[Side]) -> tuple[Kind, Side | None]:
    """The kind of a verdict by the answers of the levels that both families meet at."""
    if not answers:
        return "not comparable", None
    if answers == {"tie"}:
        return "tie", None
    if answers == {"undecided"}:
        return "undecided", None
    sides: tuple[Side, Side] = ("first", "second")
    for side in sides:
        if answers <= {side, "tie"}:
            return "cheaper", side
    return ("crossing" if {"first", "second"} <= answers else "undecided"), None


def _stretches(levels: Sequence[Level]) -> tuple[Stretch, ...]:
    found, start = list[Stretch](), levels[0].hm if levels else 0.0
    for side, own in groupby(levels, key=lambda x: x.cheaper):
        group = list(own)
        ratios = [x.ratio for x in group]
        found.append(Stretch(start, group[-1].hm, side, min(ratios), max(ratios)))
        start = group[-1].hm
    return tuple(found)
