"""Folders and files that appear whole or not at all: written beside their place, then renamed.

Promised: a place holds what it held, or what was written, and never a part of it; not after an
error, a kill at any moment or a crash of the machine, because content is on the disk before it is
renamed. Not promised: that the last rename before a crash of the machine is still there after it.

An older folder and its successor change places in one call where the system has one (Linux, macOS).
Elsewhere, as on most network file systems, the older one steps aside for a moment, and a kill in it
is mended by the next command (`leftovers.recover`). Modes are those of the umask.
"""

import ctypes
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from neurozsl.core import leftovers

_HERE: Final = {"linux": -100, "darwin": -2}  # AT_FDCWD
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_NOT_THERE: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`; what is written there takes its place if the block ends well."""
    with whole_files((path,)) as parts:
        yield parts[path]


@contextmanager
def whole_files(paths: Sequence[Path]) -> Iterator[Mapping[Path, Path]]:
    """Yields a path beside each, by its place; if the block ends well, all take their places.

    They belong together and the first stands for all: older ones of the others go before it is
    replaced. A kill leaves the old first alone, or the new one, and never an old file beside it.
    """
    with ExitStack() as ends:
        parts = {path: ends.enter_context(_file_beside(path)) for path in paths}
        modes = {part: part.stat().st_mode & 0o777 for part in parts.values()}
        yield parts
        for part, mode in modes.items():
            part.chmod(mode)  # safetensors makes files that their owner alone can read
            _settle(part)
        for path in paths[1:]:
            if path.exists():
                os.replace(path, ends.enter_context(_file_beside(path)))
        for path, part in parts.items():
            os.replace(part, path)


@contextmanager
def _file_beside(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, which is removed at the end."""
    with _told(path), leftovers.beside(path) as part:
        leftovers.sweep(path)
        try:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            yield part
        finally:
            leftovers.remove(part)


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """Writes JSON, two spaces a level."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, indent=2, sort_keys=sort_keys) + "\n")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`, which takes its place when the block ends well.

    An older folder is replaced as a whole; on any error it stays and nothing else is left. The
    caller has made sure that it may be replaced.
    """
    with folder_beside(folder) as temporary:
        yield temporary
        move_into_place(temporary, folder)


@contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`; what has not been moved away at the end is gone."""
    place = _real(folder)
    with _told(folder), leftovers.beside(place) as part:
        place.parent.mkdir(parents=True, exist_ok=True)
        leftovers.sweep(place)
        part.mkdir()
        try:
            yield part
        finally:
            leftovers.remove(part)


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Yields a folder for intermediate files that this user alone can read; it is removed.

    What a killed command leaves of it goes with the next one of any name.
    """
    with folder_beside(Path(tempfile.gettempdir()) / name) as folder:
        folder.chmod(0o700)
        yield folder


def move_into_place(part: Path, folder: Path) -> None:
    """A complete folder beside `folder` becomes it; an older one is removed."""
    place = _real(folder)
    for path in part.rglob("*"):
        if path.is_file():
            _settle(path)
    if not place.exists():
        os.replace(part, place)
    elif _exchange(part, place):
        leftovers.remove(part)
    else:
        with leftovers.beside(place, "old") as retired:
            os.replace(place, retired)
            try:
                os.replace(part, place)
            except OSError:
                os.replace(retired, place)
                raise
            leftovers.remove(retired)


def _real(folder: Path) -> Path:
    """Where a link to a folder leads: what lies there is replaced, the link stays."""
    return Path(os.path.realpath(folder)) if folder.is_symlink() else folder


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """What goes wrong inside says where: the system's own errors on writing name no file."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while writing '{place}'")
        raise


def _settle(path: Path) -> None:
    """Returns when the content of a file is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _NOT_THERE:  # a file system without it
            raise
    finally:
        os.close(opened)


def _exchange(one: Path, other: Path) -> bool:
    """Lets two paths change places in one step; False where the system or the disk cannot."""
    system = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(system, "renameat2"):
        here = _HERE["linux"]
        failed = system.renameat2(here, names[0], here, names[1], ctypes.c_uint(_EXCHANGE))
    elif hasattr(system, "renameatx_np"):
        here = _HERE["darwin"]
        failed = system.renameatx_np(here, names[0], here, names[1], ctypes.c_uint(_EXCHANGE))
    else:
        return False
    if failed and ctypes.get_errno() not in _NOT_THERE:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    return not failed
