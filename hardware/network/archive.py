"""`program.npz` on disk, for the integers of every chip: arrays and one JSON text, no pickle.

A file that exists is complete (temporary file, then rename), and nothing in it is executed. It is
read within the bounds of `core/npz.py` and `core/reading.py`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.npz import read_npz
from neurozsl.core.reading import brief, checked_object, parse_json

Arrays = dict[str, npt.NDArray[Any]]
REMEDY: Final = "export the run again"
# What values of a wrong type or size raise where a program is built of them.
_DAMAGE: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays, and `header` as JSON under the key `json`."""
    every: dict[str, Any] = {**arrays, "json": np.array(json.dumps(header))}
    with whole_file(Path(path)) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **every)


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays.

    Raises:
        BadInput: not such a file, or a damaged one.
    """
    arrays = read_npz(path, remedy=REMEDY, needed=("json",))
    where = f"{path}: array 'json'"
    if arrays["json"].shape or arrays["json"].dtype.kind != "U":
        raise BadInput(f"{where} is {arrays['json'].dtype}, expected one text; {REMEDY}")
    value = parse_json(str(arrays["json"][()]), where, remedy=REMEDY, allow_nan=True)
    return checked_object(value, where, remedy=REMEDY), arrays


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in every error of what is built of its content.

    Raises:
        BadInput: in the place of whatever a damaged or foreign file causes inside.
    """
    where = f"program file {path}"
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except _DAMAGE as error:
        raise BadInput(f"{where}: cannot be read ({brief(error)}); {REMEDY}") from None
