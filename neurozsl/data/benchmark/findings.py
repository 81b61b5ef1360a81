"""What a check found: one `Finding` per deviation, never the first one only.

error: the set cannot be used, or would give wrong numbers. warning: usable here, but not as the
published loader would read it, or doubtful. note: a difference worth knowing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal

from neurozsl.core.errors import BadInput

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One deviation.

    Attributes:
        level: how much it matters.
        what: its kind, in one or two words with hyphens.
        where: file or folder below the root.
        text: what was found, what is expected, what to do.
        items: every class, video or row that it concerns.
    """

    level: Level
    what: str
    where: str
    text: str
    items: tuple[str, ...] = ()

    def line(self) -> str:
        """One line for people; at most `SHOWN` items.

        >>> Finding("note", "count", "train", "3 videos", ("a", "b")).line()
        'train: 3 videos: a, b'
        """
        if not self.items:
            return f"{self.where}: {self.text}"
        more = len(self.items) - SHOWN
        listed = ", ".join(self.items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"{self.where}: {self.text}: {listed}"


def repeated(values: Iterable[str]) -> list[str]:
    """What is listed more than once, in the order of the first time."""
    return [value for value, times in Counter(values).items() if times > 1]


@dataclass
class Found:
    """Collects findings while a folder is walked; the one changing thing of a check."""

    findings: list[Finding] = field(default_factory=list)

    def add(
        self, level: Level, what: str, where: object, text: str, items: Iterable[object] = ()
    ) -> None:
        """Adds one deviation."""
        self.findings.append(Finding(level, what, str(where), text, tuple(map(str, items))))

    def some(
        self, level: Level, what: str, where: object, text: str, items: Iterable[object]
    ) -> None:
        """Adds one deviation if there is something that it concerns; `{n}` stands for how much."""
        listed = list(items)
        if listed:
            self.add(level, what, where, text.replace("{n}", str(len(listed))), listed)

    @contextmanager
    def refused(self, what: str, where: object) -> Iterator[None]:
        """Adds the refusal of what is read inside as an error; what follows the block goes on."""
        try:
            yield
        except BadInput as error:
            self.add("error", what, where, str(error))

    def ordered(self) -> tuple[Finding, ...]:
        """Errors first; otherwise in the order in which they were found, each once."""
        once = dict.fromkeys(self.findings)
        return tuple(sorted(once, key=lambda each: LEVELS.index(each.level)))


@dataclass(frozen=True)
class AlignedSplit:
    """How many classes of a split the published loader gives another class's vector."""

    split: str
    wrong: int
    total: int


@dataclass(frozen=True)
class CheckReport:
    """All that a check found, and what the folder is."""

    folder: str
    kind: str
    synthetic: bool
    findings: tuple[Finding, ...]
    alignment: tuple[AlignedSplit, ...] = ()

    @property
    def usable(self) -> bool:
        """No error was found."""
        return not any(each.level == "error" for each in self.findings)

    def to_json(self) -> dict[str, object]:
        """Returns the report as plain values."""
        return {**asdict(self), "usable": self.usable}
