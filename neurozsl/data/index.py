"""What a data set holds before its features are read: classes, names, and a reader per block.

In: blocks, each the samples of one class in one split with a function that reads them. Out:
`gather` puts all of them into memory once; `packed.write` streams them to a file. Both need the
memory of one block beside the result, however the features are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data.batch import F32, I64, SPLITS, U8, Bools, Split, ZSLData
from neurozsl.data.mapped import Pages
from neurozsl.data.ragged import RaggedRows, RaggedSplit, offsets

Alignment = Literal["by_name", "legacy"]
ALIGNMENTS: tuple[Alignment, ...] = ("by_name", "legacy")


@dataclass(frozen=True, eq=False)
class Rows:
    """Features of n samples: audio (n, T, Da), video (n, T, Dv), mask (n, T), events or None.

    `pages` is the mapping that they lie in, None for memory.
    """

    audio: F32
    video: F32
    mask: Bools
    events: U8 | None = None
    pages: Pages | None = None

    def __len__(self) -> int:
        return len(self.mask)

    def part(self, rows: slice) -> Rows:
        """Returns some of the samples, as views."""
        events = None if self.events is None else self.events[rows]
        return Rows(self.audio[rows], self.video[rows], self.mask[rows], events, self.pages)

    @property
    def values(self) -> tuple[F32, F32]:
        """Audio and video."""
        return self.audio, self.video

    def split(self, name: str, label: I64, names: tuple[str, ...]) -> Split:
        """Returns the samples as a split of a data set."""
        return Split(name, label=label, names=names, **vars(self))


@dataclass(frozen=True, eq=False)
class Block:
    """Samples that are read together: labels (n,), n names, and how to read their features.

    lengths: steps of each (n,) where they are read end to end; None: all as long, or padded.
    """

    label: I64
    names: tuple[str, ...]
    read: Callable[[], Rows | RaggedRows]
    lengths: I64 | None = None


@dataclass(frozen=True, eq=False)
class Index:
    """A data set without its features.

    Attributes:
        name, classes, synthetic, step_s, meta: as in `ZSLData`.
        vectors: per alignment (C, 300); "by_name" is always there.
        blocks: per split of `SPLITS` its blocks.
        audio_shape, video_shape: (T, D) of a sample, T of the longest one.
        events_width: width of the pixel-event counts, None without.
    """

    name: str
    classes: tuple[str, ...]
    vectors: Mapping[Alignment, F32]
    blocks: Mapping[str, tuple[Block, ...]]
    audio_shape: tuple[int, int]
    video_shape: tuple[int, int]
    synthetic: bool
    step_s: float
    meta: Mapping[str, object]
    events_width: int | None = None

    def count(self, split: str) -> int:
        """Samples of a split."""
        return sum(len(block.names) for block in self.blocks[split])

    def __len__(self) -> int:
        return sum(self.count(split) for split in SPLITS)

    @property
    def lengths(self) -> I64 | None:
        """Steps of every sample, in the order of `SPLITS`; None where they are padded."""
        found = [block.lengths for split in SPLITS for block in self.blocks[split]]
        known = [x for x in found if x is not None]
        return np.concatenate(known) if known and len(known) == len(found) else None


def read_blocks(
    index: Index, progress: Progress | None = None
) -> Iterator[tuple[slice, Rows | RaggedRows]]:
    """Yields every block's place among all samples (splits in the order of `SPLITS`) and features.

    Raises:
        BadInput: a block gives another shape than the index says.
    """
    done, total = 0, len(index)
    for split in SPLITS:
        for block in index.blocks[split]:
            rows = block.read()
            n = len(block.names)
            wanted = _shapes(index, block)
            audio, video = (values.shape for values in rows.values)
            if (audio, video) != wanted:
                raise BadInput(
                    f"{index.name}, split {split}, samples from {block.names[0]!r}: audio "
                    f"{audio}, video {video}; {wanted[0]} and {wanted[1]} "
                    "are needed as in the other files; `neurozsl data check` lists all of them"
                )
            events = rows.events if isinstance(rows, Rows) else None
            if (events is None) != (index.events_width is None):
                raise BadInput(f"{index.name}, split {split}: events in some samples, not in all")
            yield slice(done, done + n), rows
            done += n
            if progress is not None:
                progress(done, total)


def _shapes(index: Index, block: Block) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a block's audio and video must be."""
    (steps, audio), (_, video) = index.audio_shape, index.video_shape
    if block.lengths is None:
        return (len(block.names), steps, audio), (len(block.names), steps, video)
    rows = int(block.lengths.sum())
    return (rows, audio), (rows, video)


def gather(index: Index, alignment: Alignment = "by_name") -> ZSLData:
    """Returns the data set with its features in memory, held once.

    All splits are views into one array per modality, in the order of `SPLITS`, so that joining
    train, val_seen and val_unseen for stage 2 copies no feature.
    """
    if index.lengths is not None:
        return assemble(index, _gathered(index, index.lengths), alignment)
    n, steps = len(index), index.audio_shape[0]
    audio = np.empty((n, *index.audio_shape), dtype=np.float32)
    video = np.empty((n, *index.video_shape), dtype=np.float32)
    mask = np.empty((n, steps), dtype=np.bool_)
    events = None
    if index.events_width is not None:
        events = np.empty((n, steps, index.events_width), dtype=np.uint8)
    for place, rows in read_blocks(index):
        assert isinstance(rows, Rows)
        audio[place], video[place], mask[place] = rows.audio, rows.video, rows.mask
        if events is not None and rows.events is not None:
            events[place] = rows.events
    return assemble(index, Rows(audio, video, mask, events), alignment)


def _gathered(index: Index, lengths: I64) -> RaggedRows:
    """All samples end to end, in memory."""
    offset = offsets(lengths)
    (steps, wide), (_, tall) = index.audio_shape, index.video_shape
    audio, video = (np.empty((offset[-1], width), dtype=np.float32) for width in (wide, tall))
    for place, rows in read_blocks(index):
        part = slice(offset[place.start], offset[place.stop])
        audio[part], video[part] = rows.values
    return RaggedRows(audio, video, offset, steps)


def assemble(index: Index, rows: Rows | RaggedRows, alignment: Alignment) -> ZSLData:
    """Returns the data set whose samples, in the order of `SPLITS`, have these features.

    Raises:
        BadInput: the alignment does not exist, or the data set has no such vectors.
    """
    if alignment not in ALIGNMENTS:
        raise BadInput(f"label_alignment: {alignment!r}; choose by_name or legacy")
    if alignment not in index.vectors:
        raise BadInput(
            f"{index.name}: no {alignment} vectors; only the benchmark has them, one vector or "
            "more per class; use by_name"
        )
    meta = dict(index.meta)
    if "legacy" in index.vectors or "label_alignment" in meta:  # there is a choice
        wrong = np.any(index.vectors["by_name"] != index.vectors[alignment], axis=1)
        meta |= {"label_alignment": alignment, "classes_with_another_vector": int(wrong.sum())}
    splits, start = {}, 0
    for name in SPLITS:
        blocks = index.blocks[name]
        stop = start + index.count(name)
        splits[name] = rows.part(slice(start, stop)).split(
            name,
            np.concatenate([np.zeros(0, np.int64), *(block.label for block in blocks)]),
            tuple(text for block in blocks for text in block.names),
        )
        start = stop
    return ZSLData(
        name=index.name,
        classes=index.classes,
        vectors=index.vectors[alignment],
        splits=splits,
        synthetic=index.synthetic,
        step_s=index.step_s,
        meta=meta,
    )


def index_of(data: ZSLData) -> Index:
    """Returns the index of a data set that is already open; blocks of `BLOCK` samples."""
    first = data.splits["train"]
    # As in `join`: events stay only if all splits have them.
    every = all(s.events is not None for s in data.splits.values())
    width = first.events.shape[2] if first.events is not None and every else None
    return Index(
        name=data.name,
        classes=data.classes,
        vectors={"by_name": data.vectors},
        blocks={name: _blocks_of(data.splits[name], width is not None) for name in SPLITS},
        audio_shape=(first.steps, first.widths[0]),
        video_shape=(first.steps, first.widths[1]),
        synthetic=data.synthetic,
        step_s=data.step_s,
        meta=data.meta,
        events_width=width,
    )


BLOCK = 1024  # samples of an open data set that are read together


def _blocks_of(split: Split, with_events: bool) -> tuple[Block, ...]:
    whole: Rows | RaggedRows
    lengths = None
    if isinstance(split, RaggedSplit):
        whole, lengths = split.rows, split.rows.lengths
    else:
        events = split.events if with_events else None
        whole = Rows(split.audio, split.video, split.mask, events)

    def block(rows: slice) -> Block:
        steps = None if lengths is None else lengths[rows]
        return Block(split.label[rows], split.names[rows], lambda: whole.part(rows), steps)

    return tuple(block(slice(i, i + BLOCK)) for i in range(0, len(split), BLOCK))
