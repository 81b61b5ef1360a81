"""How a set of recordings is known from other data sets, without reading it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object
from neurozsl.core.shell import words
from neurozsl.data.set_folder import FACTS, MAX_FACTS_BYTES

EVENT_SCHEMA: Final = 3  # of `dataset.json`; 1 and 2 are sets of clips
REBUILD: Final = "make it again with `neurozsl data build --events`"


def is_event_set(folder: Path) -> bool:
    """Whether the folder says that it is a set of recordings; its arrays may be damaged."""
    try:
        facts = read_object(folder / FACTS, remedy=REBUILD, max_bytes=MAX_FACTS_BYTES)
    except BadInput:
        return False
    return facts.get("schema") == EVENT_SCHEMA


def refuse_event_set(folder: Path) -> None:
    """An error where features of clips are needed and recordings were given.

    Raises:
        BadInput: the folder is a set of recordings.
    """
    if is_event_set(folder):
        raise BadInput(
            f"{folder}: is a set of event recordings, a set of clips is needed here; train a "
            f"spiking network on it: neurozsl train --network conv-if{words({'data': folder})}"
        )


def noted_fingerprint(folder: Path) -> str:
    """The fingerprint of a set by what its facts note; opening the set compares the arrays.

    Raises:
        BadInput: the facts are damaged.
    """
    path = folder / FACTS
    facts = read_object(path, remedy=REBUILD, keys={"arrays": dict}, max_bytes=MAX_FACTS_BYTES)
    return fingerprint_of(facts)


def fingerprint_of(facts: Mapping[str, Any]) -> str:
    """Of the arrays and all facts but the time of the file, which a copy changes."""
    lasting = {**facts, "arrays": facts["arrays"].get("sha256")}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()
