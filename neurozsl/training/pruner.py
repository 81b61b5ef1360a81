"""Pruning in the loop of a stage: masks before a step, what to log after an epoch, the last zeros.

`pruner` chooses between the three ways in which a stage treats the zeros of a branch:

    none      nothing is pruned and nothing was
    schedule  the density falls to that of `Sparsity`, or to the one that a budget asks for
    kept      a pruned model is trained on (fine-tuning): every layer keeps as many weights as it
              had, the largest ones, so that a few may still change places; neurons and inputs
              that were pruned as a whole stay away
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import Split
from neurozsl.models.base import ZSLModel, branch_of
from neurozsl.models.pathways import PathwayBranch
from neurozsl.training import sparsity as sparse
from neurozsl.training.budget import TOLERANCE, CostMeter, density_for
from neurozsl.training.economy import Penalties, Sparsity
from neurozsl.training.protocol import TrainConfig

_HOPELESS: Final = 3.0  # times the budget, at the end of any epoch; training may still halve it
KNEE: Final = 0.03  # densities below cost accuracy steeply (measured on the synthetic set)
_FASTEST: Final = 1.5  # factor by which the pressure grows in an epoch, at most
_MOST_PRESSURE: Final = 20.0
SMALLEST: Final = 1e-5  # a density at which every layer keeps one weight


class Pruner:
    """Nothing is pruned; the base of the two that prune."""

    def before_step(self, done: float) -> None:
        """Set the masks; done: share of the stage's steps."""

    def after_epoch(self, done: float) -> dict[str, Any]:
        """Set the masks of the weights as they are now; returns what the log says of them."""
        return {}

    def restore(self, line: Mapping[str, Any]) -> None:
        """Go on after an epoch that wrote this line."""

    def selectable(self, done: float) -> bool:
        """Whether the best epoch may be chosen here: the density is the final one."""
        return True

    def penalties(self, asked: Penalties | None) -> Penalties | None:
        """What the loss says of spikes in the coming steps, beside what was asked for."""
        return asked

    def settle(self) -> None:
        """Write the zeros into the weights, at the end of the stage."""


@dataclass
class Scheduled(Pruner):
    """The density falls; `density` is the one it falls to."""

    branch: sparse.Prunable
    sparsity: Sparsity
    density: float = field(init=False)

    def __post_init__(self) -> None:
        self.density = self.sparsity.density

    def before_step(self, done: float) -> None:
        """The masks of the schedule."""
        sparse.apply(self.branch, self.sparsity, self.sparsity.at(done, self.density))

    def after_epoch(self, done: float) -> dict[str, Any]:
        """The masks of the schedule, for scores and checkpoints of this epoch."""
        self.before_step(done)
        return {"density": round(sparse.density_of(self.branch), 6)}

    def selectable(self, done: float) -> bool:
        """From the end of the schedule on; before, a denser network would be chosen."""
        return done >= self.sparsity.end

    def settle(self) -> None:
        """The final zeros."""
        self.before_step(1.0)
        sparse.settle(self.branch)


@dataclass
class Steered(Scheduled):
    """The density falls to the one at which an inference costs what the budget says.

    After every epoch the branch is run on training samples: the density at which its weights of the
    moment would meet the budget is the one that the schedule goes on to. At the end it is found
    once more for the last weights.

    Where that density lies below the knee, too few weights are left for the task: then events are
    to become fewer instead. `pressure` is the weight of the SynOps loss, which rises as long as the
    density stays below; it lowers spike rates and raises event thresholds that are trained.
    """

    model: ZSLModel
    meter: CostMeter
    pressure: float = 0.0

    def after_epoch(self, done: float) -> dict[str, Any]:
        """Where the schedule goes on to; the masks of this epoch.

        Raises:
            BadInput: even the smallest network costs far more than the budget.
        """
        self._refuse(self._aim(), _HOPELESS)
        if self.density < KNEE:
            step = min(KNEE / self.density, _FASTEST)
            self.pressure = min(max(self.pressure, 1.0) * step, _MOST_PRESSURE)
        else:
            self.pressure *= 0.5
        line = super().after_epoch(done)
        line |= {"aimed_density": self.density, "pressure": self.pressure}
        return {**line, "cost": self.meter.cost(self.model)}

    def penalties(self, asked: Penalties | None) -> Penalties | None:
        """The SynOps loss under pressure; one that was asked for is left alone."""
        if self.pressure < 0.01 or (asked is not None and asked.synops):
            return asked
        return replace(asked or Penalties(), synops=self.pressure)

    def restore(self, line: Mapping[str, Any]) -> None:
        """The density that this epoch aimed at, and its pressure."""
        self.density, self.pressure = float(line["aimed_density"]), float(line["pressure"])

    def settle(self) -> None:
        """The zeros that meet the budget.

        Raises:
            BadInput: the smallest network costs more than the budget allows.
        """
        cost = self._aim()
        super().settle()
        self._refuse(cost, 1 + TOLERANCE)

    def _refuse(self, cost: float, most: float) -> None:
        """An error where the cost is more than so many times the budget."""
        budget = self.meter.budget
        if cost > budget.limit * most:
            raise BadInput(
                f"budget of {budget.said(budget.limit)}: out of reach, the smallest that was "
                f"reached is {budget.said(cost)} with {sum(sparse.nonzeros(self.branch).values())} "
                "weights left; allow more, or make the inputs sparser, the layers narrower or the "
                "steps fewer"
            )

    def _aim(self) -> float:
        """Find the density; returns its cost."""

        def cost_at(density: float) -> float:
            sparse.apply(self.branch, self.sparsity, density)
            return self.meter.cost(self.model)

        self.density, cost = density_for(self.meter.budget.limit, cost_at, SMALLEST, self.density)
        sparse.apply(self.branch, self.sparsity, self.density)
        return cost


@dataclass
class Kept(Pruner):
    """Every layer keeps its number of weights, and lacks the neurons and inputs that it lacked."""

    branch: sparse.Prunable
    zeros: Mapping[str, sparse.Zeros]

    def before_step(self, done: float) -> None:
        """The largest weights, as many as there were."""
        sparse.keep_zeros(self.branch, self.zeros)

    def after_epoch(self, done: float) -> dict[str, Any]:
        """The same, for scores and checkpoints."""
        self.before_step(done)
        return {}

    def settle(self) -> None:
        """The final zeros."""
        self.before_step(1.0)
        sparse.settle(self.branch)


def pruner(model: ZSLModel, config: TrainConfig, train: Split) -> Pruner:
    """What a stage does about zeros; model: as the stage begins, before any checkpoint is read.

    train: training samples, to count on where a budget is given.

    Raises:
        BadInput: sparsity is asked for, and the model cannot be pruned.
    """
    if config.budget is not None:
        how = config.sparsity or Sparsity()
        meter = CostMeter(config.budget, train)
        return Steered(sparse.prunable(model), how, model, meter)
    if config.sparsity is not None:
        return Scheduled(sparse.prunable(model), config.sparsity)
    branch = branch_of(model)
    if isinstance(branch, PathwayBranch) and sparse.density_of(branch) < 1:
        return Kept(branch, sparse.zeros_of(branch))
    return Pruner()


def settled(model: ZSLModel) -> ZSLModel:
    """The model with its zeros written into the weights, the model itself where it has no masks."""
    branch = branch_of(model)
    if not isinstance(branch, PathwayBranch):
        return model
    if all(layer.kept is None for layer in branch.named_layers().values()):
        return model
    copy = deepcopy(model)
    sparse.settle(sparse.prunable(copy))
    return copy
