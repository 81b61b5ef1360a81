"""Prophesee EVT 3.0: words of 16 bits, little-endian, that change a state or send events.

    bits 15-12   type                      11-0
    0x0 row      y (10-0)                  0x6 time low, 0x8 time high: 12 bits each, us
    0x2 event    polarity (11), x (10-0)   0x3 base of a vector: polarity (11), x (10-0)
    0x4, 0x5     a vector: an event at base + i for each bit i of 12, or 8; base moves on by 12, 8
    0x7, 0xF     continued; 0xA trigger; 0xE other: no events of pixels, passed over

t = loops << 24 | time high << 12 | time low; a new time high starts with time low 0, and time high
that falls by nearly its whole range counts a loop (16.8 s). Events before the first time high or
the first row have no time or place and are left out, as the maker's reader does.

Read by a kernel of ours: the package `evt3` 0.4.1 gives the same 219,596 events of our sample but
takes EVT 2.0, random bytes and pixels beside the sensor without a word, and names no place of a
damage.

Source: docs.prophesee.ai, encoding formats, EVT 3.0; `metavision_evt3_raw_file_decoder` (OpenEB 4).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numba
import numpy as np

from neurozsl.data.events.arrays import WIDE
from neurozsl.data.events.files.base import Array, Decoded, Format, Problems, words
from neurozsl.data.events.files.prophesee import evt_version, read_header
from neurozsl.data.events.stream import taken

MOST_OF_A_WORD: Final = 12  # events
PART_WORDS: Final = 2**15  # decoded at once; bounds a block to 2**15 x 12 events
LOOP_FALL: Final = 0xFFF - 10  # of time high; the maker's threshold

# Places in the state that goes from block to block.
_HIGH, _LOW, _LOOPS, _ROW, _BASE, _POLARITY, _LOST, _UNKNOWN, _FIRST = range(9)


def source(path: Path, problems: Problems) -> Decoded:
    """Opens a recording."""
    header = read_header(path)
    return Decoded(header.size, _blocks(path, header.start, problems))


def _blocks(path: Path, start: int, problems: Problems) -> Iterator[Array]:
    state = np.zeros(9, dtype=np.int64)
    state[_HIGH] = state[_ROW] = -1
    done = 0
    for block in words(path, start, "<u2", problems):
        for begin in range(0, len(block), PART_WORDS):
            part = block[begin : begin + PART_WORDS]
            state[_LOST] = state[_UNKNOWN] = state[_FIRST] = 0
            wide = np.empty(len(part) * MOST_OF_A_WORD, dtype=WIDE)
            count = _decode(part, state, wide)
            problems.note("no time", count=int(state[_LOST]))
            if state[_UNKNOWN]:
                at = int(state[_FIRST])
                problems.meet(
                    "damaged",
                    f"word of type 0x{part[at] >> 12:x} at byte {start + 2 * (done + at)}, which "
                    "EVT 3.0 does not have; check that the file is whole and is EVT 3.0",
                    count=int(state[_UNKNOWN]),
                )
            done += len(part)
            problems.events += count
            yield taken(wide, slice(count))  # or the whole of `wide` stays


def _decode_loop(block: Array, state: Array, out: Array) -> int:
    """Decodes words into `out`, changes `state`; returns the number of events."""
    n = 0
    for i in range(len(block)):
        word = np.int64(block[i])
        kind, low12 = word >> 12, word & 0xFFF
        if kind == 0x0:
            state[_ROW] = word & 0x7FF
        elif kind == 0x2:
            if state[_HIGH] < 0 or state[_ROW] < 0:
                state[_LOST] += 1
            else:
                event = out[n]
                event["t"] = state[_LOOPS] << 24 | state[_HIGH] << 12 | state[_LOW]
                event["x"], event["y"], event["p"] = word & 0x7FF, state[_ROW], low12 >> 11
                n += 1
        elif kind == 0x3:
            state[_BASE], state[_POLARITY] = word & 0x7FF, low12 >> 11
        elif kind == 0x4 or kind == 0x5:
            width = 12 if kind == 0x4 else 8
            for bit in range(width):
                if not word >> bit & 1:
                    continue
                if state[_HIGH] < 0 or state[_ROW] < 0:
                    state[_LOST] += 1
                    continue
                event = out[n]
                event["t"] = state[_LOOPS] << 24 | state[_HIGH] << 12 | state[_LOW]
                event["x"], event["y"] = state[_BASE] + bit, state[_ROW]
                event["p"] = state[_POLARITY]
                n += 1
            state[_BASE] += width
        elif kind == 0x6:
            state[_LOW] = low12
        elif kind == 0x8:
            if state[_HIGH] - low12 >= LOOP_FALL:
                state[_LOOPS] += 1
            # A time that is said again does not set back what came since.
            if state[_HIGH] != low12:
                state[_LOW] = 0
            state[_HIGH] = low12
        elif kind != 0x7 and kind != 0xA and kind != 0xE and kind != 0xF:
            if state[_UNKNOWN] == 0:
                state[_FIRST] = i
            state[_UNKNOWN] += 1
    return n


# numba's decorator is untyped; naming the compiled function keeps its signature.
_decode: Callable[[Array, Array, Array], int] = numba.njit(cache=True)(_decode_loop)


def begins(head: bytes) -> bool:
    """Whether a file begins as one of this version."""
    return (evt_version(head) or "") in ("3", "3.0")


EVT3: Final = Format("Prophesee EVT 3.0", (".raw",), begins, source)
