"""The digests that tie the files of a run together: result -> model, settings -> data.

    result.json   `digest` of itself, `settings`: that of run.json, `files`: SHA-256 of every file
                  that its scores come from
    run.json      `digest` of itself, the fingerprint of the data; `sources`: SHA-256 of the files
                  that a fine-tuned run began with, and the results of its parent and its teacher

A digest is the SHA-256 of an object as canonical JSON without the key `digest`. That of run.json
leaves out where data, parent and teacher lie, so that folders can move: what lies there is known by
its own digest. A changed file, or one of another run, is refused and never scored.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.reading import unreadable

RESTORE = "restore it from a copy of the run, or train again"
# Keys of run.json, from the root, that say where something lies.
_PLACES = (("data",), ("qat", "parent"), ("train", "distillation", "teacher"))


def own_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of an object as canonical JSON, without its key `digest`.

    >>> own_digest({"b": 1, "a": 2}) == own_digest({"a": 2, "b": 1, "digest": "..."})
    True
    """
    bare = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def settings_digest(content: Mapping[str, Any]) -> str:
    """`own_digest` of what run.json holds, wherever data, parent and teacher lie."""
    placeless = deepcopy(dict(content))
    for *above, last in _PLACES:
        part: Any = placeless
        for key in above:
            part = part.get(key) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part.pop(last, None)
    return own_digest(placeless)


def file_digests(path: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of those of these files that a run folder has."""
    return {name: sha256(path / name) for name in names if (path / name).is_file()}


def check_digest(file: Path, found: str, noted: str, where: str) -> None:
    """Refuse contents whose digest is not the noted one; where: who notes it.

    Raises:
        BadInput: with both digests.
    """
    if found != noted:
        raise BadInput(
            f"{file}: was changed or damaged, or belongs to another run (sha256 {found[:12]}, "
            f"{where} notes {noted[:12]}); {RESTORE}"
        )


def check_file(path: Path, name: str, noted: Mapping[str, str], where: str) -> None:
    """Refuse a file of a run folder that is not the noted one; a name that is not noted passes.

    Raises:
        BadInput: it is missing, cannot be read, or is another.
    """
    if name not in noted:
        return
    file = path / name
    if not file.is_file():
        raise BadInput(f"{file}: is missing, {where} notes {noted[name][:12]}; {RESTORE}")
    try:
        found = sha256(file)
    except OSError as error:
        raise unreadable(file, error, RESTORE) from error
    check_digest(file, found, noted[name], where)
