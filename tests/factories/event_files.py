"""Files of event cameras written word by word, and decoders that read them word by word.

Both are slow and obvious; the product's readers are compared with them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.data.events.stream import EVENT

Events = npt.NDArray[Any]

AEDAT_EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)


def random_events(
    count: int, size: tuple[int, int], *, seed: int = 0, last_us: int = 300_000
) -> Events:
    """Sorted events all over a sensor."""
    rng = np.random.default_rng(seed)
    events = np.empty(count, dtype=EVENT)
    events["t"] = np.sort(rng.integers(0, last_us, count))
    events["x"], events["y"] = rng.integers(0, size[0], count), rng.integers(0, size[1], count)
    events["p"] = rng.integers(0, 2, count)
    return events


def header(evt: str, size: tuple[int, int] | None, *, end: bool = True) -> bytes:
    """Text of a Prophesee recording."""
    geometry = f"% geometry {size[0]}x{size[1]}\n" if size else ""
    return f"% Date 2026-01-01\n% evt {evt}\n{geometry}{'% end' + chr(10) if end else ''}".encode()


# ---------------------------------------------------------------- EVT 2.0


def evt2_words(events: Events) -> list[int]:
    """A time word whenever the upper 28 bits change, then each event."""
    words, high = [], -1
    for t, x, y, p in events.tolist():
        if t >> 6 != high:
            high = t >> 6
            words.append(0x8 << 28 | high & 0xFFF_FFFF)
        words.append(p << 28 | (t & 0x3F) << 22 | x << 11 | y)
    return words


def evt2(events: Events, size: tuple[int, int] | None) -> bytes:
    return header("2.0", size) + np.array(evt2_words(events), dtype="<u4").tobytes()


def slow_evt2(words: Sequence[int]) -> list[tuple[int, int, int, int]]:
    found, high, loops = [], -1, 0
    for word in words:
        kind = word >> 28
        if kind == 0x8:
            new = word & 0xFFF_FFFF
            loops += new < high - 2**27
            high = new
        elif kind in (0, 1) and high >= 0:
            t = (loops << 34) + (high << 6) + (word >> 22 & 63)
            found.append((t, word >> 11 & 2047, word & 2047, kind))
    return found


# ---------------------------------------------------------------- EVT 3.0


def evt3_words(events: Events, *, vectors: bool = False) -> list[int]:
    """Words for time and row where they change; events that stand side by side as vectors."""
    words: list[int] = []
    high = low = row = -1
    rest = events.tolist()
    while rest:
        t, x, y, p = rest.pop(0)
        if t >> 12 != high:
            high, low = t >> 12, 0
            words.append(0x8000 | high & 0xFFF)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if y != row:
            row = y
            words.append(0x0000 | row)
        if not vectors:
            words.append(0x2000 | p << 11 | x)
            continue
        mask = 1
        while rest and (rest[0][0], *rest[0][2:]) == (t, y, p) and x < rest[0][1] < x + 12:
            if mask >> (rest[0][1] - x):
                break  # not to the right of the one before
            mask |= 1 << (rest.pop(0)[1] - x)
        words += [0x3000 | p << 11 | x, (0x5000 if mask < 256 else 0x4000) | mask]
    return words


def evt3(events: Events, size: tuple[int, int] | None, *, vectors: bool = False) -> bytes:
    words = np.array(evt3_words(events, vectors=vectors), dtype="<u2")
    return header("3.0", size) + words.tobytes()


def slow_evt3(words: Sequence[int]) -> list[tuple[int, int, int, int]]:
    found = []
    high = row = -1
    low = loops = base = sign = 0
    for word in words:
        kind, rest = word >> 12, word & 0xFFF
        if kind == 0x0:
            row = rest & 2047
        elif kind == 0x3:
            base, sign = rest & 2047, rest >> 11
        elif kind == 0x6:
            low = rest
        elif kind == 0x8:
            loops += high - rest >= 4085
            low = low if rest == high else 0
            high = rest
        elif kind in (0x2, 0x4, 0x5):
            t = (loops << 24) + (high << 12) + low
            width = {0x2: 1, 0x4: 12, 0x5: 8}[kind]
            mask, x = (1, rest & 2047) if kind == 0x2 else (rest, base)
            p = rest >> 11 if kind == 0x2 else sign
            if high >= 0 and row >= 0:
                found += [(t, x + i, row, p) for i in range(width) if mask >> i & 1]
            base += width if kind != 0x2 else 0
    return found


# ---------------------------------------------------------------- N-MNIST


def atis(events: Events) -> bytes:
    """Words of 40 bits; content of `.bin` and `.bs2` files."""
    return b"".join(
        bytes((x, y)) + (p << 23 | t).to_bytes(3, "big") for t, x, y, p in events.tolist()
    )


def slow_atis(data: bytes) -> list[tuple[int, int, int, int]]:
    found, added = [], 0
    for at in range(0, len(data) - len(data) % 5, 5):
        x, y, rest = data[at], data[at + 1], int.from_bytes(data[at + 2 : at + 5], "big")
        if y == 240:
            added += 2**13
        else:
            found.append(((rest & 0x7F_FFFF) + added, x, y, rest >> 23))
    return found


# ---------------------------------------------------------------- AEDAT 4

_STREAM = (
    '<node name="{0}" path="/out/{0}/"><attr key="compression" type="string">NONE</attr>'
    '<attr key="typeIdentifier" type="string">{1}</attr><node name="info" path="/out/{0}/info/">'
    '<attr key="sizeX" type="int">{2}</attr><attr key="sizeY" type="int">{3}</attr></node></node>'
)


def aedat4(
    parts: Sequence[Events], size: tuple[int, int], *, kinds: Sequence[str] = ("EVTS",)
) -> bytes:
    """A recording without compression, one packet a part, all of stream 0."""
    inner = "".join(_STREAM.format(i, kind, *size) for i, kind in enumerate(kinds))
    xml = f'<dv version="2.0"><node name="outInfo" path="/out/">{inner}</node></dv>'
    return aedat4_head(xml.encode()) + b"".join(aedat4_packet(part) for part in parts)


def aedat4_head(xml: bytes, *, compression: int = 0) -> bytes:
    # flatbuffer: root, identifier, vtable (three fields), table, string
    body = struct.pack("<I4s5Hxxi", 20, b"IOHE", 10, 20, 4, 8, 16, 12)
    body += struct.pack("<iqI4x", compression, -1, 8) + struct.pack("<I", len(xml)) + xml + b"\0"
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(body)) + body


def aedat4_packet(events: Events, stream: int = 0) -> bytes:
    wide = np.zeros(len(events), dtype=AEDAT_EVENT)
    for name in ("t", "x", "y", "p"):
        wide[name] = events[name]
    body = struct.pack("<I4s3HxxiII", 16, b"EVTS", 6, 8, 4, 8, 4, len(events)) + wide.tobytes()
    body = struct.pack("<I", len(body)) + body
    return struct.pack("<iI", stream, len(body)) + body


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
