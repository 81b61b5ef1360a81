"""One zip of named files that travels whole: written in one piece, read with suspicion.

Written: names sorted, times fixed, nothing compressed, so that the same files give the same bytes
on every machine. `pack.json` in it holds bytes and SHA-256 of every other member.

Read: into an empty folder that is removed unless all is well. Refused, always as one `BadInput`
that names archive, member, actual value, limit and remedy, are

    no zip, a truncated one, a wrong checksum, members that overlap
    more members than `MAX_MEMBERS`, more bytes than the file has: stored members cannot unfold
    encrypted or compressed members, links, folders, devices
    a name twice (in other letter cases too), or one that `allowed` does not know: `..`, absolute
    a `pack.json` that is missing, of another schema, or says other bytes or another SHA-256

Format: ZIP by APPNOTE 6.3.10.
"""

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.npz import DAMAGE, more_entries
from neurozsl.core.reading import (
    MAX_JSON_BYTES,
    brief,
    checked_object,
    file_size,
    parse_json,
    unreadable,
)

MANIFEST: Final = "pack.json"
SCHEMA: Final = 1
MAX_MEMBERS: Final = 2_000
SUFFIX: Final = ".zip"
_BLOCK: Final = 2**20
_BEGUN: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can say
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_UNIX: Final = 3
_ENCRYPTED: Final = 0x2041  # plainly, strongly, or with a masked directory

Content = Path | bytes


@dataclass(frozen=True)
class Written:
    """bytes: of the archive. files: bytes of every member but the manifest."""

    bytes: int
    files: Mapping[str, int]


def write_archive(path: Path, members: Mapping[str, Content], about: Mapping[str, Any]) -> Written:
    """Write the archive whole or not at all; about: what `pack.json` says besides the files.

    Raises:
        BadInput: a file changed while it was packed.
    """
    noted = {name: _digest(_blocks(content)) for name, content in sorted(members.items())}
    files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in noted.items()}
    said = {**about, "schema": SCHEMA, "files": files}
    text = (json.dumps(said, indent=1, sort_keys=True) + "\n").encode()
    with whole_file(path) as part:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name, content in sorted({**members, MANIFEST: text}.items()):
                size, digest = noted.get(name, (len(text), ""))
                info = zipfile.ZipInfo(name, _BEGUN)
                info.create_system, info.external_attr, info.file_size = _UNIX, _MODE, size
                with archive.open(info, "w") as stream:
                    found = _digest(_blocks(content), stream)
                if digest and found != (size, digest):
                    raise BadInput(
                        f"{path}: member {name!r} changed while it was packed; pack again"
                    )
        written = part.stat().st_size
    return Written(written, {name: size for name, (size, _) in noted.items()})


def is_archive(path: Path) -> bool:
    """Whether a file is called like an archive."""
    return path.suffix == SUFFIX and path.is_file()


def extract(
    path: Path, into: Path, *, allowed: Callable[[str], bool], remedy: str
) -> dict[str, Any]:
    """Put every member into the empty folder `into`; returns what `pack.json` says.

    allowed: whether a member may have this name; `pack.json` itself is not put there.

    Raises:
        BadInput: one of the refusals of the module docstring; `into` is then the caller's to empty.
    """
    size = file_size(path, remedy=remedy)
    try:
        with path.open("rb") as stream:
            _refuse_many(stream, size, path, remedy)
            with zipfile.ZipFile(stream) as archive:
                members = _members(archive, path, size, allowed, remedy)
                said = _manifest(archive, path, members, remedy)
                for name, noted in said["files"].items():
                    _put(archive, members[name], path, into / name, noted, remedy)
                return said
    except DAMAGE as error:
        raise unreadable(path, error, remedy) from error


def _refuse_many(stream: IO[bytes], size: int, path: Path, remedy: str) -> None:
    """Refuse what is no zip, and one of so many members that listing them takes the memory."""
    head = stream.read(4)
    if not head.startswith(b"PK"):
        what = f"begins with {head!r}" if head else "is empty"
        raise BadInput(f"{path}: is no zip archive, it {what}; {remedy}")
    if more_entries(stream, size, 10 * MAX_MEMBERS):  # archives inside have entries of their own
        raise BadInput(f"{path}: more than {MAX_MEMBERS} members, the limit; {remedy}")


def _members(
    archive: zipfile.ZipFile, path: Path, size: int, allowed: Callable[[str], bool], remedy: str
) -> dict[str, zipfile.ZipInfo]:
    """Members by name, after every claim of the directory was checked."""
    every = archive.infolist()
    if len(every) > MAX_MEMBERS:
        raise BadInput(f"{path}: {len(every)} members, at most {MAX_MEMBERS} are read; {remedy}")
    found: dict[str, zipfile.ZipInfo] = {}
    folded, claimed = set[str](), 0
    for info in every:
        where = f"{path}: member {info.filename[:80]!r}"
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.orig_filename != info.filename or not (
            info.filename == MANIFEST or allowed(info.filename)
        ):
            raise BadInput(f"{where} is no file of a run; {remedy}")
        if info.is_dir() or kind not in (0, stat.S_IFREG):
            raise BadInput(f"{where} is a link, a folder or a device, files are read; {remedy}")
        if info.filename.casefold() in folded:
            raise BadInput(f"{where} is there twice; {remedy}")
        if info.flag_bits & _ENCRYPTED:
            raise BadInput(f"{where} is encrypted, plain files are read; {remedy}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise BadInput(
                f"{where} is compressed (method {info.compress_type}, {info.file_size} bytes in "
                f"{info.compress_size}), stored files are read; {remedy}"
            )
        claimed += info.file_size
        if claimed > size:
            raise BadInput(
                f"{where}: it and those before it claim {claimed} bytes of a file of {size}; "
                f"{remedy}"
            )
        folded.add(info.filename.casefold())
        found[info.filename] = info
    return found


def _manifest(
    archive: zipfile.ZipFile, path: Path, members: Mapping[str, zipfile.ZipInfo], remedy: str
) -> dict[str, Any]:
    """What `pack.json` says, after a check that it names every other member."""
    where = f"{path}: {MANIFEST}"
    if MANIFEST not in members:
        raise BadInput(f"{where} is missing, it was not written by `neurozsl pack`; {remedy}")
    if members[MANIFEST].file_size > MAX_JSON_BYTES:
        raise BadInput(
            f"{where} has {members[MANIFEST].file_size} bytes, limit {MAX_JSON_BYTES}; {remedy}"
        )
    value = parse_json(archive.read(members[MANIFEST]), where, remedy=remedy)
    said = checked_object(value, where, remedy=remedy, keys={"schema": int, "files": dict})
    if said["schema"] != SCHEMA:
        raise BadInput(f"{where}: schema {said['schema']}, this version reads {SCHEMA}; {remedy}")
    odd = sorted((said["files"].keys() | {MANIFEST}) ^ members.keys())
    if odd:
        raise BadInput(
            f"{where} and the members differ in {', '.join(map(repr, odd[:5]))}; {remedy}"
        )
    for name, noted in said["files"].items():
        checked_object(
            noted, f"{where}: {name!r}", remedy=remedy, keys={"bytes": int, "sha256": str}
        )
    return said


def _put(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    path: Path,
    place: Path,
    noted: Mapping[str, Any],
    remedy: str,
) -> None:
    """One member, compared with what is noted of it."""
    where = f"{path}: member {info.filename!r}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as made:
        try:
            with archive.open(info) as stream:
                size, digest = _digest(iter(lambda: stream.read(_BLOCK), b""), made)
        except (zipfile.BadZipFile, EOFError) as error:
            raise BadInput(f"{where} cannot be read ({brief(error)}); {remedy}") from error
    if (size, digest) != (noted["bytes"], noted["sha256"]):
        raise BadInput(
            f"{where} was changed ({size} bytes, sha256 {digest[:12]}; {MANIFEST} notes "
            f"{noted['bytes']} and {noted['sha256'][:12]}); {remedy}"
        )


def _blocks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _digest(blocks: Iterator[bytes], out: Any = None) -> tuple[int, str]:
    """Bytes and SHA-256 of a stream, which is written to `out` as well."""
    size, digest = 0, hashlib.sha256()
    for block in blocks:
        size += len(block)
        digest.update(block)
        if out is not None:
            out.write(block)
    return size, digest.hexdigest()
