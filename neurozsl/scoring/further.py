"""How much a further place counts (`models.base.Further`), chosen on validation with the rest.

Distances are linear in its share, so two passes (none of it, nothing else) give every mixture.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, TypeGuard

from neurozsl.models.base import ZSLModel
from neurozsl.scoring import metrics
from neurozsl.scoring.evaluation import Collected, choose
from neurozsl.scoring.metrics import Scores

SHARES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


class WithFurther(ZSLModel, Protocol):
    """Asked of a model whose output has a further place."""

    def weigh_further(self, weight: float) -> None:
        """Give it this share, 0 to 1."""


class Chosen(NamedTuple):
    """What validation chose, and the distances that it chose on. further: 0 where there is none."""

    collected: Collected
    scores: Scores
    head_weight: float
    further: float


def has_further(model: ZSLModel) -> TypeGuard[WithFurther]:
    """Whether a model has a further place."""
    return hasattr(model, "weigh_further")


def choose_all(
    model: ZSLModel, collected: Callable[[], Collected], betas: Sequence[float] = metrics.BETA_GRID
) -> Chosen:
    """Share of the further place, head weight and beta of the best HM; the model keeps the share.

    collected: scores the model as it is on validation data. The first of equal ones is taken, so a
    further place that does not help stays out.
    """
    if not has_further(model):
        found = collected()
        return Chosen(found, *choose(found, betas), 0.0)
    model.weigh_further(0.0)
    own = collected()
    model.weigh_further(1.0)
    alone = collected()
    tried = []
    for share in SHARES:
        mixed = replace(own, distance=(1 - share) * own.distance + share * alone.distance)
        tried.append(Chosen(mixed, *choose(mixed, betas), share))
    best = max(tried, key=lambda one: one.scores.HM)
    model.weigh_further(best.further)
    return best
