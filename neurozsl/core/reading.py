"""Small JSON files that anybody may have written, read in bounded time and memory.

In: a path, what the caller needs, and the remedy to tell. Out: plain values. Refused, always as one
`BadInput` that names the file, the actual value, the limit and the remedy, are

    no regular file, more bytes than the limit         a pipe or /dev/zero would never end
    text that is not UTF-8, lone surrogates            they cannot be printed
    lists and objects in each other beyond MAX_DEPTH   a nesting bomb
    NaN, Infinity, numbers above float64               not JSON, unless `allow_nan`
    a key twice in one object                          which of the two counts is a guess
    another root than asked for, keys that are missing or of another type

Arrays of NumPy are read by `core/npz.py`, in the same way.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput

MAX_JSON_BYTES: Final = 2**22  # 4 MiB; the values take up to 25 times as much in memory
MAX_DEPTH: Final = 64

Kind = type | tuple[type, ...]
"""What a key must hold: `float` is any finite number, `int` no bool; a tuple: one of these."""

_WORDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    type(None): "null",
}


def read_bytes(path: Path, *, remedy: str, max_bytes: int) -> bytes:
    """The content of a regular file of at most `max_bytes`.

    Raises:
        BadInput: it is not there, no file, too large, or cannot be read.
    """
    size = file_size(path, remedy=remedy)
    if size > max_bytes:
        raise BadInput(f"{path}: {size} bytes, limit {max_bytes}; {remedy}")
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)  # it may have grown
    except OSError as error:
        raise unreadable(path, error, remedy) from error
    if len(data) > max_bytes:
        raise BadInput(f"{path}: more than {max_bytes} bytes, which is the limit; {remedy}")
    return data


def file_size(path: Path, *, remedy: str) -> int:
    """Bytes of a regular file.

    Raises:
        BadInput: there is none.
    """
    try:
        if path.is_file():
            return path.stat().st_size
        there = path.exists()
    except (OSError, ValueError) as error:
        raise unreadable(path, error, remedy) from error
    raise BadInput(f"{path}: {'is no file' if there else 'does not exist'}; {remedy}")


def unreadable(path: Path, error: BaseException, remedy: str) -> BadInput:
    """The refusal of a file whose reading ended in `error`."""
    return BadInput(f"{path}: cannot be read ({brief(error)}); {remedy}")


def brief(error: BaseException) -> str:
    """Type and first line of an error, without the path that an `OSError` repeats."""
    text = getattr(error, "strerror", None) or str(error)
    lines = str(text).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def read_json(
    path: Path, *, remedy: str, max_bytes: int = MAX_JSON_BYTES, allow_nan: bool = False
) -> Any:
    """The value of a JSON file; see `read_object` where an object is needed.

    Raises:
        BadInput: one of the refusals of the module docstring.
    """
    data = read_bytes(path, remedy=remedy, max_bytes=max_bytes)
    return parse_json(data, str(path), remedy=remedy, allow_nan=allow_nan)


def read_object(
    path: Path,
    *,
    remedy: str,
    keys: Mapping[str, Kind] | None = None,
    max_bytes: int = MAX_JSON_BYTES,
    allow_nan: bool = False,
) -> dict[str, Any]:
    """The object of a JSON file, with `keys` of the types given there; others may stand beside.

    Raises:
        BadInput: one of the refusals of the module docstring.
    """
    value = read_json(path, remedy=remedy, max_bytes=max_bytes, allow_nan=allow_nan)
    return checked_object(value, str(path), remedy=remedy, keys=keys)


def parse_json(data: bytes | str, where: str, *, remedy: str, allow_nan: bool = False) -> Any:
    """The value of JSON text; `where` names it in errors.

    Raises:
        BadInput: one of the refusals of the module docstring.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{where}: byte {error.start} is not UTF-8, the only encoding read; {remedy}"
        ) from error

    def constant(name: str) -> float:
        if not allow_nan:
            raise ValueError(f"{name} is not JSON")
        return float(name)

    def number(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else constant("Infinity")

    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=constant, parse_float=number
        )
        _check_parts(value)
    except RecursionError as error:
        raise BadInput(
            f"{where}: lists and objects nest deeper than {MAX_DEPTH}, the limit; {remedy}"
        ) from error
    except ValueError as error:
        raise BadInput(f"{where}: is not readable JSON ({error}); {remedy}") from error
    return value


def checked_object(
    value: object, where: str, *, remedy: str, keys: Mapping[str, Kind] | None = None
) -> dict[str, Any]:
    """`value` as an object with `keys`; for parts of a file too.

    Raises:
        BadInput: it is something else, or a key is missing or holds another type.
    """
    if not isinstance(value, dict):
        raise BadInput(f"{where}: holds {_shown(value)}, expected an object; {remedy}")
    missing = [key for key in keys or {} if key not in value]
    if missing:
        listed = ", ".join(map(repr, missing))
        raise BadInput(f"{where}: {listed} missing, it holds {_listed(value)}; {remedy}")
    for key, kind in (keys or {}).items():
        checked_value(value[key], f"{where}: '{key}'", kind, remedy=remedy)
    return value


def checked_value(value: object, where: str, kind: Kind, *, remedy: str) -> Any:
    """`value`, if it is of that kind.

    Raises:
        BadInput: it is not.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not any(_is(value, one) for one in kinds):
        expected = " or ".join(_WORDS[one] for one in kinds)
        raise BadInput(f"{where} is {_shown(value)}, expected {expected}; {remedy}")
    return value


def _is(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and _is_number(value)
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


def _is_number(value: int | float) -> bool:
    # An int above float64's range is no number to calculate with.
    return not isinstance(value, bool) and abs(value) <= 1.7e308


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:80]!r} stands twice in one object")
        found[key] = value
    return found


def _check_parts(value: object) -> None:
    """Depth and text of everything inside, level by level: no recursion of its own."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, str):
                part.encode("utf-8")  # a UnicodeEncodeError is a ValueError
            elif isinstance(part, dict):
                below += [*part, *part.values()]
            elif isinstance(part, list):
                below += part
        if not below:
            return
        level = below
    raise RecursionError


def _listed(found: Mapping[str, object]) -> str:
    names = [repr(key[:40]) for key in list(found)[:8]]
    return ", ".join([*names, "..."] if len(found) > 8 else names) or "no key"


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)):
        return f"{_WORDS[type(value)]} of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
