"""Folders and files that appear whole or not at all: written beside their place, then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`; what is written there takes its place if the block ends well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide the data set from others
        yield temporary
        _move_into_place(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _move_into_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        os.replace(temporary, folder)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.replace(folder, retired)  # an empty folder may be replaced by a folder
    os.replace(temporary, folder)
    shutil.rmtree(retired, ignore_errors=True)
