"""AVCA without cross attention: its two branches, each trained in isolation (paper, Table 4).

"W/o x-att optimises each branch in isolation and their output predictions are averaged. ... we
compute the distances between the outputs of both branches and theta_w for each class, and then
average the distances computed by both branches." Read: two models of one modality (`inputs`, as in
Table 3), each with its own W_proj and D, so that no weight is trained by both. The score of a class
is::

    (||theta_a - W_proj_a(w)|| + ||theta_v - W_proj_v(w)||) / 2

In: an `AVBatch`; out: theta_a and theta_v end to end, `(batch, 2 proj)`, and class embeddings of
that form. The loss is the sum of both, its gradients are those of two trainings: they share the
batches, the schedule, and what validation chooses by the averaged distances (epoch, beta). Only
clipping (`clip`, off in the published protocol) would scale both gradients together.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca_config import AVCAConfig
from neurozsl.models.avca_losses import total
from neurozsl.models.base import Embedding, LossTerms, Prepared, ZSLModel, embed


class Isolated(nn.Module):
    """Both branches; keeps the contract of `models.base.ZSLModel`."""

    name: ClassVar[str] = "avca"

    def __init__(self, config: AVCAConfig, audio: ZSLModel, video: ZSLModel) -> None:
        super().__init__()
        assert isinstance(audio, nn.Module) and isinstance(video, nn.Module)
        self.config = config
        self.audio: ZSLModel = audio
        self.video: ZSLModel = video

    @property
    def _branches(self) -> Mapping[str, ZSLModel]:
        return {"audio": self.audio, "video": self.video}

    def calibrate(self, batch: AVBatch) -> None:
        """Nothing here depends on the training data but the weights."""

    def warnings(self, batch: AVBatch) -> list[str]:
        """Those of each branch, with its name."""
        return [f"{k} branch: {x}" for k, b in self._branches.items() for x in b.warnings(batch)]

    def prepare(self, batch: AVBatch) -> Prepared:
        """What each branch prepares, under its name; nothing goes to a chip."""
        return Prepared(None, {k: b.prepare(batch).context for k, b in self._branches.items()})

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Both embeddings end to end; `aux` holds what each branch's loss needs."""
        found = {k: b.finish(None, context[k]) for k, b in self._branches.items()}
        head = torch.cat([x.heads[0] for x in found.values()], 1)
        aux = {f"{k}/{name}": value for k, x in found.items() for name, value in x.aux.items()}
        return Embedding((head,), aux, "halves")

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return embed(self, batch)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """theta_w of both branches: `(classes, words)` -> `(classes, 2 proj)`."""
        return torch.cat([b.embed_words(vectors) for b in self._branches.values()], 1)

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """The sum of both branches' losses, total and parts.

        Raises:
            BadInput: as AVCA's.
        """
        terms, heads = [], output.heads[0].chunk(2, 1)
        for (k, branch), head in zip(self._branches.items(), heads, strict=True):
            own = {n.removeprefix(f"{k}/"): x for n, x in output.aux.items() if n.startswith(k)}
            terms.append(branch.loss(Embedding((head,), own), label, negative, vectors))
        parts = {name: total([x.parts[name] for x in terms]) for name in terms[0].parts}
        return LossTerms(total([x.total for x in terms]), parts)

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)
