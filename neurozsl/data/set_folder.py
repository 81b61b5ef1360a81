"""The two files of every data set of ours, and what may be replaced by one."""

from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput

ARRAYS: Final = "dataset.h5"
FACTS: Final = "dataset.json"
MAX_FACTS_BYTES: Final = 2**24


def check_target(folder: Path) -> None:
    """Refuses a target that holds anything but an older data set.

    Raises:
        BadInput: `folder` is a file, or a folder with other content.
    """
    if folder.is_dir():
        others = sorted(p.name for p in folder.iterdir() if p.name not in (ARRAYS, FACTS))
        if not others:
            return
        raise BadInput(
            f"{folder}: holds {others[0]!r}, which is no part of a data set; choose an empty or "
            "new folder for --out"
        )
    if folder.exists():
        raise BadInput(f"{folder}: is a file, a folder is needed; choose another --out")


def is_store(folder: Path) -> bool:
    """Whether the folder was written by `save`, complete or not."""
    return (folder / ARRAYS).exists() or (folder / FACTS).exists()
