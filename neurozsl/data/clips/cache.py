"""What was made of a clip, kept by its content: the same file is never encoded twice.

A key is the digest of the clip's bytes, of the encoder and of the windows; the name of the file and
its place do not count. An entry appears whole or not at all, and one that cannot be read is made
again. `NEUROZSL_ENCODERS/clips` holds them; it may be removed at any time.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.npz import read_npz
from neurozsl.data.encoders.folder import home

Arrays = Mapping[str, npt.NDArray[Any]]


class ClipCache:
    """Entries below a folder; `read` counts those that were found, `made` those that were not."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: by default below that of the encoders."""
        self._folder = folder or home() / "clips"
        self._writes = True
        self.read = 0
        self.made = 0

    def get(self, key: str, *needed: str) -> Arrays | None:
        """The arrays of an entry; None where there is none that can be read."""
        path = self._place(key)
        if not path.is_file():
            return None
        try:
            found = read_npz(path, remedy="it is made again", needed=needed)
        except BadInput:
            return None
        self.read += 1
        return found

    def put(self, key: str, arrays: Arrays) -> None:
        """Keeps arrays; where the folder takes no file, it says so once and goes on."""
        self.made += 1
        if not self._writes:
            return
        path = self._place(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part, part.open("wb") as file:
                np.savez(file, allow_pickle=False, **dict(arrays))
        except OSError as error:
            self._writes = False
            logging.getLogger(__name__).warning(
                "note: encoded clips are not kept, '%s' cannot be written (%s)", path, error
            )

    def _place(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.npz"
