"""Labelled recordings of an event camera as frames of equal shape: one checked value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.events.stream import I64, U8
from neurozsl.data.mapped import Pages

if TYPE_CHECKING:
    from neurozsl.data.events.recordings.torch_view import EventDataset

Form = Literal["frames", "surfaces"]
FORMS: Final[tuple[Form, ...]] = ("frames", "surfaces")
SplitName = Literal["train", "val", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class EventSet:
    """A set of recordings.

    Attributes:
        name: of the set.
        frames: (n, T, 2, H, W) uint8: event counts, or 8-bit codes of time surfaces (code / 255);
            ON, then OFF. Mapped from the file where the set was loaded.
        labels: (n,) int64, index into `classes`.
        classes: names, sorted.
        split: (n,) uint8, index into `SPLITS`.
        names: (n,) file of each recording below its folder.
        events: (n,) int64, events of each recording in its window.
        clipped: (n,) int64, events that the largest count of a cell left out.
        since_us: (n,) int64, begin of each window, us from the first event of its recording.
        form: what a value of `frames` is.
        seconds: length of the window, s; None: each recording as a whole, whatever its length.
        sensor: width and height of the sensor, px, where all recordings have the same; else None.
        meta: how it was built; `skipped` and `repaired` list files with reasons.
        fingerprint: sha256 of the content; "" where it was never stored.
        folder: where it is stored.
        pages: reads rows without mapping them.

    Raises:
        BadInput: the parts do not belong together.
    """

    name: str
    frames: U8
    labels: I64
    classes: tuple[str, ...]
    split: U8
    names: tuple[str, ...]
    events: I64
    clipped: I64
    form: Form = "frames"
    seconds: float | None = None
    sensor: tuple[int, int] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    folder: Path | None = None
    pages: Pages | None = None
    since_us: I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.since_us):  # every recording has one window
            object.__setattr__(self, "since_us", np.zeros(len(self.frames), np.int64))
        where = str(self.folder or self.name)
        n = len(self.frames)
        shape = self.frames.shape
        if self.frames.dtype != np.uint8 or self.frames.ndim != 5 or shape[2] != 2 or not n:
            raise BadInput(
                f"{where}: frames of {self.frames.dtype} {shape}, uint8 (n, T, 2, H, W) with n at "
                "least 1 is needed; build the set again"
            )
        for part in ("labels", "split", "names", "events", "clipped", "since_us"):
            if len(getattr(self, part)) != n:
                raise BadInput(
                    f"{where}: {len(getattr(self, part))} {part} of {n} recordings; build it again"
                )
        for part, codes, known in (
            ("label", self.labels, len(self.classes)),
            ("split", self.split, len(SPLITS)),
        ):
            if codes.min() < 0 or codes.max() >= known:
                row = int(np.argmax((codes < 0) | (codes >= known)))
                raise BadInput(
                    f"{where}: {part} {codes[row]} of {self.names[row]}, 0 to {known - 1} exist; "
                    "build the set again"
                )
        if min(map(np.min, (self.events, self.clipped, self.since_us))) < 0 or np.any(
            self.clipped > self.events
        ):
            raise BadInput(f"{where}: impossible numbers of events; build the set again")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def steps(self) -> int:
        """T."""
        return int(self.frames.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) of a frame, px."""
        return int(self.frames.shape[4]), int(self.frames.shape[3])

    @property
    def step_s(self) -> float | None:
        """Length of a step, s; None where each recording has its own."""
        return None if self.seconds is None else self.seconds / self.steps

    @property
    def mean_step_s(self) -> float | None:
        """Length of a step, s: the mean over recordings where each has its own; None: not noted."""
        window = self.meta.get("mean_window_s")
        if self.step_s is not None:
            return self.step_s
        return window / self.steps if isinstance(window, float) and window > 0 else None

    def rows(self, split: SplitName) -> I64:
        """The recordings of a split.

        Raises:
            BadInput: no such split.
        """
        if split not in SPLITS:
            raise BadInput(f"{self.name}: split {split!r}; choose one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == SPLITS.index(split))

    def take(self, rows: I64) -> U8:
        """The frames of some recordings, (k, T, 2, H, W), read from the file where they lie there.

        Raises:
            IndexError: a row does not exist.
        """
        if self.pages is None:
            return self.frames[rows]
        return np.asarray(self.pages.take(self.frames, rows))

    def dataset(
        self, split: SplitName, *, dtype: Literal["float32", "uint8"] = "float32"
    ) -> EventDataset:
        """A torch `Dataset` of (frames (T, 2, H, W), label) for a `DataLoader`.

        dtype: of the frames; values are those of `frames`, surfaces in float32 are divided by 255.

        Raises:
            BadInput: no such split or type, or no recording in it.
        """
        from neurozsl.data.events.recordings.torch_view import DTYPES, EventDataset

        if dtype not in DTYPES:
            raise BadInput(f"{self.name}: frames of {dtype}; choose {' or '.join(DTYPES)}")
        rows = self.rows(split)
        if not len(rows):
            raise BadInput(
                f"{self.folder or self.name}: 0 recordings in split {split}; build a set that has "
                "some"
            )
        divisor = 255 if self.form == "surfaces" else 1
        return EventDataset(
            self.frames, self.labels, rows, pages=self.pages, dtype=dtype, divisor=divisor
        )
