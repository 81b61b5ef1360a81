"""A moving picture of a recording: ON and OFF events in two colours, frame after frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.data.events.stream import EventStream

FRAME_US: Final = 50_000
LONGEST_US: Final = 10_000_000  # of what is shown; bounds the memory
MOST_PIXELS: Final = 1 << 20
NOTHING, ON, OFF = 0, 1, 2
COLOURS: Final = ((18, 18, 24), (255, 176, 0), (86, 180, 233))  # told apart without red and green

U8 = npt.NDArray[np.uint8]


class Preview:
    """Draws blocks that pass by on their way elsewhere; the first 10 s are shown.

    The last event of a pixel within 50 ms decides its colour.
    """

    def __init__(self) -> None:
        self._frames: list[U8] = []
        self._first_us = -1

    def watch(self, blocks: Iterable[EventStream]) -> Iterator[EventStream]:
        """Yields the blocks as they come, and draws them.

        Raises:
            BadInput: the sensor has more pixels than a preview is made of.
        """
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: EventStream) -> None:
        """Draws a block that follows those before."""
        if block.width * block.height > MOST_PIXELS:
            raise BadInput(
                f"preview: {block.width} x {block.height} px, at most {MOST_PIXELS:,} pixels are "
                "drawn; leave --preview out, or give a smaller --size"
            )
        events = block.events
        if not len(events):
            return
        if self._first_us < 0:
            self._first_us = int(events["t"][0])
        since = events["t"] - self._first_us
        shown, number = events[since < LONGEST_US], since[since < LONGEST_US] // FRAME_US
        for each in np.unique(number):
            while len(self._frames) <= each:
                self._frames.append(np.zeros((block.height, block.width), dtype=np.uint8))
            now = shown[number == each]
            self._frames[each][now["y"], now["x"]] = np.where(now["p"] > 0, ON, OFF)

    def save(self, path: Path) -> None:
        """Writes a GIF, whole or not at all.

        Raises:
            BadInput: there was no event to show.
        """
        from PIL import Image

        if not self._frames:
            raise BadInput(f"{path}: 0 events, a preview shows at least 1; lower --threshold")
        palette = [value for colour in COLOURS for value in colour]
        pictures = []
        for frame in self._frames:
            picture = Image.frombytes("P", frame.shape[::-1], frame.tobytes())
            picture.putpalette(palette)
            pictures.append(picture)
        with whole_file(path) as part:
            pictures[0].save(
                part,
                format="GIF",
                save_all=True,
                append_images=pictures[1:],
                duration=FRAME_US // 1000,
                loop=0,
            )
