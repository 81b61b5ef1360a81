"""A set of recordings on disk: `dataset.h5` (arrays) and `dataset.json` (facts, with their hash).

    /frames (n, T, 2, H, W) uint8   /label (n,)   /split (n,)   /events (n,)   /clipped (n,)
    /names (n,)   /classes (C,)   /since_us (n,), where recordings have several windows

The frames lie in the file as plain bytes and are mapped. Both files appear together or not at all.
Opening compares size and time with those noted and hashes where they differ; `data check` hashes
always.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_folder
from neurozsl.core.leftovers import recover
from neurozsl.core.reading import Kind, checked_object, checked_value, read_object
from neurozsl.data.events.kind import EVENT_SCHEMA, REBUILD, fingerprint_of, is_event_set
from neurozsl.data.events.recordings.event_set import FORMS, SPLITS, EventSet
from neurozsl.data.events.stream import U8
from neurozsl.data.hdf5 import opened
from neurozsl.data.mapped import Pages
from neurozsl.data.set_folder import ARRAYS, FACTS, MAX_FACTS_BYTES, check_target

ALIGN_BYTES: Final = 64
BLOCK_BYTES: Final = 2**24  # copied at once
KEYS: Final[Mapping[str, Kind]] = {
    "schema": int,
    "name": str,
    "form": str,
    "seconds": (float, type(None)),
    "sensor": (list, type(None)),
    "counts": dict,
    "meta": dict,
    "arrays": dict,
}
NOTED: Final[Mapping[str, Kind]] = {"sha256": str, "bytes": int, "mtime_ns": int}


class Spool:
    """Frames on their way to the disk, one recording at a time, so that memory holds one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self.shape: tuple[int, ...] = ()
        self.count = 0

    def add(self, frames: U8) -> None:
        """The next recording, (T, 2, H, W)."""
        self.shape = frames.shape
        self._file.write(np.ascontiguousarray(frames).tobytes())
        self.count += 1

    def close(self) -> None:
        """No more come."""
        self._file.close()

    def blocks(self) -> Iterator[tuple[int, U8]]:
        """(first recording, frames) of many at once."""
        size = int(np.prod(self.shape))
        rows = max(1, BLOCK_BYTES // size)
        with self.path.open("rb") as file:
            for start in range(0, self.count, rows):
                data = file.read(rows * size)
                yield start, np.frombuffer(data, dtype=np.uint8).reshape(-1, *self.shape)


@contextmanager
def spooled(folder: Path) -> Iterator[tuple[Path, Spool]]:
    """A folder that takes the place of `folder` at the end, and in it a spool that will be gone.

    Raises:
        BadInput: `folder` holds something else than a data set.
    """
    check_target(folder)
    with whole_folder(folder) as temporary:
        spool = Spool(temporary / "frames.part")
        try:
            yield temporary, spool
        finally:
            spool.close()
            spool.path.unlink(missing_ok=True)


def write(temporary: Path, spool: Spool, data: EventSet) -> None:
    """Writes both files; data: all but the frames, which come from the spool."""
    spool.close()
    path = temporary / ARRAYS
    text = h5py.string_dtype()
    with h5py.File(
        path, "w", alignment_threshold=ALIGN_BYTES, alignment_interval=ALIGN_BYTES
    ) as file:
        frames = file.create_dataset("frames", (spool.count, *spool.shape), dtype="u1")
        for start, block in spool.blocks():
            frames[start : start + len(block)] = block
        for name in ("split", "events", "clipped"):
            file.create_dataset(name, data=getattr(data, name))
        if data.since_us.any():
            file.create_dataset("since_us", data=data.since_us)
        file.create_dataset("label", data=data.labels)
        file.create_dataset("names", data=list(data.names), dtype=text)
        file.create_dataset("classes", data=list(data.classes), dtype=text)
    state = path.stat()
    facts = {
        "schema": EVENT_SCHEMA,
        "kind": "events",
        "name": data.name,
        "form": data.form,
        "seconds": data.seconds,
        "sensor": None if data.sensor is None else list(data.sensor),
        "counts": _counts(data),
        "meta": dict(data.meta),
        "arrays": {"sha256": sha256(path), "bytes": state.st_size, "mtime_ns": state.st_mtime_ns},
    }
    text_of = json.dumps(facts, indent=1, allow_nan=False)
    (temporary / FACTS).write_text(text_of, encoding="utf-8")


def save_event_set(data: EventSet, folder: Path) -> None:
    """Writes a set that is in memory; an older data set in `folder` is replaced as a whole.

    Raises:
        BadInput: `folder` holds something else.
    """
    with spooled(Path(folder)) as (temporary, spool):
        for row in range(len(data)):
            spool.add(data.take(np.array([row]))[0])
        write(temporary, spool, data)


def load_event_set(folder: Path | str) -> EventSet:
    """Opens a set; its frames stay in the file.

    Raises:
        BadInput: the folder is missing or another kind of data set, or a file of it is missing,
            damaged, or not the one that was written.
    """
    folder = Path(folder)
    recover(folder)
    facts = read_facts(folder)
    path = folder / ARRAYS
    if not unchanged(path, facts["arrays"]):
        check_digest(path, facts["arrays"])
    with opened(path, remedy=REBUILD) as file:
        names = file.texts("names")
        n = len(names)
        offset, shape = file.place("frames", "|u1", (n, None, 2, None, None))
        values = {
            name: file.numbers(name, "iu", (n,)) for name in ("label", "split", "events", "clipped")
        }
        if file.holds("", "since_us"):
            values["since_us"] = file.numbers("since_us", "iu", (n,))
        classes = file.texts("classes")
    pages = Pages(path)
    data = EventSet(
        name=facts["name"],
        frames=pages.array(offset, shape, "|u1"),
        labels=values["label"].astype(np.int64),
        classes=classes,
        split=values["split"].astype(np.uint8),
        names=names,
        events=values["events"].astype(np.int64),
        clipped=values["clipped"].astype(np.int64),
        since_us=values.get("since_us", np.zeros(n)).astype(np.int64),
        form=facts["form"],
        seconds=facts["seconds"],
        sensor=None if facts["sensor"] is None else tuple(facts["sensor"]),
        meta=facts["meta"],
        fingerprint=fingerprint_of(facts),
        folder=folder,
        pages=pages,
    )
    if _counts(data) != facts["counts"]:
        raise BadInput(
            f"{path}: {_counts(data)} recordings, {FACTS} says {facts['counts']}; the two files do "
            f"not belong together, {REBUILD}"
        )
    return data


def read_facts(folder: Path) -> dict[str, Any]:
    """What `dataset.json` says, every key checked.

    Raises:
        BadInput: no set of recordings, or a value that cannot be.
    """
    path = folder / FACTS
    if folder.is_dir() and path.is_file() and not is_event_set(folder):
        read_object(path, remedy=REBUILD, max_bytes=MAX_FACTS_BYTES)  # damaged says so
        raise BadInput(
            f"{folder}: is a data set of another kind, a set of event recordings is needed; make "
            "one with `neurozsl data build --events DIR --labels CSV --bins T --out SET`"
        )
    facts = read_object(path, remedy=REBUILD, keys=KEYS, max_bytes=MAX_FACTS_BYTES)
    checked_object(facts["arrays"], f"{path}: arrays", remedy=REBUILD, keys=NOTED)
    if facts["form"] not in FORMS:
        raise BadInput(f"{path}: form {facts['form']!r}, {' or '.join(FORMS)} is known; {REBUILD}")
    if facts["seconds"] is not None and facts["seconds"] <= 0:
        raise BadInput(f"{path}: seconds {facts['seconds']}, above 0 is needed; {REBUILD}")
    for side in facts["sensor"] or ():
        checked_value(side, f"{path}: sensor", int, remedy=REBUILD)
    if facts["sensor"] is not None and len(facts["sensor"]) != 2:
        raise BadInput(f"{path}: sensor {facts['sensor']}, two sides are needed; {REBUILD}")
    for key in ("skipped", "repaired"):
        listed = checked_value(facts["meta"].get(key, []), f"{path}: meta '{key}'", list,
                               remedy=REBUILD)  # fmt: skip
        for each in listed:
            checked_object(each, f"{path}: meta '{key}'", remedy=REBUILD, keys={"file": str})
    return facts


def unchanged(path: Path, noted: Mapping[str, Any]) -> bool:
    """Whether size and time of the arrays are those noted."""
    if not path.is_file():
        raise BadInput(f"{path}: does not exist; {REBUILD}")
    state = path.stat()
    return (state.st_size, state.st_mtime_ns) == (noted["bytes"], noted["mtime_ns"])


def check_digest(path: Path, noted: Mapping[str, Any]) -> None:
    """Compares the arrays with their noted hash.

    Raises:
        BadInput: they differ.
    """
    if path.stat().st_size != noted["bytes"] or sha256(path) != noted["sha256"]:
        raise BadInput(f"{path}: cut short, or changed since it was written; {REBUILD}")


def _counts(data: EventSet) -> dict[str, int]:
    return {name: len(data.rows(name)) for name in SPLITS}
