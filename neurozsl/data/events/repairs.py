"""What reading a recording left out, moved or cut: a lossy step tells what it lost."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal[
    "no time", "truncated", "damaged", "polarity", "off sensor", "time", "out of order", "too late"
]
ACTIONS: Final[dict[Kind, str]] = {
    "no time": "sent before the camera's first time or row, left out",
    "truncated": "the end that is no whole word or packet, left out",
    "damaged": "words or packets that cannot be read, left out",
    "polarity": "polarity neither 0 nor 1, left out",
    "off sensor": "beside the sensor, left out",
    "time": "time below 0, left out",
    "out of order": "earlier than the event before, sorted in",
    "too late": "earlier than what was given out before, left out",
}


@dataclass(frozen=True)
class Repair:
    """One kind of repair; first: index of the first event of it, in the file's order from 0."""

    kind: Kind
    count: int
    first: int

    @property
    def line(self) -> str:
        """For a table or a message.

        >>> Repair("polarity", 2, 17).line
        '2 x polarity neither 0 nor 1, left out (first at event 17)'
        """
        return f"{self.count} x {ACTIONS[self.kind]} (first at event {self.first})"


@dataclass(frozen=True)
class Repairs:
    """All repairs of a recording or a part of it, one entry a kind."""

    found: tuple[Repair, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.found)

    def count(self, kind: Kind) -> int:
        """How many of one kind."""
        return sum(each.count for each in self.found if each.kind == kind)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line a kind."""
        return tuple(each.line for each in self.found)

    @staticmethod
    def join(parts: Iterable["Repairs"]) -> "Repairs":
        """The sum, in the order of `Kind`.

        >>> one = Repairs((Repair("polarity", 2, 17),))
        >>> Repairs.join((one, Repairs((Repair("polarity", 1, 5),)))).found
        (Repair(kind='polarity', count=3, first=5),)
        """
        every = [each for part in parts for each in part.found]
        found = []
        for kind in get_args(Kind):
            same = [each for each in every if each.kind == kind]
            if same:
                found.append(Repair(kind, sum(x.count for x in same), min(x.first for x in same)))
        return Repairs(tuple(found))


NONE: Final = Repairs()
