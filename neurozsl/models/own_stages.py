"""Models that bring their own training, beside `ZSLModel`: what a stage gives them, what they do.

The house's loop minimises one loss by one optimiser. A model that is trained otherwise (a generator
against critics, then a classifier on what it generates) goes through its epochs itself, one `yield`
each; the house makes the batches, logs, scores the model at every yield where the stage is scored,
and keeps the model of the best epoch. It is scored as every model, through `prepare` and `finish`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from neurozsl.data.batch import AVBatch, Split, Stage
from neurozsl.models.base import ZSLModel

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OwnTraining:
    """What one stage gives.

    stage: its `train` split is trained on; `seen_ids` and `unseen_ids` are the classes that the
        model will be scored on. Its evaluation splits are there for models whose public code looks
        at them, and for nothing else.
    vectors: of all classes, `(classes, words)`, on the device and in the precision of the training.
    epochs, lr: as asked for.
    scored: whether the model is scored at every yield, or after the last one alone.
    rows: epoch, from 0 -> rows of `train`, batch by batch.
    read: rows of a split as a batch, on the device and in the precision of the training.
    """

    stage: Stage
    vectors: Tensor
    epochs: int
    lr: float
    scored: bool
    rows: Callable[[int], Iterator[Rows]]
    read: Callable[[Split, Rows], AVBatch]


@runtime_checkable
class OwnStages(ZSLModel, Protocol):
    """Asked beside `ZSLModel` of a model that is trained in stages of its own."""

    def own_epochs(self, asked: OwnTraining, /) -> Iterator[Mapping[str, float]]:
        """Train; yield after every epoch what the log says of it.

        At a yield the model is in evaluation mode or not, as it likes; it is scored, copied, and
        goes on. After the last one it is as it will be kept.
        """


def has_own_stages(model: ZSLModel) -> TypeGuard[OwnStages]:
    """Whether a model trains itself."""
    return hasattr(model, "own_epochs")
