"""AEDAT 4 (iniVation DV): the events of a recording, by the decoder `aedat` (MIT).

A recording has several streams; the first of events is read. Motion sensor, triggers and pictures
are passed over. Before the decoder sees a file, `aedat4_packets` compares its claims with it.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.core.reading import brief
from neurozsl.data.events.arrays import to_wide
from neurozsl.data.events.files.aedat4_packets import MAGIC, Cut, first_cut, read_head
from neurozsl.data.events.files.base import Array, Decoded, Format, Problems
from neurozsl.data.events.stream import joined

JOINED: Final = 2**16  # events; a packet has some hundreds


def source(path: Path, problems: Problems) -> Decoded:
    """Opens a recording.

    Raises:
        BadInput: its header is damaged, or it has no stream of events.
        MissingPart: the decoder is not installed.
    """
    aedat = _aedat()
    head = read_head(path)
    try:
        decoder = aedat.Decoder(str(path))
        streams = decoder.id_to_stream()
    except BaseException as error:
        raise _told(path, "its header", error) from error
    number = next((i for i, each in streams.items() if each["type"] == "events"), None)
    if number is None:
        kinds = ", ".join(each["type"] for each in streams.values()) or "nothing"
        raise BadInput(f"{path}: has no stream of events but {kinds}; record events as well")
    size = int(streams[number]["width"]), int(streams[number]["height"])
    cut = first_cut(path, head)
    if cut is not None and not problems.repair:
        problems.meet(cut.kind, _line(cut))
    return Decoded(size, _blocks(decoder, number, cut, problems))


def _blocks(decoder: Any, number: int, cut: Cut | None, problems: Problems) -> Iterator[Array]:
    waiting: list[Array] = []
    for packet in _packets(decoder, cut, problems):
        if packet.get("stream_id") == number and "events" in packet:
            # Copied: a packet's memory is the decoder's.
            waiting.append(to_wide(packet["events"], str(problems.path)))
            problems.events += len(waiting[-1])
        if sum(map(len, waiting)) >= JOINED:
            yield joined(waiting)
            waiting = []
    yield from (joined(waiting),) if waiting else ()


def _packets(decoder: Any, cut: Cut | None, problems: Problems) -> Iterator[dict[str, Any]]:
    """The packets before the first that is not whole."""
    for done in chain(range(cut.packet) if cut else iter(int, 1)):
        try:
            packet: dict[str, Any] = next(decoder)
        except StopIteration:
            return
        except BaseException as error:
            told = _told(problems.path, f"packet {done}", error)
            text = str(told).removeprefix(f"{problems.path}: ")
            problems.meet("damaged", text)
            return
        yield packet
    if cut is not None:
        problems.meet(cut.kind, _line(cut))


def _line(cut: Cut) -> str:
    return f"packet {cut.packet} at byte {cut.at} {cut.reason}; copy the file again"


def _told(path: Path, what: str, error: BaseException) -> BadInput:
    """The refusal of what the decoder refuses; anything that is not of its making goes on.

    Its errors are RuntimeErrors; on some damage its language's own panic arrives, which is no
    `Exception` and cannot be imported.
    """
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    return BadInput(f"{path}: {what} is damaged ({brief(error)}); copy the file again")


def _aedat() -> Any:
    try:
        import aedat
    except ImportError as error:
        raise MissingPart(
            "reading AEDAT 4 needs aedat; install it with: pip install 'neurozsl[events]'"
        ) from error
    return aedat


def begins(head: bytes) -> bool:
    """Whether a file begins as one of this version."""
    return head.startswith(MAGIC)


AEDAT4: Final = Format("AEDAT 4", (".aedat4",), begins, source)
