"""Prophesee EVT 2.0: words of 32 bits, little-endian, one event each.

    bits 31-28   type: 0x0 OFF, 0x1 ON, 0x8 time high, 0xA trigger, 0xE other, 0xF continued
    event        27-22 time low (us), 21-11 x, 10-0 y
    time high    27-0 the upper 28 bits of a time of 34 bits

t = time high << 6 | time low. The 34 bits begin again after 4.8 hours, which counts on. Events
before the first time word have no time and are left out, as the maker's reader does.

Source: docs.prophesee.ai, encoding formats, EVT 2.0 (OpenEB 4).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from neurozsl.data.events.arrays import WIDE
from neurozsl.data.events.files.base import Array, Decoded, Format, Problems, words
from neurozsl.data.events.files.prophesee import evt_version, read_header

OFF, ON, TIME_HIGH, TRIGGER, OTHER, CONTINUED = 0x0, 0x1, 0x8, 0xA, 0xE, 0xF
KNOWN: Final = (OFF, ON, TIME_HIGH, TRIGGER, OTHER, CONTINUED)
LOOP_US: Final = 2**34


def source(path: Path, problems: Problems) -> Decoded:
    """Opens a recording."""
    header = read_header(path)
    return Decoded(header.size, _blocks(path, header.start, problems))


def _blocks(path: Path, start: int, problems: Problems) -> Iterator[Array]:
    high = -1  # the last time high, loops counted in; -1: none yet
    done = 0
    for block in words(path, start, "<u4", problems):
        kind = block >> 28
        unknown = ~np.isin(kind, KNOWN)
        if unknown.any():
            at = int(np.argmax(unknown))
            problems.meet(
                "damaged",
                f"word of type 0x{kind[at]:x} at byte {start + 4 * (done + at)}, EVT 2.0 has "
                f"{', '.join(f'0x{x:x}' for x in KNOWN)}; check that the file is whole and is "
                "EVT 2.0",
                count=int(unknown.sum()),
            )
        highs, high = _time_high(block, kind == TIME_HIGH, high)
        is_event = kind <= ON
        timed = is_event & (highs >= 0)
        problems.note("no time", count=int(is_event.sum() - timed.sum()))
        word = block[timed]
        wide = np.empty(len(word), dtype=WIDE)
        wide["t"] = highs[timed] << 6 | (word >> 22 & 0x3F)
        wide["x"] = word >> 11 & 0x7FF
        wide["y"] = word & 0x7FF
        wide["p"] = word >> 28
        done += len(block)
        problems.events += len(wide)
        yield wide


def _time_high(block: Array, is_time: Array, before: int) -> tuple[Array, int]:
    """The time high that holds at each word, -1 for none, and the last of all."""
    at = np.flatnonzero(is_time)
    if not len(at):
        return np.full(len(block), before, dtype=np.int64), before
    stated = (block[at] & 0xFFF_FFFF).astype(np.int64)
    turn = LOOP_US >> 6
    # What falls by more than half of the range began again.
    first = before % turn if before >= 0 else stated[0]
    falls = np.diff(stated, prepend=first) < -turn // 2
    stated += (before // turn if before >= 0 else 0) * turn + np.cumsum(falls) * turn
    index = np.cumsum(is_time)
    return np.concatenate(([before], stated))[index], int(stated[-1])


def begins(head: bytes) -> bool:
    """Whether a file begins as one of this version."""
    return (evt_version(head) or "") in ("2", "2.0")


EVT2: Final = Format("Prophesee EVT 2.0", (".raw",), begins, source)
