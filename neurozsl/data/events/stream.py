"""`EventStream`: what an event camera sends, as one array and the size of its sensor."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

EVENT: Final = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])

Events = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events of one sensor in order of time.

    Attributes:
        events: (n,) of `EVENT`; t in microseconds, x and y in pixels, p 1 for ON and 0 for OFF.
        width: of the sensor, px.
        height: of the sensor, px.
        name: what it was made from.
    """

    events: Events
    width: int
    height: int
    name: str = ""
