"""The formats that are read, and which of them a file is: by its first bytes, then by its name."""

from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import file_size, unreadable
from neurozsl.data.events.files.aedat4 import AEDAT4
from neurozsl.data.events.files.atis import ATIS
from neurozsl.data.events.files.base import HEAD_BYTES, Format
from neurozsl.data.events.files.evt2 import EVT2
from neurozsl.data.events.files.evt3 import EVT3
from neurozsl.data.events.files.hdf5 import HDF5
from neurozsl.data.events.files.npz import NPZ
from neurozsl.data.events.files.refused import named

FORMATS: Final[tuple[Format, ...]] = (AEDAT4, EVT3, EVT2, ATIS, NPZ, HDF5)
CHECK: Final = "check the path and that the file was copied whole"


def listed() -> str:
    """All formats with their extensions, for messages.

    >>> listed()[:38]
    'AEDAT 4 (.aedat4), Prophesee EVT 3.0 ('
    """
    return ", ".join(f"{each.name} ({', '.join(each.extensions)})" for each in FORMATS)


def format_of(path: Path) -> Format:
    """The format of a file.

    Raises:
        BadInput: no file, an empty one, one of a format that is not read, or none that is known.
    """
    size = file_size(path, remedy=CHECK)
    if size == 0:
        raise BadInput(f"{path}: holds 0 bytes, no recording is empty; {CHECK}")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error, CHECK) from error
    for each in FORMATS:
        if each.begins is not None and each.begins(head):
            return each
    if problem := named(head):
        raise BadInput(f"{path}: {problem}")
    suffix = path.suffix.lower()
    claimed = [each for each in FORMATS if suffix in each.extensions]
    for each in claimed:
        if each.begins is None:
            return each
    known = f"known are {listed()}"
    if claimed:
        raise BadInput(
            f"{path}: is named {suffix} and begins {head[:12]!r}, which no "
            f"{' or '.join(each.name for each in claimed)} file does; not an event file we know, "
            f"{known}"
        )
    raise BadInput(f"{path}: begins {head[:12]!r}; not an event file we know, {known}")
