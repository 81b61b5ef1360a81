"""What a set of recordings holds, in numbers: splits, classes, events, counts that were clipped."""

from dataclasses import asdict, dataclass

import numpy as np

from neurozsl.data.events.recordings.event_set import SPLITS, EventSet, SplitName

BLOCK_BYTES = 2**24  # frames looked at together


@dataclass(frozen=True)
class EventSplit:
    """One split.

    Attributes:
        name: of the split.
        recordings: number; of their windows, where they have several.
        classes: that have one in it.
        fewest: recordings of a class that has one.
        most: recordings of a class.
        events: in all windows.
        events_per_step: mean of a recording and step.
        clipped: share of the events that the largest count left out.
        active: share of cells that are not 0.
    """

    name: str
    recordings: int
    classes: int
    fewest: int
    most: int
    events: int
    events_per_step: float
    clipped: float
    active: float


@dataclass(frozen=True)
class EventSummary:
    """Facts of one set."""

    name: str
    form: str
    classes: int
    class_names: tuple[str, ...]
    steps: int
    size: tuple[int, int]
    seconds: float | None
    hop: float | None
    sensor: tuple[int, int] | None
    splits: tuple[EventSplit, ...]
    skipped: tuple[dict[str, str], ...]
    repaired: tuple[dict[str, str], ...]
    fingerprint: str

    @property
    def caption(self) -> str:
        """Explains the columns of the table."""
        return (
            "per step: events of a recording in a step; clipped: events above the largest count of "
            "a cell; active: cells that are not 0"
        )

    def to_json(self) -> dict[str, object]:
        """Returns the summary as plain values."""
        return asdict(self)


def summarise(data: EventSet) -> EventSummary:
    """Returns the numbers of a set; the frames are read once, in blocks."""
    skipped = [{k: str(v) for k, v in each.items()} for each in data.meta.get("skipped", ())]
    repaired = [
        {"file": str(each["file"]), "reason": "; ".join(map(str, each.get("repairs", ())))}
        for each in data.meta.get("repaired", ())
    ]
    return EventSummary(
        name=data.name,
        form=data.form,
        classes=len(data.classes),
        class_names=data.classes,
        steps=data.steps,
        size=data.size,
        seconds=data.seconds,
        hop=data.meta.get("grid", {}).get("hop"),
        sensor=data.sensor,
        splits=tuple(_split(data, name) for name in SPLITS if len(data.rows(name))),
        skipped=tuple(skipped),
        repaired=tuple(repaired),
        fingerprint=data.fingerprint,
    )


def _split(data: EventSet, name: SplitName) -> EventSplit:
    rows = data.rows(name)
    per_class = np.bincount(data.labels[rows], minlength=len(data.classes))
    per_class = per_class[per_class > 0]
    events = int(data.events[rows].sum())
    cells = int(np.prod(data.frames.shape[1:]))
    block = max(1, BLOCK_BYTES // max(1, cells))
    active = sum(
        int(np.count_nonzero(data.take(rows[start : start + block])))
        for start in range(0, len(rows), block)
    )
    return EventSplit(
        name=name,
        recordings=len(rows),
        classes=len(per_class),
        fewest=int(per_class.min()),
        most=int(per_class.max()),
        events=events,
        events_per_step=round(events / len(rows) / data.steps, 4),
        clipped=round(int(data.clipped[rows].sum()) / max(events, 1), 6),
        active=round(active / (len(rows) * cells), 6),
    )
