"""Knowledge distillation: a finished run teaches another one what it thinks of every sample.

With d_c the distances of a sample to the classes c of the stage's training data (the teacher's
heads weighted as it chose on validation), and tau the temperature (Hinton et al. 2015,
arXiv:1503.02531, with distances for logits)::

    p = softmax(-d / tau);    L = weight tau^2 KL(p_teacher || p_student), mean of samples, heads

Stage 1 is taught by the teacher's stage 1, which has not seen the validation classes either, so
that what is chosen on them stays honest; later stages by the finished model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.data.batch import Split, Stage
from neurozsl.models.base import Embedding, ZSLModel, distances, own_trace
from neurozsl.scoring import road
from neurozsl.training.economy import Distillation

_ROWS = 256


@dataclass(frozen=True)
class Teacher:
    """A model that teaches a stage, and the weight of its motion head."""

    model: ZSLModel
    head_weight: float


Teachers = Callable[[int], Teacher]
"""Number of a stage -> who teaches it."""


@dataclass(frozen=True)
class Lesson:
    """What the teacher thinks of the training samples of a stage.

    classes: their ids, ascending. target: log probabilities `(sample, class)`.
    """

    asked: Distillation
    classes: Tensor
    target: Tensor

    def loss(self, output: Embedding, words: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        """KL divergence of the samples `rows`; words: embedded vectors of all classes."""
        target = self.target[torch.as_tensor(rows)].to(words.device)
        each = [
            torch.nn.functional.kl_div(
                _log_share(head, self.asked.temperature),
                target,
                log_target=True,
                reduction="batchmean",
            )
            for head in distances(output, words[self.classes.to(words.device)])
        ]
        return self.asked.weight * self.asked.temperature**2 * torch.stack(each).mean()


def taught(
    asked: Distillation,
    teacher: Teacher,
    stage: Stage,
    vectors: npt.NDArray[np.float32],
    dtype: torch.dtype,
) -> Lesson:
    """Ask the teacher about every training sample of a stage, once."""
    classes = np.unique(stage.train.label)
    found = []
    with road.at_rest(teacher.model):
        words = road.words(teacher.model, vectors)[torch.as_tensor(classes)]
        for start in range(0, len(stage.train), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(stage.train)))
            found.append(_weighted(_answers(teacher.model, stage.train, rows, words), teacher))
    target = _log_share(torch.cat(found), asked.temperature)
    return Lesson(asked, torch.as_tensor(classes), target.to(dtype))


def _answers(model: ZSLModel, split: Split, rows: npt.NDArray[np.int64], words: Tensor) -> Tensor:
    """Distances `(head, sample, class)`."""
    parts = road.prepare(model, split, rows)
    return distances(road.finish(model, parts, own_trace(model, parts.made)), words)


def _weighted(each: Tensor, teacher: Teacher) -> Tensor:
    """One distance `(sample, class)` of the two heads, as the teacher was scored."""
    if len(each) == 1:
        return each[0]
    return (1 - teacher.head_weight) * each[0] + teacher.head_weight * each[1]


def _log_share(distance: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(-distance / temperature, -1)
