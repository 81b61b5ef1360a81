"""`unpack`: a packed run as a folder again, every file compared with its SHA-256.

The folder appears whole or not at all, after the run in it was found to be finished and its files
those that it was scored with; its data set is not asked for.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurozsl.classifier.run import open_classifier
from neurozsl.core.archive import SUFFIX, extract
from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import folder_beside, move_into_place, temporary_folder
from neurozsl.core.places import check_place
from neurozsl.core.reading import Kind, checked_object
from neurozsl.portable.members import is_member
from neurozsl.runs.kind import is_classifier
from neurozsl.runs.opened import check_run
from neurozsl.runs.settings import read_settings

_REMEDY: Final = "get the file again, or pack the run again with `neurozsl pack`"
_KEYS: Final[dict[str, Kind]] = {"kind": str, "result": str, "data": dict}


@dataclass(frozen=True)
class Unpacked:
    """A run folder. kind: zero-shot or classifier. files: how many. data: name and fingerprint."""

    path: Path
    kind: str
    files: int
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """What `neurozsl unpack --json` prints."""
        return {**vars(self), "path": str(self.path)}


def unpack(archive: Path, out: Path | None = None) -> Unpacked:
    """Write the folder of a packed run.

    Args:
        archive: what `pack` wrote.
        out: the folder, empty or new, or one that holds this very run; None: the archive's name
            without `.zip`, beside it.

    Raises:
        BadInput: the archive is damaged, foreign or hostile, or the folder holds something.
    """
    archive = Path(archive)
    place = archive.with_suffix("") if out is None else Path(out)
    if out is None and archive.suffix != SUFFIX:
        raise BadInput(f"{archive}: its name does not end in {SUFFIX}; give the folder with --out")
    if place.exists() and not place.is_dir():
        raise BadInput(f"unpack --out '{place}': is a file; choose another --out")
    check_place(place, "run")
    with folder_beside(place) as part:
        said = _put(archive, part)
        if not place.exists() or not any(place.iterdir()):
            move_into_place(part, place)
        elif not _holds(place, said["files"]):
            raise BadInput(
                f"unpack --out '{place}': is there and not empty, nor does it hold this run; "
                "choose another --out"
            )
    return Unpacked(place, said["kind"], len(said["files"]), said["data"])


def _holds(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a folder has all these files already, as the second start of a command finds it."""
    return all(
        (folder / name).is_file() and sha256(folder / name) == noted["sha256"]
        for name, noted in files.items()
    )


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The folder of a packed run, as long as the block lasts."""
    with temporary_folder(f"neurozsl-{archive.stem}") as folder:
        _put(archive, folder)
        yield folder


def _put(archive: Path, folder: Path) -> dict[str, Any]:
    said = extract(archive, folder, allowed=is_member, remedy=_REMEDY)
    checked_object(said, f"{archive}: pack.json", remedy=_REMEDY, keys=_KEYS)
    try:
        if is_classifier(folder):
            digest = str(open_classifier(folder).result["digest"])
        else:
            digest = check_run(folder, read_settings(folder)).digest
    except BadInput as error:  # of a folder that nobody has seen
        told = str(error).replace(str(folder), str(archive))
        raise BadInput(f"{archive}: holds no run that opens: {told}") from error
    if digest != said["result"]:
        raise BadInput(
            f"{archive}: pack.json is that of another run (result {said['result'][:12]}, the run "
            f"in it has {digest[:12]}); {_REMEDY}"
        )
    return said
