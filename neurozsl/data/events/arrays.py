"""Events of any other program -> `EVENT`: field names, order and types differ, the content not.

In: a structured array with fields for time, column, row and polarity under any of the names of
`NAMES`, in any order and whole-number type; or the four columns by such names. Polarity is 0/1,
false/true, or -1/1, which counts as 0/1. Time is whole microseconds. Out: `WIDE`, which holds
every value as it is, or `EVENT`, which holds those of a checked stream.

A data set object that gives `(events, label)`, as tonic's do, is read by `streams_of`; nothing of
its package is imported here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.events.stream import EVENT, EventStream, check_size, first_fault

Array = npt.NDArray[Any]

WIDE: Final = np.dtype([("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "i1")])
"""An event before it is checked: wrong values fit."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "t": ("t", "ts", "timestamp", "timestamps", "time"),
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
_NEEDED: Final = "fields t, x, y, p (or timestamp, polarity and the like) are needed"


def field_names(present: Iterable[str], where: str) -> dict[str, str]:
    """The name that stands for each of t, x, y, p.

    Raises:
        BadInput: one is missing, or has two names.

    >>> field_names(("x", "y", "timestamp", "polarity"), "a.npz")
    {'t': 'timestamp', 'x': 'x', 'y': 'y', 'p': 'polarity'}
    """
    names = tuple(present)
    found = {}
    for field, known in NAMES.items():
        having = [name for name in names if name.lower() in known]
        if len(having) != 1:
            what = f"{len(having)} of {field} ({', '.join(having)})" if having else f"no {field}"
            raise BadInput(
                f"{where}: {what} among {', '.join(map(repr, names[:12])) or 'no names'}; {_NEEDED}"
            )
        found[field] = having[0]
    return found


def to_wide(columns: Array | Mapping[str, Array], where: str) -> Array:
    """Events of any field order and whole-number types as (n,) of `WIDE`; no value is judged.

    Values beyond what `WIDE` holds become its limits, which no sensor has.

    Raises:
        BadInput: a field is missing, no whole number, or of another length.
    """
    if isinstance(columns, np.ndarray) and (columns.dtype.names is None or columns.ndim != 1):
        raise BadInput(
            f"{where}: array of {columns.dtype} and shape {columns.shape}, (n,) of records is "
            f"needed; {_NEEDED}"
        )
    present = columns.dtype.names if isinstance(columns, np.ndarray) else tuple(columns)
    names = field_names(present or (), where)
    length = len(columns[names["t"]]) if np.ndim(columns[names["t"]]) == 1 else -1
    wide = np.empty(max(length, 0), dtype=WIDE)
    for field, name in names.items():
        values = np.asarray(columns[name])
        if values.dtype.kind not in "iub" or values.shape != (length,):
            raise BadInput(
                f"{where}: '{name}' is {values.dtype} of shape {values.shape}, whole numbers of "
                f"shape ({max(length, 0)},) are needed; store {_unit(field)}"
            )
        if values.dtype.kind == "b":
            values = values.view(np.uint8)  # a damaged truth value is neither 0 nor 1
        limits = np.iinfo(WIDE[field])
        wide[field] = np.clip(values, _least(values, limits.min), _most(values, limits.max))
    negative = wide["p"] == -1
    if negative.any() and not np.any(wide["p"] == 0):
        wide["p"][negative] = 0
    return wide


def to_events(
    columns: Array | Mapping[str, Array], size: tuple[int, int], *, where: str = "events"
) -> Array:
    """Events of any field order and whole-number types as (n,) of `EVENT`.

    size: width and height of the sensor, px. where: names them in errors.

    Raises:
        BadInput: a field is missing or no whole number, or an event breaks a rule of `EventStream`.
    """
    check_size(size, where)
    wide = to_wide(columns, where)
    fault = first_fault(wide, *size)
    if fault is not None:
        raise BadInput(f"{where}: event {fault}")
    return narrow(wide)


def narrow(wide: Array) -> Array:
    """(n,) of `WIDE` as `EVENT`; the values are those of a checked stream."""
    events = np.empty(len(wide), dtype=EVENT)
    for field in ("t", "x", "y", "p"):
        events[field] = wide[field]
    return events


def streams_of(
    recordings: Iterable[tuple[Any, Any]], *, size: tuple[int, int] | None = None
) -> Iterator[tuple[EventStream, Any]]:
    """(stream, label) of every item of a data set that gives (structured array, label).

    size: width and height of the sensor, px; else the object's `sensor_size` (w, h[, polarities]).

    Raises:
        BadInput: no size is known, or an item is none.
    """
    kind = type(recordings).__name__
    given = size or getattr(recordings, "sensor_size", None)
    if given is None or len(given) < 2 or None in given[:2]:
        raise BadInput(f"{kind}: has no sensor_size; give size=(width, height)")
    width, height = int(given[0]), int(given[1])
    for number, item in enumerate(recordings):
        where = f"{kind}, recording {number}"
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[0], np.ndarray):
            raise BadInput(
                f"{where}: is {type(item).__name__}, (events, label) with a structured array is "
                "needed; take the data set without transforms"
            )
        events = to_events(item[0], (width, height), where=where)
        yield EventStream(events, width, height, where), item[1]


def _least(values: Array, limit: int) -> Any:
    return values.dtype.type(max(limit, np.iinfo(values.dtype).min))


def _most(values: Array, limit: int) -> Any:
    return values.dtype.type(min(limit, np.iinfo(values.dtype).max))


def _unit(field: str) -> str:
    return {"t": "whole microseconds", "p": "0 and 1"}.get(field, "whole pixels")
