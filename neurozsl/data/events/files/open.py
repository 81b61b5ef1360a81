"""Reading and writing recordings, whatever their format.

    with open_events("rec.raw") as recording:        # block by block, memory does not grow
        for block in recording:                      # EventStream, 2**17 events or more
            ...
    stream = read_events("rec.aedat4")               # as a whole
    write_events(stream, "rec.npz")

What is damaged, out of order, beside the sensor or of an impossible polarity is an error that
names file, event, value, limit and remedy. With `repair` it is left out or sorted in, and listed in
the `repairs` of the streams.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.places import check_place
from neurozsl.data.events.files.base import Problems
from neurozsl.data.events.files.hdf5 import write_hdf5
from neurozsl.data.events.files.npz import write_npz
from neurozsl.data.events.files.registry import format_of
from neurozsl.data.events.files.screen import screened
from neurozsl.data.events.repairs import Repairs
from neurozsl.data.events.stream import EventStream, check_size

WRITERS: Final = {".npz": write_npz, ".h5": write_hdf5, ".hdf5": write_hdf5}


class Recording:
    """An open file: goes through its blocks once; close it, or use it as a context.

    Attributes:
        path: of the file.
        format: its name.
        width: of the sensor, px.
        height: of the sensor, px.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int] | None,
        fallback: tuple[int, int] | None,
        *,
        repair: bool,
    ) -> None:
        self.path = path
        for side in (size, fallback):
            if side is not None:
                check_size(side, str(path))
        form = format_of(path)
        problems = Problems(path, repair=repair)
        source = form.source(path, problems)
        self.format = form.name
        self.width, self.height = _size(path, size, source.size, fallback or form.size)
        self._source = source.blocks
        self._blocks = screened(source.blocks, (self.width, self.height), problems)
        self._repairs = Repairs()

    @property
    def repairs(self) -> Repairs:
        """What was left out or moved in the blocks that were given so far."""
        return self._repairs

    def __iter__(self) -> Iterator[EventStream]:
        return self

    def __next__(self) -> EventStream:
        block = next(self._blocks)
        self._repairs = Repairs.join((self._repairs, block.repairs))
        return block

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; no more blocks come."""
        for each in (self._blocks, self._source):
            close = getattr(each, "close", None)
            if close is not None:
                close()


def open_events(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    fallback: tuple[int, int] | None = None,
    repair: bool = False,
) -> Recording:
    """Opens a recording of any known format.

    size: width and height of the sensor, px, for a file that does not state it; one that states
    another is refused. fallback: the same for many files, of which some state theirs. repair: leave
    out or sort in what is wrong, and list it.

    Raises:
        BadInput: no file of a known format, damaged, or its sensor is unknown or another; while
            iterating: an event that is wrong.
        MissingPart: the decoder of the format is not installed.
    """
    return Recording(Path(path), size, fallback, repair=repair)


def read_events(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    fallback: tuple[int, int] | None = None,
    repair: bool = False,
) -> EventStream:
    """All events of a recording at once; arguments and errors of `open_events`."""
    with open_events(path, size=size, fallback=fallback, repair=repair) as recording:
        blocks = list(recording)
        if not blocks:
            raise BadInput(f"{path}: holds 0 events, a recording has at least 1; check the file")
        return EventStream.join(blocks)


def write_events(events: EventStream | Iterable[EventStream], path: Path | str) -> None:
    """Writes a stream, or blocks that follow each other, to `.npz`, `.h5` or `.hdf5`.

    The file appears whole or not at all. An archive is read again as a whole; for recordings beyond
    memory take HDF5.

    Raises:
        BadInput: another extension, no block, blocks out of order or of two sensors, or a place
            that cannot be written.
    """
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise BadInput(
            f"{path}: extension {path.suffix or 'none'}, events are written to "
            f"{', '.join(WRITERS)}; choose one of them"
        )
    blocks = iter((events,) if isinstance(events, EventStream) else events)
    first = next(blocks, None)
    if first is None:
        raise BadInput(f"{path}: 0 blocks to write, at least 1 is needed; give a stream")
    check_place(path, "events", remedy="choose another place")
    with whole_file(path) as part:
        write(_following(chain((first,), blocks), path), part)


def _following(blocks: Iterable[EventStream], path: Path) -> Iterator[EventStream]:
    """The same blocks, refused where one does not follow the one before."""
    size, end_us = None, 0
    for number, block in enumerate(blocks):
        size = size or (block.width, block.height)
        if (block.width, block.height) != size or (len(block) and block.start_us < end_us):
            raise BadInput(
                f"{path}: block {number} begins at {block.start_us} us on "
                f"{block.width}x{block.height} px, {end_us} us or later on {size[0]}x{size[1]} is "
                "needed; give the blocks of one recording in order"
            )
        end_us = int(block.events["t"][-1]) if len(block) else end_us
        yield block


def _size(
    path: Path,
    given: tuple[int, int] | None,
    stated: tuple[int, int] | None,
    usual: tuple[int, int] | None,
) -> tuple[int, int]:
    if given is not None and stated is not None and given != stated:
        raise BadInput(
            f"{path}: size {given[0]}x{given[1]} was given, the file states "
            f"{stated[0]}x{stated[1]}; leave size out"
        )
    size = given or stated or usual
    if size is None:
        raise BadInput(f"{path}: states no size of its sensor; give size=(width, height)")
    check_size(size, str(path))
    return size
