"""What f-VAEGAN-D2 and its classifiers read of a stage: features of unit length, their classes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurozsl.data.batch import AVBatch, Split
from neurozsl.models.baselines.softmax_classifier import (
    Recalls,
    SoftmaxClassifier,
    mean_recall,
    recalls,
)
from neurozsl.models.blocks import masked_mean
from neurozsl.models.own_stages import OwnTraining

_READ = 4096  # samples that are read at once


def features(batch: AVBatch) -> Tensor:
    """The rows x = [audio; video], averaged over the real steps, of unit length."""
    averaged = [masked_mean(part, batch.mask) for part in (batch.audio, batch.video)]
    return functional.normalize(torch.cat(averaged, 1))


def whole(asked: OwnTraining, split: Split) -> tuple[Tensor, Tensor]:
    """Features and labels of a whole split; averaged as they are read."""
    found = [
        asked.read(split, np.arange(start, min(start + _READ, len(split))))
        for start in range(0, len(split), _READ)
    ]
    return torch.cat([features(x) for x in found]), torch.cat([x.label for x in found])


@dataclass(frozen=True)
class Judged:
    """The evaluation splits of a stage, for the rule `selection=test` alone.

    x, label: of both splits; seen, unseen: ids of the classes that are scored, ascending.
    """

    x: Tensor
    label: Tensor
    seen: Tensor
    unseen: Tensor

    def recalls(self, classifier: SoftmaxClassifier, ids: Tensor) -> Recalls:
        """Of a classifier whose outputs are the classes `ids`."""
        place, seen, unseen = (
            torch.searchsorted(ids, x) for x in (self.label, self.seen, self.unseen)
        )
        return recalls(classifier(self.x), place, seen, unseen)

    def zsl(self, classifier: SoftmaxClassifier) -> float:
        """Mean recall of a classifier of the unseen classes on their samples."""
        rows = torch.isin(self.label, self.unseen)
        place = torch.searchsorted(self.unseen, self.label[rows])
        every = torch.arange(len(self.unseen), device=place.device)
        return mean_recall(classifier(self.x[rows]), place, every)


def judged_by(asked: OwnTraining) -> Judged:
    """Both evaluation splits of the stage."""
    parts = [whole(asked, split) for split in (asked.stage.seen, asked.stage.unseen)]
    x, label = (torch.cat(both) for both in zip(*parts, strict=True))
    seen, unseen = (
        torch.from_numpy(ids).to(label.device)
        for ids in (asked.stage.seen_ids, asked.stage.unseen_ids)
    )
    return Judged(x, label, seen, unseen)
