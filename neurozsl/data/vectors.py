"""Class vectors from NPZ files: `names` (C,) and `vectors` (C, 300), read without pickle."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32


@dataclass(frozen=True, eq=False)
class VectorFile:
    """One file of named vectors, L2-normalised."""

    path: Path
    table: Mapping[str, F32]


def read_vectors(path: Path) -> VectorFile:
    """Reads one NPZ file.

    Raises:
        BadInput: no such file, not an NPZ, arrays missing or of the wrong shape, a vector that is
            zero or not finite, or a name that appears twice.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in ("names", "vectors") if key not in file.files]
            if missing:
                raise BadInput(
                    f"{path}: arrays {file.files}, {missing} missing; store `names` and `vectors`"
                )
            names, vectors = file["names"], np.asarray(file["vectors"], dtype=np.float32)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: does not exist; give an NPZ with names and vectors") from error
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise BadInput(
            f"{path}: is not a readable NPZ ({error}); store it with np.savez"
        ) from error
    if vectors.ndim != 2 or names.shape != vectors.shape[:1]:
        raise BadInput(
            f"{path}: names {names.shape} and vectors {vectors.shape}; one row per name is needed"
        )
    lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths < 1e-6))
    if bad.size:
        raise BadInput(
            f"{path}: vector of {str(names[bad[0]])!r} has length {lengths[bad[0]]}; a finite "
            "vector above 0 is needed; remove the row"
        )
    table = {str(n): v for n, v in zip(names, vectors / lengths[:, None], strict=True)}
    if len(table) != len(names):
        raise BadInput(f"{path}: {len(names) - len(table)} name(s) appear twice; keep one each")
    return VectorFile(path, table)


def find_vector(files: Sequence[VectorFile], name: str, set_name: str = "") -> F32 | None:
    """Returns the vector of a name, or None.

    Where `set_name` is part of exactly one file's stem, that file alone is asked; otherwise the
    files are asked in order.
    """
    named = [file for file in files if set_name and set_name.lower() in file.path.stem.lower()]
    asked = named if len(named) == 1 else files
    for file in asked:
        if name in file.table:
            return file.table[name]
    return None
