"""The contract of every zero-shot model: host -> chip -> host, and how its output is scored.

A model maps an `AVBatch` to embeddings in the space of the class vectors. Whatever spikes sits
between the only two doors, `prepare` (host to chip) and `finish` (chip to host), so that the same
model runs with Norse, an emulator or a chip simulator in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.data.batch import AVBatch

Combine = Literal["weighted", "sum", "mean", "min"]


class Prepared(NamedTuple):
    """`chip_input` crosses to the chip, `context` stays on the host until `finish`."""

    chip_input: ChipInput | None
    context: Any


@dataclass(frozen=True)
class Embedding:
    """What a model says about a batch.

    heads: per score head, `(batch, proj)`; class = argmin over classes of the weighted sum of
        the heads' Euclidean distances to the class embeddings.
    aux: further tensors that a loss needs.
    combine: how the heads' distances become the score: `weighted` by a weight that validation
        chooses, or by a fixed rule of the model's own.
    """

    heads: tuple[Tensor, ...]
    aux: Mapping[str, Tensor]
    combine: Combine = "weighted"


class LossTerms(NamedTuple):
    """The total that is minimised, and its named parts for the log."""

    total: Tensor
    parts: Mapping[str, Tensor]


@runtime_checkable
class ZSLModel(Protocol):
    """What training, evaluation, export and profiling ask of a model (an `nn.Module`)."""

    def calibrate(self, batch: AVBatch) -> None:
        """Fix what depends on the training data alone (scales of the input codes)."""

    def prepare(self, batch: AVBatch) -> Prepared:
        """Do the host's part before the motion branch; no motion weight is used."""

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Do the host's part after the motion branch; no motion weight is used."""

    def embed_words(self, vectors: Tensor) -> Tensor:
        """Map class vectors `(classes, words)` to `(classes, proj)`."""

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Loss of a batch; `negative` is, per sample, the index of a sample of another class."""

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say, after training, what degenerated; an empty list where nothing did."""

    def frozen(self, theta: Mapping[str, float]) -> ZSLModel:
        """Copy the model as deployed: normalisation folded, one constant threshold per layer."""

    def branch_spec(self) -> BranchSpec | None:
        """Describe the spiking branch as it will be deployed; None where nothing spikes."""


def host_parts(model: Any) -> tuple[str, ...]:
    """Spiking parts of a model that its branch leaves to the host, each with the reason.

    Models whose spiking parts are the branch, all of them, have no method `host_parts`.
    """
    parts = getattr(model, "host_parts", None)
    return () if parts is None else tuple(parts())


def distances(output: Embedding, classes: Tensor) -> Tensor:
    """Euclidean distance of every head to every class: `(heads, batch, classes)`.

    A fixed rule of the model combines the heads first, so that one distance is left.
    """
    each = torch.stack([torch.cdist(head, classes) for head in output.heads])
    if output.combine == "weighted":
        return each
    return _COMBINED[output.combine](each).unsqueeze(0)


_COMBINED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda each: each.sum(0),
    "mean": lambda each: each.mean(0),
    "min": lambda each: each.amin(0),
}
