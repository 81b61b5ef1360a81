"""The events of a run's test recordings in the order in which they were recorded.

In: a run, the folder of its recordings, how many test samples. Out: two `InOrder`. The first holds
the events that the codes of the test samples hold: the first ones of a cell in a step, as many as
its code says; where the network reads `binary` values, one. The second holds every event: what a
sensor that is joined to the chip sends.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurozsl.classifier.settings import read_settings
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data.clips.places import find_file
from neurozsl.data.events.frames import Cells, cells_of
from neurozsl.data.events.recordings.event_set import EventSet
from neurozsl.data.events.recordings.reading import camera_of, read_recording
from neurozsl.data.events.recordings.stored import load_event_set
from neurozsl.data.events.stream import US, EventStream
from neurozsl.export.network.order import InOrder
from neurozsl.hardware.speck.event_driven import OrderedEvents
from neurozsl.runs.settings import data_folder

Ints = npt.NDArray[np.int64]


def recorded_order(
    run: Path, recordings: Path, samples: int, *, progress: Progress | None = None
) -> tuple[InOrder, InOrder]:
    """The first `samples` test samples of a run; recordings: folder that its data were made of.

    Raises:
        BadInput: the run or its data cannot be used, a recording is missing or is another one, or
            the set holds time surfaces, which are no events.
    """
    if not recordings.is_dir():
        raise BadInput(f"--events {recordings}: is not a folder; give that of the recordings")
    settings = read_settings(run)
    events = load_event_set(data_folder(run, settings))
    if events.form != "frames":
        raise BadInput(
            f"{events.folder}: holds time surfaces, whose codes are no events; leave --events out"
        )
    rows = events.rows("test")[:samples]
    most = 1 if settings.recipe.values == "binary" else _clip(events)
    coded: list[tuple[Ints, Ints]] = []
    every: list[tuple[Ints, Ints]] = []
    step_s = []
    read = _Reader(events, recordings)
    for done, row in enumerate(rows.tolist(), start=1):
        cells = _cells(events, row, read)
        kept = first_events(cells.step, cells.flat, most)
        coded.append((cells.step[kept], cells.flat[kept]))
        every.append((cells.step, cells.flat))
        step_s.append(cells.window_us / US / events.steps)
        if progress is not None:
            progress(done, len(rows))
    first, all_of_them = _ordered(coded, events.steps), _ordered(every, events.steps)
    told, lengths = f"as recorded, {recordings}", np.array(step_s)
    left_out = len(all_of_them.step) - len(first.step)
    return (
        InOrder(first, told, lengths, left_out),
        InOrder(all_of_them, f"{told}, every event", lengths, is_coded=False),
    )


def first_events(step: Ints, cell: Ints, most: int) -> npt.NDArray[np.bool_]:
    """Which events are among the first `most` of their cell in their step.

    >>> first_events(np.array([0, 0, 0, 1]), np.array([5, 5, 2, 5]), 1).tolist()
    [True, False, True, True]
    """
    order = np.lexsort((cell, step))  # stable: events of a cell stay in order
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(step[order]) != 0) | (np.diff(cell[order]) != 0)
    begins = np.flatnonzero(new)
    number = np.arange(len(order)) - np.repeat(begins, np.diff([*begins, len(order)]))
    kept = np.empty(len(order), np.bool_)
    kept[order] = number < most
    return kept


class _Reader:
    """The recordings of a set; the last one stays, as its windows follow each other."""

    def __init__(self, events: EventSet, folder: Path) -> None:
        self.folder = folder
        self._camera = camera_of(events.meta)
        self._sensor = events.sensor
        self._mended = {each["file"] for each in events.meta.get("repaired", ())}
        self._last: tuple[str, EventStream] | None = None

    def stream(self, name: str) -> EventStream:
        """All events of a file."""
        if self._last is None or self._last[0] != name:
            file, mended = find_file(self.folder, name), name in self._mended
            self._last = (
                name,
                read_recording(file, sensor=self._sensor, repair=mended, camera=self._camera),
            )
        return self._last[1]


def _cells(events: EventSet, row: int, read: _Reader) -> Cells:
    """Where the events of a sample fall, which have to be those that the set holds."""
    stream, since_us = read.stream(events.names[row]), int(events.since_us[row])
    cells = cells_of(
        stream, events.steps, size=events.size, seconds=events.seconds, since_us=since_us
    )
    shape = cells.shape
    area = shape[1] * shape[2] * shape[3]
    counts = np.bincount(cells.step * area + cells.flat, minlength=shape[0] * area)
    frames = events.take(np.array([row]))[0].astype(np.int64)
    if np.any(np.minimum(counts.reshape(shape), _clip(events)) != frames):
        raise BadInput(
            f"{read.folder / events.names[row]}: its events are not those of "
            f"{events.folder}; give the recordings that the data were made of"
        )
    return cells


def _ordered(samples: list[tuple[Ints, Ints]], steps: int) -> OrderedEvents:
    none = np.zeros(0, np.int64)
    return OrderedEvents(
        np.concatenate([none, *(step for step, _ in samples)]),
        np.concatenate([none, *(place for _, place in samples)]),
        np.cumsum([0, *(len(step) for step, _ in samples)]),
        np.full(len(samples), steps),
        steps,
    )


def _clip(events: EventSet) -> int:
    """The largest count of a cell that the set holds."""
    return int(events.meta.get("grid", {}).get("clip", np.iinfo(np.uint8).max))
