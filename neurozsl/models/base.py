"""The contract of a model, all that is asked of it: host -> chip -> host, and how it is scored.

A model maps an `AVBatch` to embeddings in the space of the class vectors. Whatever spikes sits
between the only two doors, `prepare` (host to chip) and `finish` (chip to host), so that the same
model runs with Norse, an emulator or a chip simulator in the middle. `ZSLModel` is the contract of
every model, `BranchModel` and `Branch` that of a model whose middle a chip can take over.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.data.batch import AVBatch

Combine = Literal["weighted", "sum", "mean", "min", "product", "halves"]


class Prepared(NamedTuple):
    """`chip_input` crosses to the chip, `context` stays on the host until `finish`.

    mask: which steps are real, `(batch, time)`; the model's own branch has it, no chip does.
    """

    chip_input: ChipInput | None
    context: Any
    mask: Tensor | None = None


@dataclass(frozen=True)
class Further:
    """A place that other knowledge gives a sample, beside the heads of its model.

    head: `(batch, width)`, compared with the last `width` columns of the class embeddings, which
        belong to it alone. weight: its share in every distance, 0 to 1.
    """

    head: Tensor
    weight: float


@dataclass(frozen=True)
class Embedding:
    """What a model says about a batch.

    heads: one or two score heads, `(batch, proj)` each; class = argmin over classes of the
        weighted sum of the heads' Euclidean distances to the class embeddings.
    aux: further tensors that a loss needs.
    combine: how the heads' distances become the score: `weighted` by a weight that validation
        chooses, or by a fixed rule of the model's own. `product` is no distance at all: the score
        is minus the inner product of head and class embedding, so that a classifier's
        log-probabilities are a head beside class embeddings that pick a column each. `halves`: the
        one head is two places end to end, each compared with its half of a class embedding; the
        score is the mean of both distances.
    """

    heads: tuple[Tensor, ...]
    aux: Mapping[str, Tensor]
    combine: Combine = "weighted"
    further: Further | None = None


class LossTerms(NamedTuple):
    """The total that is minimised, and its named parts for the log."""

    total: Tensor
    parts: Mapping[str, Tensor]

    def plus(self, more: Mapping[str, Tensor]) -> "LossTerms":
        """With further terms, their weights in them."""
        if not more:
            return self
        return LossTerms(
            self.total + torch.stack(list(more.values())).sum(), {**self.parts, **more}
        )


class TorchModule(Protocol):
    """What is asked of `torch.nn.Module`, which every model is; nothing of it is to be written."""

    training: bool

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...
    def get_submodule(self, target: str, /) -> nn.Module: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: Mapping[str, Tensor], /) -> object: ...
    def to(self, target: Any, /) -> Self: ...
    def float(self) -> Self: ...
    def train(self, mode: bool = True) -> Self: ...
    def eval(self) -> Self: ...


@runtime_checkable
class ZSLModel(TorchModule, Protocol):
    """All that training, evaluation, export and profiling ask of a model, an `nn.Module`.

    Models are made by a function of the table in `neurozsl.models`::

        build(*, audio_dim: int, video_dim: int, encode: str, steps: int, **options) -> ZSLModel

    with the widths of the features, and of their time axis `encode="sequence"` and its length
    `steps`, or `encode="repeat"` where they have none. It refuses unknown options with `BadInput`.
    """

    def options(self) -> dict[str, Any]:
        """All arguments of `build` that make this model again, as JSON values.

        What `calibrate` and `frozen` fix may be among them as `codes` and `thetas`: `run.json`,
        which is written before, leaves these two and the widths out.
        """

    def calibrate(self, batch: AVBatch) -> None:
        """Fix what depends on the training data alone (scales of the input codes)."""

    def prepare(self, batch: AVBatch) -> Prepared:
        """Do the host's part before the motion branch; no motion weight is used.

        Anytime inference asks for what is known after `batch.stop` steps: the mask of `Prepared`
        and of the context ends there (`models.sequence.as_steps` does it).
        """

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Do the host's part after the motion branch; no motion weight is used."""

    def embed_words(self, vectors: Tensor) -> Tensor:
        """Map class vectors `(classes, words)` to `(classes, proj)`."""

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Loss of a batch, whose classes `label` are rows of all `vectors` `(classes, words)`.

        `negative` is per sample the place in the batch of a sample of another class.
        """

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say, after training, what degenerated; an empty list where nothing did."""


@runtime_checkable
class ComparesClasses(Protocol):
    """Asked beside it of a model whose loss compares samples with all classes of the training.

    `ZSLModel.loss` gets the vectors of every class of the data set, those of the test among them.
    """

    def train_on(self, classes: Tensor, /) -> None:
        """Take the ids of the classes that are trained on; called before a stage of training."""


class Branch(TorchModule, Protocol):
    """What a chip takes over of a model: an `nn.Module`, `ChipInput` -> `Trace`."""

    def __call__(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        """Spikes `(batch, time, neuron)` of every layer; `mask` is that of `Prepared`."""

    def spiking_layers(self) -> tuple[str, ...]:
        """Names of the layers that spike; empty where an ablation computes with real values."""

    def spec(self) -> BranchSpec:
        """Describe the branch as it will be deployed.

        Raises:
            BadInput: it cannot be deployed; the message says why, and what to train instead.
        """


@runtime_checkable
class ClosedLoopBranch(Branch, Protocol):
    """Asked beside it where `spec().policy` is `closed`: thresholds follow the branch's spikes."""

    def thresholds(self, chip_input: ChipInput, /) -> Mapping[str, Tensor]:
        """The thresholds `(batch, time)` that every layer used on this input."""


@runtime_checkable
class BranchModel(ZSLModel, Protocol):
    """Asked of a model with a branch, beside `ZSLModel`; `models.with_branch` is a base for it."""

    def motion_branch(self) -> Branch | None:
        """The branch; None where an option leaves it out."""

    def frozen(self, theta: Mapping[str, float]) -> "BranchModel":
        """Copy the model as deployed: normalisation folded, one constant threshold per layer.

        Raises:
            BadInput: there is no branch.
        """

    def host_parts(self) -> tuple[str, ...]:
        """Spiking parts that the branch leaves to the host, each with the reason; mostly none."""


def has_branch(model: ZSLModel) -> TypeGuard[BranchModel]:
    """Whether a model keeps the contract of those with a branch (`models.build` checks all of it).

    The branch itself may still be left out by an option.
    """
    return hasattr(model, "motion_branch")


def branch_of(model: ZSLModel) -> Branch | None:
    """The spiking branch of a model; None where it has none."""
    return model.motion_branch() if has_branch(model) else None


def needed_branch(model: ZSLModel) -> Branch:
    """The spiking branch of a model.

    Raises:
        BadInput: it has none.
    """
    branch = branch_of(model)
    if branch is None:
        raise BadInput(f"model {type(model).__name__}: {_NO_BRANCH}")
    return branch


def own_trace(model: ZSLModel, prepared: Prepared) -> Trace | None:
    """Spikes of the model's own branch (Norse); None where nothing goes to a chip."""
    if prepared.chip_input is None:
        return None
    return needed_branch(model)(prepared.chip_input, prepared.mask)


def embed(model: ZSLModel, batch: AVBatch) -> Embedding:
    """The whole model, its own branch in the middle."""
    prepared = model.prepare(batch)
    return model.finish(own_trace(model, prepared), prepared.context)


def branch_model(model: ZSLModel) -> BranchModel:
    """The model, as one that can be frozen.

    Raises:
        BadInput: it has no spiking branch.
    """
    if has_branch(model):
        return model
    raise BadInput(f"model {type(model).__name__}: {_NO_BRANCH}")


_NO_BRANCH = "it has no spiking branch; train with motion=true, or a spiking model such as mdft"


def closed_loop(branch: Branch) -> ClosedLoopBranch:
    """The branch, as one that tells its thresholds.

    Raises:
        BadInput: it does not.
    """
    if isinstance(branch, ClosedLoopBranch):
        return branch
    raise BadInput(
        f"branch {type(branch).__name__}: its policy is 'closed', but it has no method "
        "`thresholds` that tells them; add it (models.base.ClosedLoopBranch)"
    )


def host_parts(model: ZSLModel) -> tuple[str, ...]:
    """Spiking parts of a model that its branch leaves to the host, each with the reason."""
    return model.host_parts() if has_branch(model) else ()


def distances(output: Embedding, classes: Tensor) -> Tensor:
    """Euclidean distance of every head to every class: `(heads, batch, classes)`.

    A fixed rule of the model combines the heads first, so that one distance is left; `product`
    gives minus the inner products, `halves` the mean over two spaces. A further place takes its
    share of each.
    """
    if output.further is None:
        return _of_heads(output, classes)
    place, share = output.further.head, output.further.weight
    width = place.shape[1]
    own = _of_heads(output, classes[:, :-width])
    return (1 - share) * own + share * torch.cdist(place, classes[:, -width:])


def _of_heads(output: Embedding, classes: Tensor) -> Tensor:
    if output.combine == "product":
        return torch.stack([-(head @ classes.T) for head in output.heads])
    if output.combine == "halves":
        [head] = output.heads
        pairs = zip(head.chunk(2, 1), classes.chunk(2, 1), strict=True)
        return torch.stack([torch.cdist(x, y) for x, y in pairs]).mean(0, keepdim=True)
    each = torch.stack([torch.cdist(head, classes) for head in output.heads])
    if output.combine == "weighted":
        return each
    return _COMBINED[output.combine](each).unsqueeze(0)


_COMBINED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda each: each.sum(0),
    "mean": lambda each: each.mean(0),
    "min": lambda each: each.amin(0),
}
