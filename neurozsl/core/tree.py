"""The files below a folder, those in linked folders too: readers that open a path follow links."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """Regular files below a folder, sorted; a link that leads back to a folder above is left."""
    return sorted(path for path in _below(folder, ()) if path.is_file())


def _below(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """All that is no folder; above: device and number of the folders that lead here."""
    state = folder.stat()
    own = (state.st_dev, state.st_ino)
    if own in above:
        return
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries]
    for path in found:
        if path.is_dir():
            yield from _below(path, (*above, own))
        else:
            yield path
