"""`program.npz` on disk, for the integers of every chip: arrays and one JSON text, no pickle.

A file that exists is complete (temporary file, then rename), and nothing in it is executed.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file

Arrays = dict[str, npt.NDArray[Any]]


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays, and `header` as JSON under the key `json`."""
    every: dict[str, Any] = {**arrays, "json": np.array(json.dumps(header))}
    with whole_file(Path(path)) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **every)


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays; call it inside `named`, which says what is wrong with a damaged file."""
    # An own handle: numpy leaves the file open where the archive is damaged.
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
        header: dict[str, Any] = json.loads(str(archive["json"][()]))
        return header, {key: archive[key] for key in archive.files}


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in every error of reading it.

    Raises:
        BadInput: in the place of whatever a damaged or foreign file causes inside.
    """
    where = f"program file {path}"
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(
            f"{where}: cannot be read ({type(error).__name__}: {error}); export the run again"
        ) from None
