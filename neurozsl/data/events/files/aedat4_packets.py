r"""Where the packets of an AEDAT 4 file lie and how much they may unpack to, without unpacking any.

    "#!AER-DAT4.0\r\n", size (4 bytes), IOHeader (flatbuffer: compression, place of the table of
    packets, XML that describes the streams), then packets: stream (4 bytes), size (4 bytes),
    content; behind the last, at the place that the IOHeader states, the table

The decoder believes sizes; here they are compared with the file and with limits first, and a file
that was cut is told by the packet and the byte.

Source: AEDAT 4.0 file format, docs.inivation.com; LZ4 frame format 1.6.2; RFC 8878 (Zstandard).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal
from xml.etree import ElementTree

from neurozsl.core.errors import BadInput

MAGIC: Final = b"#!AER-DAT4.0\r\n"
MAX_HEADER: Final = 2**22  # bytes of the IOHeader
MAX_PACKET: Final = 2**28  # bytes of a packet, unpacked
NONE, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)
_LZ4_MAGIC, _ZSTD_MAGIC = 0x184D2204, 0xFD2FB528
_LZ4_BLOCK: Final = {4: 2**16, 5: 2**18, 6: 2**20, 7: 2**22}
_LZ4_RATIO: Final = 255
_ZSTD_BLOCK: Final = 2**17


@dataclass(frozen=True)
class Head:
    """compression: of the packets. start, stop: first byte of the packets, and behind the last."""

    compression: int
    start: int
    stop: int


@dataclass(frozen=True)
class Cut:
    """Why the packets cannot be read to the end. packet: its number. at: its first byte."""

    packet: int
    at: int
    kind: Literal["truncated", "damaged"]
    reason: str


def read_head(path: Path) -> Head:
    """The IOHeader, checked.

    Raises:
        BadInput: it is cut or damaged, or its XML is none.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(len(MAGIC) + 4)
        length = int.from_bytes(begin[len(MAGIC) :], "little")
        start = len(MAGIC) + 4 + length
        if len(begin) < len(MAGIC) + 4 or length > MAX_HEADER or start > size:
            raise BadInput(
                f"{path}: claims a header of {length} bytes, the file has {size} and the limit is "
                f"{MAX_HEADER}; copy the file again"
            )
        data = file.read(length)
    try:
        compression, table, text = _io_header(data)
        if "<!" in text:  # no entities, which may unpack to anything
            raise ValueError("its XML has a declaration")
        ElementTree.fromstring(text)  # the decoder stops the process's thread on some broken XML
    except (struct.error, ValueError, ElementTree.ParseError) as error:
        raise BadInput(f"{path}: header is damaged ({error}); copy the file again") from error
    if not NONE <= compression <= ZSTD_HIGH:
        raise BadInput(f"{path}: packed by method {compression}, 0 to 4 are known; record as LZ4")
    return Head(compression, start, table if start <= table <= size else size)


def first_cut(path: Path, head: Head) -> Cut | None:
    """The first packet that is not whole, or unpacks to too much; None where all are right."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at, number = head.start, 0
        while at < head.stop:
            file.seek(at)
            begin = file.read(8)
            if len(begin) < 8:
                return Cut(
                    number, at, "truncated", f"ends in its first 8 bytes, the file has {size}"
                )
            length = struct.unpack("<iI", begin)[1]
            if at + 8 + length > size:
                reason = f"claims {length} bytes, {size - at - 8} follow in the file"
                return Cut(number, at, "truncated", reason)
            try:
                unpacked = sum(_unpacked(file, head.compression, at + 8, length))
            except (struct.error, ValueError) as error:
                return Cut(number, at, "damaged", f"is damaged ({error})")
            if unpacked > MAX_PACKET:
                reason = f"may unpack to {unpacked} bytes, the limit is {MAX_PACKET}"
                return Cut(number, at, "damaged", reason)
            at += 8 + length
            number += 1
    return None


def _io_header(data: bytes) -> tuple[int, int, str]:
    """Compression, place of the table (-1: none) and XML of the flatbuffer `IOHE`."""
    if data[4:8] != b"IOHE":
        raise ValueError(f"it begins {data[:8]!r}")
    table = struct.unpack_from("<I", data)[0]
    fields = table - struct.unpack_from("<i", data, table)[0]
    count = (struct.unpack_from("<H", data, fields)[0] - 4) // 2
    offsets = struct.unpack_from(f"<{min(count, 3)}H", data, fields + 4)
    compression = place = text = 0
    if count > 0 and offsets[0]:
        compression = struct.unpack_from("<i", data, table + offsets[0])[0]
    place = struct.unpack_from("<q", data, table + offsets[1])[0] if count > 1 and offsets[1] else 0
    if count < 3 or not offsets[2]:
        raise ValueError("it describes no streams")
    text = table + offsets[2]
    text += struct.unpack_from("<I", data, text)[0]
    length = struct.unpack_from("<I", data, text)[0]
    if text + 4 + length > len(data):
        raise ValueError(f"its XML claims {length} bytes")
    return compression, place, data[text + 4 : text + 4 + length].decode("utf-8")


def _unpacked(file: IO[bytes], compression: int, at: int, length: int) -> Iterator[int]:
    """Upper bounds of what the blocks of a packet unpack to, bytes."""
    file.seek(at)
    if compression == NONE:
        yield length
    elif compression in (LZ4, LZ4_HIGH):
        yield from _lz4_blocks(file, at + length)
    else:
        yield from _zstd_blocks(file, at + length)


def _lz4_blocks(file: IO[bytes], stop: int) -> Iterator[int]:
    magic, flags, sizes = struct.unpack("<IBB", file.read(6))
    if magic != _LZ4_MAGIC or flags >> 6 != 1 or sizes >> 4 & 7 not in _LZ4_BLOCK:
        raise ValueError("no LZ4 frame")
    most = _LZ4_BLOCK[sizes >> 4 & 7]
    file.seek(1 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0), 1)
    while file.tell() < stop:
        stored = struct.unpack("<I", file.read(4))[0]
        if stored == 0:
            return
        size = stored & 0x7FFF_FFFF
        yield size if stored >> 31 else min(most, _LZ4_RATIO * size)
        file.seek(size + (4 if flags & 16 else 0), 1)
    raise ValueError("LZ4 blocks go beyond the packet")


def _zstd_blocks(file: IO[bytes], stop: int) -> Iterator[int]:
    magic, flags = struct.unpack("<IB", file.read(5))
    if magic != _ZSTD_MAGIC:
        raise ValueError("no Zstandard frame")
    single = flags >> 5 & 1
    sizes = (1 if single else 0, 2, 4, 8)[flags >> 6]
    file.seek((0 if single else 1) + (0, 1, 2, 4)[flags & 3] + sizes, 1)
    last = False
    while not last:
        if file.tell() >= stop:
            raise ValueError("Zstandard blocks go beyond the packet")
        begin = file.read(3)
        block = int.from_bytes(begin, "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if len(begin) < 3 or kind == 3 or size > _ZSTD_BLOCK:
            raise ValueError("a Zstandard block is none")
        yield _ZSTD_BLOCK if kind == 2 else size
        file.seek(1 if kind == 1 else size, 1)
