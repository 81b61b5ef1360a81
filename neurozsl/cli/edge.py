"""What the machine refuses, as one message with path, cause and remedy.

Disks, limits and memory can fail anywhere, so they are told where every command ends. Anything else
that was not foreseen is a bug and keeps its traceback.
"""

import errno
import os
import re
from collections.abc import Mapping
from typing import Final

from neurozsl.core.errors import BadInput

_PLACE: Final = "give a place that can be written"
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "make space, or give a place on another disk",
    errno.EDQUOT: "make space within the quota, or give a place on another disk",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or give a place on another disk",
    errno.EROFS: _PLACE,
    errno.EACCES: "check who may read and write it, or give another place",
    errno.EPERM: "check who may read and write it, or give another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or run fewer things at once",
    errno.ENFILE: "the machine has too many files open; run fewer things at once",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the links lead in a circle; give the place itself",
    errno.ENOTDIR: "a part of the path is no folder; check the path",
    errno.EISDIR: "a file is needed there; check the path",
    errno.ENOENT: "check the path",
    errno.EEXIST: "remove it, or give another place",
    errno.ENOTEMPTY: "remove it, or give another place",
    errno.EIO: "the disk fails; check it, and give a place on another",
    errno.ESTALE: "the network file system has lost it; mount it again",
    errno.EBUSY: "another program holds it; wait until it has ended",
    errno.EAGAIN: "the limit of processes is reached (ulimit -u); run fewer things at once",
    errno.ENOMEM: "free memory, raise its limit (ulimit -v), or do less at once",
}
_ONLY_WITH_A_PATH: Final = (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
# Libraries in other languages put the system's error into their text alone: h5py, safetensors.
_IN_TEXT: Final = re.compile(r"(?:\berrno = |\bos error )(\d+)")
# What is told without its number: by the loader of libraries, by threads, by torch's allocators.
_SAID: Final[Mapping[str, int]] = {
    os.strerror(errno.EMFILE): errno.EMFILE,
    os.strerror(errno.ENOSPC): errno.ENOSPC,
    os.strerror(errno.ENOMEM): errno.ENOMEM,
    "failed to map segment": errno.ENOMEM,
    "can't allocate memory": errno.ENOMEM,
    "out of memory": errno.ENOMEM,
    "can't start new thread": errno.EAGAIN,
}
_WRITING: Final = re.compile(r"while writing '(?P<place>.*)'", re.DOTALL)

_HIDDEN: Final = re.compile(r"(?:^|/)\.[^/]*\.(?:part|old)/")


def foreseen(error: BaseException) -> BadInput | None:
    """The message for an error of the machine; None for an error of the program."""
    number = _number(error)
    place = _place(error)
    if isinstance(error, FileNotFoundError) and not place and not _has_folder():
        return BadInput("the working folder was removed; change to one that is there (cd)")
    if number is None or (number in _ONLY_WITH_A_PATH and not place):
        return None
    what = f"{place}: " if place else ""
    cause = "not enough memory" if number == errno.ENOMEM else os.strerror(number)
    detail = str(error).strip().splitlines()
    if number == errno.ENOMEM and isinstance(error, MemoryError) and detail:
        cause += f" ({detail[0]})"
    return BadInput(f"{what}{cause}; {_REMEDIES[number]}")


def _has_folder() -> bool:
    """Whether the folder that relative paths count from is still there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _number(error: BaseException) -> int | None:
    """The system's number of the error, where it is one that a person can mend."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    found: int | None = None
    if isinstance(error, OSError) and error.errno is not None:
        found = error.errno
    elif in_text := _IN_TEXT.search(str(error)):
        found = int(in_text[1])
    elif isinstance(error, OSError | RuntimeError | ImportError):
        found = next((n for text, n in _SAID.items() if text in str(error)), None)
    return found if found in _REMEDIES else None


def _place(error: BaseException) -> str:
    """The file that the error names, or the place that was being written."""
    names = [getattr(error, key, None) for key in ("filename2", "filename")]
    written = [_WRITING.fullmatch(note) for note in getattr(error, "__notes__", ())]
    places = [found["place"] for found in written if found is not None]
    if places:  # innermost first; a file in a folder that is not there yet says nothing to people
        return f"'{next((x for x in places if not _HIDDEN.search(x)), places[-1])}'"
    named = next((x for x in names if isinstance(x, str | bytes | os.PathLike)), None)
    return "" if named is None else f"'{os.fsdecode(named)}'"
