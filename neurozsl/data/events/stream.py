"""One recording of an event camera, or a part of it, as one checked value.

An event is `EVENT`: time t in microseconds, pixel (x, y) from the upper left corner, polarity p,
1 where it got brighter (ON) and 0 where it got darker (OFF). What an `EventStream` holds was
checked: later steps ask nothing again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events.repairs import NONE, Repairs

EVENT: Final = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
MAX_SIDE: Final = 65_535  # px; a larger coordinate has no place in EVENT
US: Final = 1_000_000  # microseconds of a second

Array = npt.NDArray[Any]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events in order of time.

    Attributes:
        events: (n,) of `EVENT`; t sorted and >= 0, x < width, y < height, p 0 or 1. Not writable.
        width: of the sensor, px.
        height: of the sensor, px.
        name: of the recording, for messages.
        repairs: what reading left out or moved; empty where nothing was.

    Raises:
        BadInput: the events are not as above; names the first one that is not.

    >>> events = np.array([(5, 1, 0, 1), (2, 0, 0, 0)], dtype=EVENT)
    >>> EventStream(events, 2, 1, "toy")
    Traceback (most recent call last):
        ...
    neurozsl.core.errors.BadInput: toy: event 1 has t 2 us, at least 5 (that of the event before) \
is needed; sort the events by time
    """

    events: Array
    width: int
    height: int
    name: str = ""
    repairs: Repairs = NONE

    def __post_init__(self) -> None:
        where = self.name or "event stream"
        check_size((self.width, self.height), where)
        if self.events.dtype != EVENT or self.events.ndim != 1:
            raise BadInput(
                f"{where}: array of {self.events.dtype} and shape {self.events.shape}, (n,) of "
                f"{EVENT} is needed; neurozsl.data.events.arrays.to_events converts others"
            )
        fault = first_fault(self.events, self.width, self.height)
        if fault is not None:
            raise BadInput(f"{where}: event {fault}")
        kept = self.events.view()
        kept.flags.writeable = False
        object.__setattr__(self, "events", kept)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def start_us(self) -> int:
        """Time of the first event; 0 of none."""
        return int(self.events["t"][0]) if len(self) else 0

    @property
    def seconds(self) -> float:
        """From the first event to the last, s; 0 of none."""
        return (int(self.events["t"][-1]) - self.start_us) / US if len(self) else 0.0

    def slice(self, start_us: int, stop_us: int) -> "EventStream":
        """The events with start_us <= t < stop_us."""
        first, last = np.searchsorted(self.events["t"], (start_us, stop_us))
        return replace(self, events=self.events[first : max(first, last)], repairs=NONE)

    @staticmethod
    def join(parts: Iterable["EventStream"]) -> "EventStream":
        """One stream of parts that follow each other, of one sensor.

        Raises:
            BadInput: no part, two sensor sizes, or a part begins before the one before it ends.
        """
        every = tuple(parts)
        if not every:
            raise BadInput("event streams: 0 to join, at least 1 is needed; give one")
        first = every[0]
        for part in every:
            if (part.width, part.height) != (first.width, first.height):
                raise BadInput(
                    f"{part.name or 'event stream'}: sensor of {part.width}x{part.height} px, that "
                    f"of the first part has {first.width}x{first.height}; join parts of one camera"
                )
        return EventStream(
            joined([part.events for part in every]),
            first.width,
            first.height,
            first.name,
            Repairs.join(part.repairs for part in every),
        )


def joined(parts: Sequence[Array]) -> Array:
    """The records of all parts; at least one part.

    Moved as bytes: numpy copies records field by field, which takes ten times as long.
    """
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([_bytes(part) for part in parts]).view(parts[0].dtype)


def taken(records: Array, index: Array | slice) -> Array:
    """`records[index]`, always a copy; moved as bytes too."""
    return _bytes(records)[index].copy().view(records.dtype)


def _bytes(records: Array) -> Array:
    return np.ascontiguousarray(records).view(f"V{records.dtype.itemsize}")


def check_size(size: tuple[int, int], where: str) -> None:
    """Refuses a sensor (width, height) that no event has a place on.

    Raises:
        BadInput: a side is below 1 or above `MAX_SIDE`.
    """
    if not all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in size):
        raise BadInput(
            f"{where}: sensor of {size[0]}x{size[1]} px, sides of 1 to {MAX_SIDE} are possible; "
            "give the size of the sensor"
        )


def first_fault(events: Array, width: int, height: int) -> str | None:
    """The first event that breaks a rule, and which; None where all are right.

    events: of `EVENT`, or of its fields in wider types.
    """
    t, x, y, p = (events[name] for name in ("t", "x", "y", "p"))
    if not len(events):
        return None
    # Extremes first: what is right, which is nearly always, is passed over once a field.
    right = t[0] >= 0 and p.min() >= 0 and p.max() <= 1 and x.min() >= 0 and x.max() < width
    if right and y.min() >= 0 and y.max() < height and np.all(t[1:] >= t[:-1]):
        return None
    late = np.zeros(len(events), dtype=np.bool_)
    late[1:] = t[1:] < t[:-1]
    wrong = {
        "t": t < 0,
        "order": late,
        "x": (x < 0) | (x >= width),
        "y": (y < 0) | (y >= height),
        "p": (p < 0) | (p > 1),
    }
    key, at = min(
        ((key, int(np.argmax(mask))) for key, mask in wrong.items() if mask.any()),
        key=lambda found: found[1],
    )
    return f"{at} {told(key, events[at], int(t[max(at - 1, 0)]), width, height)}"


def told(key: str, event: Any, before_us: int, width: int, height: int) -> str:
    """What is wrong with an event, its value, the limit and the remedy."""
    beside = f"the sensor has {width}x{height} px; give the size of the sensor, or drop the event"
    return {
        "t": f"has t {event['t']} us, 0 or more is needed; count time from the recording's start",
        "order": f"has t {event['t']} us, at least {before_us} (that of the event before) is "
        "needed; sort the events by time",
        "x": f"has x {event['x']}, {beside}",
        "y": f"has y {event['y']}, {beside}",
        "p": f"has polarity {event['p']}, 0 (OFF) or 1 (ON) is needed; drop or convert the event",
    }[key]
