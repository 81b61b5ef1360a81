"""Class vectors from NPZ files: `names` (C,) and `vectors` (C, 300), read without pickle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.npz import read_npz
from neurozsl.data.batch import F32

REMEDY: Final = "store `names` and `vectors` with np.savez"


@dataclass(frozen=True, eq=False)
class VectorFile:
    """One file of named vectors of one width, L2-normalised."""

    path: Path
    table: Mapping[str, F32]

    @property
    def width(self) -> int:
        """Values of a vector."""
        return len(next(iter(self.table.values())))


def read_vectors(path: Path) -> VectorFile:
    """Reads one NPZ file.

    Raises:
        BadInput: no such file, not an NPZ, or it does not hold one vector per name as `as_stored`
            says.
    """
    stored = as_stored(path)
    return VectorFile(path, {name: x / np.linalg.norm(x) for name, x in stored.items()})


def as_stored(path: Path) -> dict[str, F32]:
    """Returns name -> vector of an NPZ file, of the length that it has there.

    Raises:
        BadInput: no such file, not an NPZ, arrays missing, no rows or not one row per name,
            values that are no real numbers, a vector that is zero or not finite in float32, or a
            name that is empty or appears twice.
    """
    arrays = read_npz(path, remedy=REMEDY, needed=("names", "vectors"))
    names, vectors = arrays["names"], arrays["vectors"]
    if names.dtype.kind not in "US" or vectors.dtype.kind not in "biuf":
        raise BadInput(
            f"{path}: names are {names.dtype} and vectors {vectors.dtype}, expected text and real "
            f"numbers; {REMEDY}"
        )
    if vectors.ndim != 2 or names.shape != vectors.shape[:1] or not vectors.size:
        raise BadInput(
            f"{path}: names {names.shape} and vectors {vectors.shape}; one row of 1 value or more "
            f"per name is needed; {REMEDY}"
        )
    texts = [_text(path, name) for name in names.tolist()]
    with np.errstate(over="ignore"):  # what leaves float32 is infinite below
        vectors = vectors.astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths < 1e-6))
    if bad.size:
        raise BadInput(
            f"{path}: vector of {texts[bad[0]]!r} has length {lengths[bad[0]]}; a finite "
            "vector above 0 is needed; remove the row"
        )
    table = dict(zip(texts, vectors, strict=True))
    if len(table) != len(texts):
        raise BadInput(f"{path}: {len(texts) - len(table)} name(s) appear twice; keep one each")
    return table


def _text(path: Path, name: str | bytes) -> str:
    try:
        text = name.decode("utf-8") if isinstance(name, bytes) else name
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: name {name!r} is not UTF-8; {REMEDY}") from error
    if not text.strip():
        raise BadInput(f"{path}: a name is empty; remove the row")
    return text


def find_vector(files: Sequence[VectorFile], name: str, set_name: str = "") -> F32 | None:
    """Returns the vector of a name, or None.

    Where `set_name` is part of exactly one file's stem, that file alone is asked; otherwise the
    files are asked in order.

    Raises:
        BadInput: the files hold vectors of several widths: the classes of a set have one.
    """
    widths = {file.width: file.path for file in files}
    if len(widths) > 1:
        listed = ", ".join(f"{path} {width}" for width, path in widths.items())
        raise BadInput(
            f"class vectors: widths differ ({listed}), one width is needed; give files of one "
            "embedding"
        )
    named = [file for file in files if set_name and set_name.lower() in file.path.stem.lower()]
    asked = named if len(named) == 1 else files
    for file in asked:
        if name in file.table:
            return file.table[name]
    return None
