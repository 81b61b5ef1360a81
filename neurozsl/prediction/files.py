"""Which clips are meant: files, folders of videos, and lists of either, in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_bytes
from neurozsl.data.clips.names import is_video

LIST: Final = ".txt"
MAX_LIST_BYTES: Final = 2**26


def clips_of(given: Sequence[Path]) -> tuple[Path, ...]:
    """Every clip once, in the order that it was given in; those of a folder by name.

    A file whose name ends in `.txt` is a list: a path a line, relative to the list; empty lines
    and those that begin with `#` are left out. Below a folder, files named as videos are taken.

    Raises:
        BadInput: a folder without videos, a list that cannot be read, or no clip at all.
    """
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            inside = [x for x in sorted(path.rglob("*")) if is_video(x) and x.is_file()]
            if not inside:
                raise BadInput(
                    f"{path}: 0 videos below this folder, 1 is needed; name files by their suffix "
                    "(.mp4, .mkv, .avi, .webm, ...)"
                )
            found |= dict.fromkeys(inside)
        elif path.suffix.lower() == LIST:
            found |= dict.fromkeys(_listed(path))
        else:
            found[path] = None
    if not found:
        raise BadInput("predict: 0 clips, 1 is needed; give video files, a folder or a list")
    return tuple(found)


def _listed(path: Path) -> list[Path]:
    remedy = "give a text file with the path of a clip on every line"
    data = read_bytes(path, remedy=remedy, max_bytes=MAX_LIST_BYTES)
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is not UTF-8 text ({error.reason}); {remedy}") from error
    named = [line for line in lines if line and not line.startswith("#")]
    if not named or any("\0" in line for line in named):
        raise BadInput(f"{path}: {len(named)} usable lines; {remedy}")
    return [path.parent / line for line in named]
