"""HDF5 files of events: one dataset `events` of records, or a group with t, x, y, p by any name.

Looked for as `events`, `CD/events` and, for separate columns, in the file itself. `width` and
`height` stand beside, as datasets. Read in slices through the bounded reader `data/hdf5.py`: links
to other files, unknown filters (the maker's ECF codec is one) and impossible sizes are refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.events.arrays import field_names, to_wide
from neurozsl.data.events.files.base import Array, Decoded, Format, Problems
from neurozsl.data.events.files.npz import REMEDY, stated_size
from neurozsl.data.events.stream import EVENT, EventStream
from neurozsl.data.hdf5 import PlainFile, opened

ROWS: Final = 2**17  # events read at once
PLACES: Final = ("events", "CD/events")


def source(path: Path, problems: Problems) -> Decoded:
    """Opens a file; it stays open until its blocks are read."""
    with opened(path, remedy=REMEDY) as file:
        size = _size(file, path)
        _columns(file, path)
    return Decoded(size, _blocks(path, problems))


def _blocks(path: Path, problems: Problems) -> Iterator[Array]:
    with opened(path, remedy=REMEDY) as file:
        place, columns = _columns(file, path)
        if columns is None:
            parts = (to_wide(part, str(path)) for part in file.parts(place, ROWS))
        else:
            lengths = {name: file.shape(name) for name in columns.values()}
            if len(set(lengths.values())) > 1:
                raise BadInput(f"{path}: columns of shapes {lengths}, all must be alike; {REMEDY}")
            read = [file.parts(name, ROWS) for name in columns.values()]
            parts = (
                to_wide(dict(zip(columns, part, strict=True)), str(path))
                for part in zip(*read, strict=True)
            )
        for wide in parts:
            problems.events += len(wide)
            yield wide


def _columns(file: PlainFile, path: Path) -> tuple[str, dict[str, str] | None]:
    """Where the records are; or the dataset of each of t, x, y, p."""
    for place in PLACES:
        group, _, name = place.rpartition("/")
        if (group and not file.holds("", group)) or not file.holds(group, name):
            continue
        if file.fields(place) is not None:
            return place, None
        try:
            names = file.keys(place)
        except BadInput:  # a dataset of numbers
            raise BadInput(f"{path}: '{place}' holds no records; {REMEDY}") from None
        found = field_names(names, f"{path}: '{place}'")
        return place, {field: f"{place}/{name}" for field, name in found.items()}
    return "", field_names(file.keys(""), str(path))


def _size(file: PlainFile, path: Path) -> tuple[int, int] | None:
    there = [name for name in ("width", "height") if file.holds("", name)]
    return stated_size({name: file.numbers(name, "iu", ()) for name in there}, path)


def write_hdf5(streams: Iterator[EventStream], part: Path) -> None:
    """Writes `events`, `width` and `height`, block by block.

    streams: at least one; of one sensor, in order.
    """
    first = next(streams)
    with h5py.File(part, "w") as file:
        file["width"], file["height"] = np.int64(first.width), np.int64(first.height)
        events = file.create_dataset(
            "events",
            data=first.events,
            maxshape=(None,),
            chunks=(2**14,),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        for stream in streams:
            events.resize(len(events) + len(stream), axis=0)
            events[len(events) - len(stream) :] = stream.events
        assert events.dtype == EVENT


def begins(head: bytes) -> bool:
    """Whether a file begins as HDF5."""
    return head[:8] == b"\x89HDF\r\n\x1a\n"


HDF5: Final = Format("HDF5 file of events", (".h5", ".hdf5"), begins, source)
