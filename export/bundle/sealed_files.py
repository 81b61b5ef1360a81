"""The files of a bundle against the list in its manifest, before any of them is read.

A bundle comes from elsewhere and its seal is no signature: who changes a file can write the list
anew. So a name leads nowhere else, no file is a link, none is larger than networks here are, and
nothing lies beside `run_lava.py` that Python would import in the place of a package.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput

MANIFEST: Final = "manifest.json"
GRAPH, PROGRAM, GOLDEN = "motion.nir", "program.npz", "golden.npz"
MAX_MANIFEST: Final = 64 << 20  # bytes; that of a thousand layers has 2 MB
MAX_FILE: Final = 4 << 30
_IMPORTED: Final = (".py", ".pyc", ".so", ".pyd", ".pth")
_CACHE: Final = "__pycache__"


def read_text(path: Path) -> str:
    """The text of `manifest.json`.

    Raises:
        BadInput: a link, too large, or not UTF-8.
    """
    try:
        _check_plain(path, MAX_MANIFEST)
        return path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); export again") from None


def check_files(folder: Path, listed: Mapping[str, str]) -> None:
    """Every listed file against its digest, and nothing beside them that would be imported.

    Raises:
        BadInput: a file that is missing, a link, too large or changed, or one more that Python
            would import.
    """
    for name, digest in listed.items():
        file = folder / name
        if Path(name).name != name or name == MANIFEST or not _is_file(file):
            raise BadInput(f"{file}: listed in {MANIFEST} but not there; export again")
        _check_plain(file, MAX_FILE)
        found = sha256(file)
        if found != digest:
            raise BadInput(
                f"{file}: truncated or changed after the export (sha256 {found[:12]}, "
                f"manifest {digest[:12]}); export again"
            )
    for path in _others(folder, listed):
        if path.is_dir() or path.suffix in _IMPORTED:
            raise BadInput(
                f"{path}: is not part of the bundle, and a script beside it would import it; "
                "remove it, or export again"
            )


def other_files(folder: Path, listed: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence on the files that the manifest does not list, where there are any."""
    names = ", ".join(path.name for path in _others(folder, listed))
    return (f"not part of the bundle, and not read: {names}",) if names else ()


def _others(folder: Path, listed: Mapping[str, str]) -> list[Path]:
    known = {folder / name for name in (*listed, MANIFEST)}
    found = sorted(set(folder.iterdir()) - known)
    return [path for path in found if path.name != _CACHE or path.is_symlink()]


def _is_file(path: Path) -> bool:
    try:
        return path.is_symlink() or path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _check_plain(path: Path, limit: int) -> None:
    if path.is_symlink():
        raise BadInput(
            f"{path}: is a link, and a bundle holds its files itself; copy the file that it means"
        )
    size = path.stat().st_size
    if size > limit:
        raise BadInput(
            f"{path}: {size:,} bytes, at most {limit:,} are read of this file; export again"
        )
