"""Decoded blocks of any format -> checked `EventStream`s of even size, in bounded memory.

Strict: the first event that breaks a rule is an error with its index in the file. Repairing: it is
left out; an event that comes late is sorted in as long as what belongs after it is still held
(`HELD` events at least), else left out; all of it is counted.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.events.arrays import WIDE, narrow
from neurozsl.data.events.files.base import REPAIR, Array, Problems
from neurozsl.data.events.stream import EventStream, first_fault, joined, taken

BLOCK_EVENTS: Final = 2**17  # of a stream that is given out, at least, but for the last
HELD: Final = 2**16  # events that a repair keeps back, to sort late ones in


def screened(
    blocks: Iterator[Array], size: tuple[int, int], problems: Problems
) -> Iterator[EventStream]:
    """The checked streams; see the module docstring.

    Raises:
        BadInput: an event breaks a rule, and nothing is repaired.
    """
    checked = (_repaired if problems.repair else _strict)(blocks, size, problems)
    waiting: list[Array] = []
    for part in checked:
        waiting.append(part)
        if sum(map(len, waiting)) >= BLOCK_EVENTS:
            yield _stream(waiting, size, problems)
            waiting = []
    last = _stream(waiting, size, problems)
    if len(last) or last.repairs:
        yield last


def _stream(parts: list[Array], size: tuple[int, int], problems: Problems) -> EventStream:
    events = narrow(joined(parts)) if parts else narrow(np.empty(0, dtype=WIDE))
    return EventStream(events, *size, str(problems.path), problems.taken())


def _strict(blocks: Iterator[Array], size: tuple[int, int], problems: Problems) -> Iterator[Array]:
    seen = before_us = 0
    for block in blocks:
        # Bad input has one event from the block before, so that the first is in order with it.
        if len(block) and block["t"][0] < before_us:
            raise BadInput(
                f"{problems.path}: event {seen} has t {block['t'][0]} us, at least {before_us} "
                f"(that of the event before) is needed; sort the events by time, {REPAIR}"
            )
        fault = first_fault(block, *size)
        if fault is not None:
            at, _, told = fault.partition(" ")
            raise BadInput(f"{problems.path}: event {seen + int(at)} {told}, {REPAIR}")
        if len(block):
            before_us = int(block["t"][-1])
        seen += len(block)
        yield block


def _repaired(
    blocks: Iterator[Array], size: tuple[int, int], problems: Problems
) -> Iterator[Array]:
    seen = given_us = 0
    newest_us = -1  # of all that came so far
    held = np.empty(0, dtype=WIDE)
    for block in blocks:
        kept, index = _without_wrong(block, size, problems, seen)
        seen += len(block)
        late = kept["t"] < given_us
        if late.any():
            problems.note("too late", first=int(index[late][0]), count=int(late.sum()))
            kept, index = taken(kept, ~late), index[~late]
        if len(kept):
            before = np.concatenate(([newest_us], kept["t"][:-1]))
            moved = kept["t"] < np.maximum.accumulate(before)
            if moved.any():
                problems.note("out of order", first=int(index[moved][0]), count=int(moved.sum()))
            newest_us = max(newest_us, int(kept["t"].max()))
        held = joined((held, kept))
        held = taken(held, np.argsort(held["t"], kind="stable"))
        if len(held) > 2 * HELD:
            ready, held = held[:-HELD], held[-HELD:]
            given_us = int(ready["t"][-1])
            yield ready
    yield held


def _without_wrong(
    block: Array, size: tuple[int, int], problems: Problems, seen: int
) -> tuple[Array, Array]:
    """The events whose values are possible, and the index of each in the file."""
    t, x, y, p = (block[name] for name in ("t", "x", "y", "p"))
    wrong = np.zeros(len(block), dtype=np.bool_)
    for kind, mask in (
        ("polarity", (p < 0) | (p > 1)),
        ("off sensor", (x < 0) | (x >= size[0]) | (y < 0) | (y >= size[1])),
        ("time", t < 0),
    ):
        new = mask & ~wrong  # an event is counted once
        if new.any():
            problems.note(kind, first=seen + int(np.argmax(new)), count=int(new.sum()))  # type: ignore[arg-type]
        wrong |= mask
    index = np.flatnonzero(~wrong)
    return taken(block, index), index + seen
