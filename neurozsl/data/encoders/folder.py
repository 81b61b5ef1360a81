"""Where the weights of encoders lie, and how they are known to be the ones that were set up.

    NEUROZSL_ENCODERS, else `neurozsl/encoders` in the user's cache folder

Each encoder has a folder that appears whole or not at all, with `encoder.json` in it: the digests
of the packages that it was made of and of its own files. Nothing is downloaded here.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.core.folders import write_json
from neurozsl.core.reading import read_object

VARIABLE: Final = "NEUROZSL_ENCODERS"
INSTALL_LINE: Final = "neurozsl setup encoders"
NAME: Final = "encoder.json"
SCHEMA: Final = 1


def home() -> Path:
    """Folder that holds all encoders (it need not exist)."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "neurozsl" / "encoders"


@dataclass(frozen=True)
class Installed:
    """A complete encoder on this machine: its folder, and the SHA-256 of each of its files."""

    folder: Path
    files: Mapping[str, str]

    def file(self, name: str) -> Path:
        """A file of it, after its content was compared with the noted digest.

        Raises:
            BadInput: it is missing, or was changed.
        """
        path = self.folder / name
        noted, found = self.files.get(name), sha256(path) if path.is_file() else "nothing"
        if noted != found:
            raise BadInput(
                f"{path}: was changed since it was set up (it has {found[:12]}, {NAME} notes "
                f"{str(noted)[:12]}); remove {self.folder} and run: {INSTALL_LINE}"
            )
        return path

    def digest(self, names: Sequence[str], revision: int) -> str:
        """One digest of some of its files and of the revision of the code that reads them."""
        text = "".join(f"{name} {self.files.get(name)}\n" for name in names)
        return hashlib.sha256(f"{text}revision {revision}".encode()).hexdigest()


def note(folder: Path, pins: Mapping[str, str]) -> None:
    """Writes `encoder.json` about the files of a folder; what marks it as complete."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != NAME}
    write_json(folder / NAME, {"schema": SCHEMA, "packages": dict(pins), "files": files})


def installed(name: str, pins: Mapping[str, str]) -> Installed | None:
    """The encoder, if it is complete and made of these packages (package and version: SHA-256)."""
    folder = home() / name
    try:
        noted = read_object(
            folder / NAME, remedy="", keys={"schema": int, "packages": dict, "files": dict}
        )
    except BadInput:
        return None
    if noted["schema"] != SCHEMA or noted["packages"] != dict(pins):
        return None
    return Installed(folder, noted["files"])


def require(name: str, pins: Mapping[str, str]) -> Installed:
    """The encoder.

    Raises:
        MissingPart: it is not set up; holds the line that does it.
    """
    found = installed(name, pins)
    if found is None:
        raise MissingPart(
            f"encoder '{name}': its weights are not set up (looked in {home()}); run: "
            f"{INSTALL_LINE}"
        )
    return found
