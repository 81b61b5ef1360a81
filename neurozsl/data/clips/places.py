"""Names in a labels file -> files below a folder of clips or recordings, each of them once.

A name is text from elsewhere: it may not lead out of the folder, by itself or by a link, and two
names of one file are one clip, which may not stand in training and in test.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput

_NAMED = 5  # files in a message


def name_fault(name: str) -> str:
    """Why this text is no name of a file below a folder, or an empty string.

    >>> name_fault("dog/a.mkv"), name_fault("../a.mkv")
    ('', 'leads out of the folder')
    """
    path = PurePosixPath(name)
    if path.is_absolute():
        return "is an absolute path"
    if ".." in path.parts:
        return "leads out of the folder"
    if not name.isprintable():
        return "holds characters that cannot be printed"
    return ""


def normal(name: str) -> str:
    """The same name however it is written.

    >>> normal("./dog//a.mkv")
    'dog/a.mkv'
    """
    return str(PurePosixPath(name))


def real(path: Path) -> Path:
    """The path without links; of a link to itself, and of what is not there, as far as it goes."""
    return Path(os.path.realpath(path))


def find_file(folder: Path, name: str) -> Path:
    """The file `name` of the folder, links resolved.

    Raises:
        BadInput: no such file, or one outside.
    """
    path = folder / name
    if fault := name_fault(name):
        raise BadInput(f"{folder}: file {name!r} {fault}; name files below the folder")
    try:
        there, base = real(path), real(folder)
        if not there.is_relative_to(base):
            raise BadInput(
                f"{path}: a link that leads out of the folder, to {there}; copy the file into "
                "the folder, or give the folder that holds it"
            )
        if not there.is_file():
            raise BadInput(f"{path}: does not exist; check the folder and the labels file")
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened ({error.strerror}); check the file") from error
    return there


def refuse_outside(folder: Path, names: Iterable[str]) -> None:
    """All links that lead out of the folder in one message; files that are absent are not meant.

    Raises:
        BadInput: there is one.
    """
    base, found = real(folder), []
    for name in names:
        there = real(folder / name)
        if not there.is_relative_to(base):
            found.append(f"{name} -> {there}")
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise BadInput(
            f"{folder}: {len(found)} link(s) lead out of the folder, 0 are followed: "
            f"{', '.join(found[:_NAMED])}{more}; copy the files into the folder, or give the "
            "folder that holds them"
        )


def refuse_twice(folder: Path, names: Sequence[str]) -> None:
    """Two names of one file: links, hard links, or case where the disk has none.

    Raises:
        BadInput: there are some.
    """
    known: dict[tuple[int, int], str] = {}
    for name in names:
        try:
            stat = (folder / name).stat()
        except OSError:
            continue
        first = known.setdefault((stat.st_dev, stat.st_ino), name)
        if first != name:
            raise BadInput(f"{folder}: {first!r} and {name!r} are one file; give each one row")


def copies(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Files that hold the same bytes as an earlier one: name -> that name."""
    sizes: dict[int, list[str]] = defaultdict(list)
    for name in names:
        try:
            path = find_file(folder, name)
            sizes[path.stat().st_size].append(name)
        except (BadInput, OSError):
            continue
    found: dict[str, str] = {}
    for alike in sizes.values():
        known: dict[str, str] = {}
        for name in alike if len(alike) > 1 else ():
            try:
                first = known.setdefault(sha256(folder / name), name)
            except OSError:
                continue
            if first != name:
                found[name] = first
    return found
