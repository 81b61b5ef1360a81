"""The contract of every zero-shot model: host -> chip -> host, and how its output is scored.

A model maps an `AVBatch` to embeddings in the space of the class vectors. Whatever spikes sits
between the only two doors, `prepare` (host to chip) and `finish` (chip to host), so that the same
model runs with Norse, an emulator or a chip simulator in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from neurozsl.data.batch import AVBatch
from neurozsl.signals import BranchSpec, ChipInput, Trace


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
    """

    heads: tuple[Tensor, ...]
    aux: Mapping[str, Tensor]


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


def distances(output: Embedding, classes: Tensor) -> Tensor:
    """Euclidean distance of every head to every class: `(heads, batch, classes)`."""
    return torch.stack([torch.cdist(head, classes) for head in output.heads])
