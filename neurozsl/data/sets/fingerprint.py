"""A hash that says whether a data folder is still the same, computed as a stream.

In: a folder. Out: sha256 over the names and contents of its files, or for a memory-mapped set and a
set of recordings over the hash that was noted when it was written, so that opening a run does not
read gigabytes. Linked folders count with what lies in them, as the readers follow them; a circle is
followed once. Within a process a folder whose files keep their sizes and times is hashed once.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from neurozsl.core.tree import files_below
from neurozsl.data.benchmark import packed
from neurozsl.data.events.kind import is_event_set, noted_fingerprint

State = tuple[tuple[str, int, int], ...]  # file below the folder, bytes, time of change in ns


def fingerprint(folder: Path) -> str:
    """Returns the hash of a data folder; equal contents give equal hashes."""
    if packed.is_packed(folder):
        both = packed.array_digest(folder) + packed.facts_digest(folder)
        return hashlib.sha256(both.encode()).hexdigest()
    if is_event_set(folder):
        return noted_fingerprint(folder)
    return _hash_files(folder, _state(folder))


def _state(folder: Path) -> State:
    states = [(path, path.stat()) for path in files_below(folder)]
    return tuple(
        (str(path.relative_to(folder)), state.st_size, state.st_mtime_ns) for path, state in states
    )


@lru_cache(maxsize=16)
def _hash_files(folder: Path, state: State) -> str:
    digest = hashlib.sha256()
    for name, _, _ in state:
        digest.update(name.encode())
        with (folder / name).open("rb") as file:
            hashlib.file_digest(file, lambda: digest)  # goes on with it
    return digest.hexdigest()
