"""What is being written carries its writer's name, so that a later command knows what to remove.

    .PLACE@HOST-PID-N.part    written, not yet in its place
    .PLACE@HOST-PID-N.old     moved out of its place for a new one

A killed command removes nothing. The next write beside it does: of files of the same user, those
of this machine whose process has ended, and those of other machines that nobody touched for a day.
What is `.old` goes back where its place is empty: the kill came between two renames.
"""

import hashlib
import itertools
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

Kind = Literal["part", "old"]

_OURS: Final = re.compile(r"\.(?P<name>.+)@(?P<host>[^@]*)-(?P<pid>\d+)-\d+\.(?P<kind>part|old)")
_HOST: Final = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())[:64]
_LONGEST_NAME: Final = 120  # bytes; a file system takes 255, and the writer's name needs some
_OTHER_HOST_S: Final[dict[Kind, float]] = {"part": 86400.0, "old": 60.0}
_numbers = itertools.count()
_in_use: set[Path] = set()


@contextmanager
def beside(place: Path, kind: Kind = "part") -> Iterator[Path]:
    """Yields a path beside `place` on which nothing lies; this process keeps it until the end."""
    made = place.with_name(f".{_stem(place)}@{_HOST}-{os.getpid()}-{next(_numbers)}.{kind}")
    _in_use.add(made)
    try:
        yield made
    finally:
        _in_use.discard(made)


def sweep(place: Path) -> None:
    """Removes what ended commands left in the folder of `place`; puts `place` back if it must."""
    recover(place)
    for path, found in _ours(place.parent):
        of_place = found["name"] == _stem(place)
        if (found["kind"] == "part" or (of_place and place.exists())) and _ended(path, found):
            remove(path)


def recover(place: Path) -> None:
    """Puts back what a killed command had moved out of `place`, where nothing lies there now."""
    if os.path.lexists(place) or not place.parent.is_dir():
        return
    aside = [
        path
        for path, found in _ours(place.parent)
        if (found["kind"], found["name"]) == ("old", _stem(place)) and _ended(path, found)
    ]
    if aside:
        newest = max(aside, key=lambda path: path.lstat().st_ctime_ns)
        with suppress(OSError):  # another command was quicker
            newest.rename(place)
            logging.getLogger(__name__).warning(
                "note: '%s' was missing, a command was killed while it replaced it; what lay "
                "there before is put back",
                place,
            )


def remove(path: Path) -> None:
    """Removes a file, or a folder with all in it, as far as it can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _stem(place: Path) -> str:
    name = os.fsencode(place.name)
    return place.name if len(name) <= _LONGEST_NAME else hashlib.sha256(name).hexdigest()[:24]


def _ours(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    """Files of that form which belong to this user."""
    matched = ((folder / name, _OURS.fullmatch(name)) for name in os.listdir(folder))
    found = []
    for path, match in matched:
        with suppress(OSError):  # it went while we looked
            if match is not None and path.lstat().st_uid == os.getuid():
                found.append((path, match))
    return found


def _ended(path: Path, found: re.Match[str]) -> bool:
    """Whether its writer is gone."""
    if found["host"] != _HOST:
        kind: Kind = "old" if found["kind"] == "old" else "part"
        return time.time() - _last_change(path) > _OTHER_HOST_S[kind]
    if int(found["pid"]) == os.getpid():  # a number is given again, in containers often
        return path not in _in_use
    return not _runs(int(found["pid"]))


def _runs(process: int) -> bool:
    """Whether there is such a process; one that ended and was not collected is none."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):  # not Linux, or it ended while we looked
        # pid (name) state ...; the name may hold spaces and brackets
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


def _last_change(path: Path) -> float:
    """The newest change in a file or a folder, s."""
    times = [path.lstat().st_ctime]
    for folder, _, files in os.walk(path):
        with suppress(OSError):
            times += [(Path(folder) / name).lstat().st_ctime for name in files]
    return max(times)
