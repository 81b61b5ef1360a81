"""Samples of different lengths, stored end to end, padded where they are read.

    audio (R, Da)   video (R, Dv)   offset (n + 1,): sample i has the rows offset[i] to offset[i+1]

In: temporal features, in memory or in a mapped file. Out: batches, padded with zeros to the longest
sample of the batch, so that memory follows the batch and not the longest sample of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, I64, AVBatch, Bools, Split
from neurozsl.data.mapped import Pages


@dataclass(frozen=True, eq=False)
class RaggedRows:
    """Features of n samples, each at least one row long.

    Attributes:
        audio: (R, Da) float32, R at least as many as the samples have together.
        video: (R, Dv) float32.
        offset: (n + 1,) int64, where a sample begins, and where the last one ends.
        steps: of the longest sample of the data set.
        pages: the file mapping that the features lie in, None where they lie in memory.
    """

    audio: F32
    video: F32
    offset: I64
    steps: int
    pages: Pages | None = None

    def __len__(self) -> int:
        return len(self.offset) - 1

    @property
    def lengths(self) -> I64:
        """Steps of every sample, (n,)."""
        return np.diff(self.offset)

    @property
    def values(self) -> tuple[F32, F32]:
        """Audio and video of these samples alone, as views of as many rows."""
        rows = slice(int(self.offset[0]), int(self.offset[-1]))
        return self.audio[rows], self.video[rows]

    def part(self, rows: slice) -> RaggedRows:
        """Returns some of the samples, neighbours, as views."""
        start, stop, _ = rows.indices(len(self))
        return replace(self, offset=self.offset[start : stop + 1])

    def padded(self, index: I64, steps: int) -> tuple[F32, F32, Bools]:
        """Returns audio (k, T, Da), video (k, T, Dv) and mask (k, T) of samples, in this order.

        steps: T, at least as long as each.
        """
        begin, length = self.offset[:-1][index], self.lengths[index]
        mask = np.arange(steps) < length[:, None]
        found = []
        for array in (self.audio, self.video):
            out = np.zeros((len(index), steps, array.shape[1]), dtype=np.float32)
            for i, (first, count) in enumerate(zip(begin.tolist(), length.tolist(), strict=True)):
                out[i, :count] = self._rows(array, first, first + count)
            found.append(out)
        return found[0], found[1], mask

    def _rows(self, array: F32, start: int, stop: int) -> F32:
        if self.pages is None:
            return array[start:stop]
        return self.pages.take(array, np.arange(start, stop))

    def split(self, name: str, label: I64, names: tuple[str, ...]) -> RaggedSplit:
        """Returns the samples as a split of a data set."""
        return RaggedSplit(name, self, label, names)


class RaggedSplit(Split):
    """A split whose batches are as long as their own longest sample.

    `audio`, `video` and `mask` are those of every split, all samples padded to the longest one of
    the data set: made anew whenever they are asked for, and as large as that is.
    """

    rows: RaggedRows

    def __init__(self, name: str, rows: RaggedRows, label: I64, names: tuple[str, ...]) -> None:
        own = {"name": name, "rows": rows, "label": label, "names": names}
        for key, value in {**own, "events": None, "pages": rows.pages}.items():
            object.__setattr__(self, key, value)  # frozen, as every split

    @property
    def audio(self) -> F32:
        """(n, T, Da) float32."""
        return self._whole()[0]

    @property
    def video(self) -> F32:
        """(n, T, Dv) float32."""
        return self._whole()[1]

    @property
    def mask(self) -> Bools:
        """(n, T) bool, True marks a real step."""
        return np.arange(self.steps) < self.rows.lengths[:, None]

    def _whole(self) -> tuple[F32, F32, Bools]:
        return self.rows.padded(np.arange(len(self)), self.steps)

    @property
    def steps(self) -> int:
        """T, of the longest sample of the data set."""
        return self.rows.steps

    @property
    def widths(self) -> tuple[int, int]:
        """Da and Dv."""
        return self.rows.audio.shape[1], self.rows.video.shape[1]

    def batch(
        self, rows: npt.ArrayLike | None = None, *, of: npt.ArrayLike | None = None
    ) -> AVBatch:
        """Returns the given rows (all when None), as long as the longest of them, or of `of`."""
        index = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        whole = index if of is None else np.asarray(of, dtype=np.int64)
        steps = int(self.rows.lengths[whole].max(initial=1))
        audio, video, mask = (torch.from_numpy(x) for x in self.rows.padded(index, steps))
        label = torch.from_numpy(self.label[index])
        return AVBatch(audio, video, mask, label, longest=self.steps)

    def joined(self, splits: Sequence[Split]) -> Split:
        """Returns the splits one after the other; a copy only where they are no neighbours."""
        parts = [s.rows for s in splits if isinstance(s, RaggedSplit)]
        if len(parts) < len(splits):
            return super().joined(splits)
        return _end_to_end(parts).split(
            "+".join(s.name for s in splits),
            np.concatenate([s.label for s in splits]),
            tuple(name for s in splits for name in s.names),
        )


def _end_to_end(parts: Sequence[RaggedRows]) -> RaggedRows:
    first = parts[0]
    same = all(p.audio is first.audio and p.video is first.video for p in parts)
    ends = [int(p.offset[-1]) for p in parts[:-1]]
    if same and ends == [int(p.offset[0]) for p in parts[1:]]:
        offset = np.concatenate([first.offset[:1], *(p.offset[1:] for p in parts)])
        return replace(first, offset=offset)
    audio, video = (np.concatenate(x) for x in zip(*(p.values for p in parts), strict=True))
    return RaggedRows(
        audio, video, offsets(np.concatenate([p.lengths for p in parts])), first.steps
    )


def offsets(lengths: I64) -> I64:
    """Returns where samples of these lengths (n,) begin, and where the last one ends: (n + 1,).

    >>> offsets(np.array([2, 1])).tolist()
    [0, 2, 3]
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def check_offsets(offset: I64, rows: int, where: str, remedy: str) -> None:
    """Refuses offsets (n + 1,) that are none of samples on that many rows.

    Raises:
        BadInput: they do not begin at 0 and end at `rows`, or a sample has no row.
    """
    whole = len(offset) > 0 and offset[0] == 0 and offset[-1] == rows
    if not whole or not np.all(offset[1:] > offset[:-1]):
        raise BadInput(
            f"{where}, offset: does not rise from 0 to {rows}, a row or more for each sample; "
            f"{remedy}"
        )
