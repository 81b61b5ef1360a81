"""NumPy archives of events: one structured array `events`, or the arrays t, x, y, p by any name.

`width` and `height` may stand beside them and state the sensor. Read as a whole, within the limits
of `core/npz.py`. `write_npz` writes the structured form alone.
"""

import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.npz import read_npz
from neurozsl.data.events.arrays import field_names, to_wide
from neurozsl.data.events.files.base import Array, Decoded, Format, Problems
from neurozsl.data.events.stream import EVENT, EventStream

REMEDY: Final = "write it as `neurozsl.data.events.files.open.write_events` does"
ROWS: Final = 2**17  # events looked at together


def source(path: Path, problems: Problems) -> Decoded:
    """Opens an archive."""
    arrays = read_npz(path, remedy=REMEDY, records=True)
    size = stated_size(arrays, path)
    records = {name: each for name, each in arrays.items() if each.dtype.names is not None}
    if len(records) > 1 or (records and "events" not in records):
        raise BadInput(
            f"{path}: holds structured arrays {', '.join(records)}, one named 'events' is read; "
            f"{REMEDY}"
        )
    columns: Array | Mapping[str, Array] = records["events"] if records else arrays
    if not records:
        field_names(arrays, str(path))
    return Decoded(size, _blocks(path, columns, problems))


def _blocks(
    path: Path, columns: Array | Mapping[str, Array], problems: Problems
) -> Iterator[Array]:
    if isinstance(columns, np.ndarray):
        for start in range(0, len(columns) if columns.ndim else 1, ROWS):
            part = columns[start : start + ROWS] if columns.ndim else columns
            wide = to_wide(part, str(path))
            problems.events += len(wide)
            yield wide
        return
    wide = to_wide(columns, str(path))
    for start in range(0, len(wide), ROWS):
        problems.events += len(wide[start : start + ROWS])
        yield wide[start : start + ROWS]


def stated_size(arrays: Mapping[str, Array], path: Path) -> tuple[int, int] | None:
    """(width, height) that stand beside the events; None where neither does.

    Raises:
        BadInput: one alone, or no whole number.
    """
    stated = [arrays[name] for name in ("width", "height") if name in arrays]
    if not stated:
        return None
    if len(stated) < 2 or any(each.dtype.kind not in "iu" or each.size != 1 for each in stated):
        shown = ", ".join(f"{each.dtype} of shape {each.shape}" for each in stated)
        raise BadInput(f"{path}: width and height are {shown}; store one whole number each")
    return int(stated[0].reshape(-1)[0]), int(stated[1].reshape(-1)[0])


def write_npz(streams: Iterator[EventStream], part: Path) -> None:
    """Writes `events`, `width` and `height`; the streams pass through a temporary file.

    streams: at least one; of one sensor, in order.
    """
    first = next(streams)
    with tempfile.TemporaryFile() as spool:
        spool.write(first.events.tobytes())
        count = len(first)
        for stream in streams:
            spool.write(stream.events.tobytes())
            count += len(stream)
        spool.seek(0)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            _write_member(archive, "events", (count,), EVENT, spool)
            for name, value in (("width", first.width), ("height", first.height)):
                _write_member(archive, name, (), np.dtype("<i8"), struct.pack("<q", value))


def _write_member(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    content: bytes | IO[bytes],
) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")  # with a fixed date: equal events, equal files
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as member:
        head = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(member, head)
        if isinstance(content, bytes):
            member.write(content)
            return
        while block := content.read(2**20):
            member.write(block)


def begins(head: bytes) -> bool:
    """Whether a file begins as an archive."""
    return head[:4] in (b"PK\3\4", b"PK\5\6")


NPZ: Final = Format("NumPy archive of events", (".npz",), begins, source)
