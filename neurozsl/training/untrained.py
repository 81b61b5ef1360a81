"""A model without parameters on the road of a run: nothing is trained, validation chooses.

What stage 1 chooses for a trained model by epochs, it chooses here among the model's own `choices`
(for ConSE the top k and the temperature), with beta and the weight of the heads, by the best HM on
the validation splits; the first of the best. There are no epochs and no checkpoints.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeGuard, runtime_checkable

from neurozsl.data.batch import ZSLData
from neurozsl.models.base import ZSLModel
from neurozsl.scoring.evaluation import collect
from neurozsl.scoring.further import choose_all
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.stage_loop import EpochProgress, Selected, selection


@runtime_checkable
class UntrainedModel(ZSLModel, Protocol):
    """Asked of a model without parameters, beside `ZSLModel`."""

    def choices(self) -> Sequence[Mapping[str, Any]]:
        """Return the options that validation chooses among, at least one."""

    def with_choice(self, choice: Mapping[str, Any], /) -> "UntrainedModel":
        """Copy the model with other options."""


def is_untrained(model: ZSLModel) -> TypeGuard[UntrainedModel]:
    """Whether there is nothing to train."""
    return hasattr(model, "choices") and next(model.parameters(), None) is None


def choose_options(
    model: UntrainedModel, data: ZSLData, config: TrainConfig, progress: EpochProgress | None = None
) -> tuple[UntrainedModel, Selected]:
    """The model with the options of the best validation HM, and what was chosen with them."""
    stage, every = data.stage(1), model.choices()
    best: tuple[UntrainedModel, Selected] | None = None
    for done, choice in enumerate(every, 1):
        tried = model.with_choice(choice)
        again = partial(collect, tried, stage, data.vectors)
        chosen = choose_all(tried, again, config.protocol.betas())
        if best is None or chosen.scores.HM > best[1].val_hm:
            best = tried, selection(0, chosen)
        if progress is not None:
            told = ", ".join(f"{key} {value}" for key, value in choice.items())
            progress(done, len(every), f"{told}: validation HM {chosen.scores.HM:.1f}")
    assert best is not None
    return best
