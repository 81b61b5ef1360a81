"""What a reader of one format gives, and how it says what is wrong with a file.

A `Format` is data and one function: `source` opens a file of it and returns its sensor size, where
the file states one, and its events block by block as `WIDE`: decoded, not yet judged. What the
decoder itself meets (half a word at the end, a damaged packet) goes to `Problems`: an error, or in
a repair a note. Order, sensor and polarity are judged afterwards, for all formats in one place
(`screen`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events.repairs import Kind, Repair, Repairs

Array = npt.NDArray[Any]

HEAD_BYTES: Final = 4096  # of a file's begin, for `Format.begins`
READ_BYTES: Final = 2**18  # taken from a file of words at once
REPAIR: Final = "or read it with repair (repair=True, --repair), which leaves that out and lists it"


class Problems:
    """What is wrong with one file, while it is read; repair: note it instead of refusing it."""

    def __init__(self, path: Path, *, repair: bool) -> None:
        self.path = path
        self.repair = repair
        self.events = 0  # decoded so far; readers count
        self._parts: list[Repairs] = []

    def meet(self, kind: Kind, text: str, *, count: int = 1) -> None:
        """A problem; text: of object, value, limit and remedy, without the file.

        Raises:
            BadInput: unless repairing.
        """
        if not self.repair:
            raise BadInput(f"{self.path}: {text}, {REPAIR}")
        self.note(kind, count=count)

    def note(self, kind: Kind, *, count: int = 1, first: int | None = None) -> None:
        """Something left out that is no error, or is being repaired; first: by default the next."""
        if count:
            new = Repair(kind, count, self.events if first is None else first)
            self._parts = [Repairs.join((*self._parts, Repairs((new,))))]

    def taken(self) -> Repairs:
        """What was met since this was last asked."""
        parts, self._parts = self._parts, []
        return Repairs.join(parts)


@dataclass(frozen=True)
class Decoded:
    """An open recording: (width, height) where the file states it, and blocks of `WIDE`."""

    size: tuple[int, int] | None
    blocks: Iterator[Array]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as its makers call it.
        extensions: of its files, in lower case, with the dot.
        begins: whether the first bytes of a file are its; None where they say nothing.
        source: opens a file.
        size: of the sensor where neither file nor caller states one.
    """

    name: str
    extensions: tuple[str, ...]
    begins: Callable[[bytes], bool] | None
    source: Callable[[Path, Problems], Decoded]
    size: tuple[int, int] | None = None


def words(path: Path, start: int, dtype: str, problems: Problems) -> Iterator[Array]:
    """The words of a file from byte `start` on, in blocks; half a word at the end is a problem."""
    word = np.dtype(dtype)
    at = start
    with path.open("rb") as file:
        file.seek(start)
        while data := file.read(READ_BYTES // word.itemsize * word.itemsize):
            whole = len(data) // word.itemsize * word.itemsize
            if whole:
                yield np.frombuffer(data[:whole], dtype=word)
            at += whole
            if whole < len(data):
                problems.meet(
                    "truncated",
                    f"ends at byte {at + len(data) - whole} in the middle of a word of "
                    f"{word.itemsize} bytes that begins at byte {at}; copy the file again",
                )
