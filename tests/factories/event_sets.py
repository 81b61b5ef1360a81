"""Small folders of recordings with a labels file: bars that move left or right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurozsl.data.events.files.open import write_events
from neurozsl.data.events.stream import EVENT, EventStream
from tests.factories import event_files as made
from tests.factories.event_files import Events

SIZE = (16, 12)
ROWS: Sequence[tuple[str, str, str]] = tuple(
    (f"{split}{number}.{suffix}", label, split)
    for split, count in (("train", 4), ("val", 2), ("test", 2))
    for number, (label, suffix) in enumerate(
        (("left", "npz"), ("right", "raw"), ("left", "raw"), ("right", "h5"))[:count]
    )
)


def bar(label: str, seed: int) -> Events:
    """A bright bar that crosses the sensor in 160 ms, with its dark end three columns behind."""
    rng = np.random.default_rng(seed)
    events = []
    for step in range(SIZE[0]):
        x = step if label == "right" else SIZE[0] - 1 - step
        tail = x - 3 if label == "right" else x + 3
        for y in range(SIZE[1]):
            t = step * 10_000 + int(rng.integers(0, 9_000))
            events.append((t, x, y, 1))
            if 0 <= tail < SIZE[0]:
                events.append((t + 500, tail, y, 0))
    return np.sort(np.array(events, dtype=EVENT), order="t")


def write_recording(path: Path, events: Events) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".raw":
        path.write_bytes(made.evt3(events, SIZE))
    else:
        write_events(EventStream(events, *SIZE), path)


def recordings(folder: Path, rows: Sequence[tuple[str, str, str]] = ROWS) -> Path:
    """The folder with `labels.csv`."""
    for number, (file, label, _) in enumerate(rows):
        write_recording(folder / file, bar(label, number))
    write_labels(folder, rows)
    return folder


def write_labels(
    folder: Path, rows: Sequence[tuple[str, ...]], head: str = "file,label,split"
) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join((head, *(",".join(row) for row in rows))) + "\n")
    return path
