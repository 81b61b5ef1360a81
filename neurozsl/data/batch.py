"""The values that leave the data layer: `AVBatch` for models, `Split` and `ZSLData` for protocols.

Every source (synthetic set, folder of clips, AVCA benchmark) becomes one `ZSLData`. `stage`
gives the two-stage protocol of AVCA (Mercea et al. 2022): stage 1 chooses on validation classes,
stage 2 trains on train + validation and is judged on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.data.mapped import Pages, address

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

SPLITS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")


@dataclass(frozen=True, eq=False)
class AVBatch:
    """One batch of audio-visual sequences as torch tensors.

    Attributes:
        audio: (B, T, Da) float32.
        video: (B, T, Dv) float32.
        mask: (B, T) bool, True marks a real step.
        label: (B,) int64, index into `ZSLData.classes`; -1 where unknown.
        events: (B, T, De) float32 counts of pixel events on a grid, ON then OFF; None without.
        stop: steps of the model after which the host finishes, later ones are as padding; None:
            all. Features without time are shown as often as the model has steps, so the mask, which
            is that of the features, cannot say it.
        longest: steps of the longest sample of the data set, where T is that of the batch alone.
    """

    audio: Tensor
    video: Tensor
    mask: Tensor
    label: Tensor
    events: Tensor | None = None
    stop: int | None = None
    longest: int | None = None

    def __len__(self) -> int:
        return int(self.label.shape[0])

    def padded(self) -> AVBatch:
        """Returns the batch as long as the longest sample of the data set, zeros behind the end."""
        if self.longest is None or self.longest == self.audio.shape[1]:
            return self
        more = self.longest - self.audio.shape[1]
        frames = {"audio": self.audio, "video": self.video, "events": self.events}
        longer: dict[str, Any] = {
            name: None if x is None else torch.cat([x, x.new_zeros(len(x), more, x.shape[2])], 1)
            for name, x in frames.items()
        }
        mask = torch.cat([self.mask, self.mask.new_zeros(len(self), more)], 1)
        return replace(self, **longer, mask=mask)

    def to(self, device: torch.device | str) -> AVBatch:
        """Returns the batch on another device."""
        moved: dict[str, Any] = {
            k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()
        }
        return AVBatch(**moved)

    def take(self, rows: npt.ArrayLike) -> AVBatch:
        """Returns these samples, in this order."""
        index = torch.as_tensor(np.asarray(rows, np.int64))
        part: dict[str, Any] = {
            k: v[index] if isinstance(v, Tensor) else v for k, v in vars(self).items()
        }
        return AVBatch(**part)


@dataclass(frozen=True, eq=False)
class Split:
    """One named part of a data set as numpy arrays.

    Attributes:
        name: one of `SPLITS`, or a joined name such as "train+val_seen".
        audio: (n, T, Da) float32; T = 1 for the benchmark's averaged features.
        video: (n, T, Dv) float32.
        label: (n,) int64, index into `ZSLData.classes`.
        mask: (n, T) bool, True marks a real step.
        names: n sample ids (video url, or file#window).
        events: (n, T, De) uint8 pixel-event counts, or None.
        pages: the file mapping that the features lie in, None where they lie in memory.
    """

    name: str
    audio: F32
    video: F32
    label: I64
    mask: Bools
    names: tuple[str, ...]
    events: U8 | None = None
    pages: Pages | None = None

    def __len__(self) -> int:
        return int(self.label.shape[0])

    @property
    def steps(self) -> int:
        """T."""
        return int(self.audio.shape[1])

    @property
    def widths(self) -> tuple[int, int]:
        """Da and Dv."""
        return int(self.audio.shape[2]), int(self.video.shape[2])

    def batch(
        self, rows: npt.ArrayLike | None = None, *, of: npt.ArrayLike | None = None
    ) -> AVBatch:
        """Returns the given rows (all when None) as a batch of fresh tensors.

        of: rows of the whole batch where this is one process's part, for samples of many lengths.
        """
        index = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        events = None
        if self.events is not None:
            events = torch.from_numpy(self._take(self.events, index).astype(np.float32))
        return AVBatch(
            audio=torch.from_numpy(self._take(self.audio, index)),
            video=torch.from_numpy(self._take(self.video, index)),
            mask=torch.from_numpy(self.mask[index]),
            label=torch.from_numpy(self.label[index]),
            events=events,
        )

    def _take(self, array: npt.NDArray[Any], index: I64) -> npt.NDArray[Any]:
        return array[index] if self.pages is None else self.pages.take(array, index)

    def classes(self) -> I64:
        """Returns the sorted ids of the classes that have samples here."""
        return np.unique(self.label)

    def joined(self, splits: Sequence[Split]) -> Split:
        """Returns the splits, this one the first, one after the other; see `join`."""
        events = [s.events for s in splits if s.events is not None]
        return Split(
            name="+".join(s.name for s in splits),
            audio=_end_to_end([s.audio for s in splits]),
            video=_end_to_end([s.video for s in splits]),
            label=np.concatenate([s.label for s in splits]),
            mask=_end_to_end([s.mask for s in splits]),
            names=tuple(name for s in splits for name in s.names),
            events=_end_to_end(events) if len(events) == len(splits) else None,
            pages=splits[0].pages,  # parts of a file share it; beside a copy in memory it is idle
        )


@dataclass(frozen=True, eq=False)
class Stage:
    """What one stage of the protocol reads: a training split and two evaluation splits.

    `seen_ids` and `unseen_ids` are the classes present in the evaluation splits, which S and U
    average over.
    """

    train: Split
    seen: Split
    unseen: Split
    train_ids: I64
    seen_ids: I64
    unseen_ids: I64


@dataclass(frozen=True, eq=False)
class ZSLData:
    """A zero-shot data set: classes with their vectors, and five splits.

    Attributes:
        name: shown in reports.
        classes: C class names; their order defines the label ids.
        vectors: (C, 300) float32, L2-normalised rows.
        splits: the five splits of `SPLITS`.
        synthetic: True where the clips were generated.
        step_s: seconds that one step stands for.
        meta: JSON-able facts: encoder statistics, window, settings, skipped files.
    """

    name: str
    classes: tuple[str, ...]
    vectors: F32
    splits: Mapping[str, Split]
    synthetic: bool
    step_s: float
    meta: Mapping[str, object]

    def stage(self, number: Literal[1, 2]) -> Stage:
        """Returns the splits of one stage of the two-stage protocol.

        Stage 1 trains on `train` and evaluates `val_seen` + `val_unseen`; stage 2 trains on the
        three together and evaluates `test_seen` + `test_unseen`.

        Raises:
            BadInput: a training class has one sample, an evaluation split is empty, a seen class
                has no training sample, or an unseen class has some.
        """
        part = self.splits
        if number == 1:
            train, seen, unseen = part["train"], part["val_seen"], part["val_unseen"]
        elif number == 2:
            train = join((part["train"], part["val_seen"], part["val_unseen"]))
            seen, unseen = part["test_seen"], part["test_unseen"]
        else:
            raise BadInput(f"{self.name}: stage {number} does not exist; choose 1 or 2")
        stage = Stage(train, seen, unseen, train.classes(), seen.classes(), unseen.classes())
        _check_stage(self, stage)
        return stage


def join(splits: Sequence[Split]) -> Split:
    """Returns the splits one after the other as one split; events stay only if all have them.

    Features are copied only where the splits do not lie one after the other in memory, or in one
    mapped file, as every reader of this package leaves train, val_seen and val_unseen.
    """
    shapes = {(s.steps, *s.widths) for s in splits}
    if len(shapes) != 1:
        raise BadInput(
            f"splits {[s.name for s in splits]}: (steps, widths) {sorted(shapes)} differ; "
            "encode all splits with the same steps and widths"
        )
    return splits[0].joined(splits)


Array = TypeVar("Array", F32, U8, Bools)


def _end_to_end(parts: Sequence[Array]) -> Array:
    """The arrays along their first axis: a view of their common base where they are adjacent."""
    base = parts[0].base
    row = parts[0].strides[0]
    if not isinstance(base, np.ndarray) or not base.flags.c_contiguous or row <= 0:
        return np.concatenate(parts)
    start = end = (address(parts[0]) - address(base)) // row
    for part in parts:
        same = part.base is base and part.flags.c_contiguous and part.strides == base.strides
        if not same or part.dtype != base.dtype or address(part) != address(base) + end * row:
            return np.concatenate(parts)
        end += len(part)
    joined: Array = base[start:end]
    return joined


def _check_stage(data: ZSLData, stage: Stage) -> None:
    counts = np.bincount(stage.train.label, minlength=len(data.classes))
    single = [data.classes[i] for i in stage.train_ids if counts[i] < 2]
    if single:
        raise BadInput(
            f"{data.name}, split {stage.train.name}: {len(single)} training class(es) have 1 "
            f"sample, at least 2 are needed: {', '.join(single)}; add samples or drop the class"
        )
    for split in (stage.train, stage.seen, stage.unseen):
        if len(split) == 0:
            raise BadInput(
                f"{data.name}, split {split.name}: 0 samples, at least one class with samples is "
                "needed; add samples or give other rows this role"
            )
    _refuse(data, stage.seen, np.setdiff1d(stage.seen_ids, stage.train_ids), "no training sample")
    both = np.intersect1d(stage.unseen_ids, stage.train_ids)
    _refuse(data, stage.unseen, both, "training samples although it is unseen")


def _refuse(data: ZSLData, split: Split, ids: I64, problem: str) -> None:
    if ids.size:
        listed = ", ".join(data.classes[i] for i in ids)
        raise BadInput(
            f"{data.name}, split {split.name}: {ids.size} class(es) with {problem}: {listed}; "
            "give each class one role (seen or unseen) in the labels"
        )
