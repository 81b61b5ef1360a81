"""A split of an `EventSet` as a torch `Dataset`; each worker opens the file of the frames again."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from neurozsl.data.events.stream import I64, U8
from neurozsl.data.mapped import Pages

FrameType = Literal["float32", "uint8"]
DTYPES: Final[dict[FrameType, torch.dtype]] = {"float32": torch.float32, "uint8": torch.uint8}


class EventDataset(Dataset[tuple[Tensor, int]]):
    """Items (frames (T, 2, H, W), label); see `EventSet.dataset`.

    Args:
        frames: (n, T, 2, H, W) of the whole set.
        labels: (n,).
        rows: (k,) the items.
        pages: the file in which the frames lie; None where they are in memory.
        dtype: of the frames that are given out.
        divisor: of float32 frames.
    """

    def __init__(
        self,
        frames: U8,
        labels: I64,
        rows: I64,
        *,
        pages: Pages | None,
        dtype: FrameType,
        divisor: int,
    ) -> None:
        self._frames = frames
        self._labels = labels
        self._rows = rows
        self._pages = pages
        self._dtype: FrameType = dtype
        self._divisor = divisor

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        """A batch with one read, which `DataLoader` asks for where it can."""
        rows = self._rows[np.asarray(indices, dtype=np.int64)]
        taken = self._frames[rows] if self._pages is None else self._pages.take(self._frames, rows)
        frames = torch.from_numpy(np.ascontiguousarray(taken)).to(DTYPES[self._dtype])
        if self._dtype == "float32" and self._divisor != 1:
            frames = frames / self._divisor
        labels = self._labels[rows].tolist()
        return list(zip(frames.unbind(), labels, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Frames in a file go to another process as the place where they lie."""
        state = dict(self.__dict__)
        if self._pages is not None:
            place = self._pages.offset(self._frames), self._frames.shape
            state |= {"_pages": self._pages.path.absolute(), "_frames": place}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["_pages"] is not None:
            pages, (offset, shape) = Pages(state["_pages"]), state["_frames"]
            state = {**state, "_pages": pages, "_frames": pages.array(offset, shape, "|u1")}
        self.__dict__.update(state)
