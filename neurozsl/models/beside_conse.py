"""Any model with what pretrained classifiers already know beside its own heads (`conse=true`).

A model learns from the few classes that it is trained on; ConSE (`models.conse`) learns nothing and
ranks any names. The score of a class is then ::

    d(x, c) = (1 - mu) d_own(x, c) + mu |f(x) - s(c)|

with d_own the model's weighted heads, f(x) ConSE's place of the sample (the mean of its places by
picture and by sound, of length 1) and s(c) the class vector. mu is chosen on validation, with beta
and the head weight. Training, losses and the spiking branch are those of the model alone.

Options beside the model's own: `conse` itself, `conse_top_k` and `conse_temperature` (of `conse`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import (
    Branch,
    BranchModel,
    ComparesClasses,
    Embedding,
    Further,
    LossTerms,
    Prepared,
    ZSLModel,
    has_branch,
)
from neurozsl.models.conse import ConSE
from neurozsl.models.conse import build as build_conse

PREFIX: Final = "conse_"


class BesideConSE(nn.Module):
    """A model and a ConSE of the same features; keeps the contract `models.base.ZSLModel`."""

    further: Tensor  # mu, chosen on validation and stored with the weights

    def __init__(self, own: ZSLModel, conse: ConSE) -> None:
        super().__init__()
        assert isinstance(own, nn.Module)
        self.own: ZSLModel = own
        self.conse = conse
        self.register_buffer("further", torch.zeros(()))

    def options(self) -> dict[str, Any]:
        """All arguments of `build`."""
        known, beside = self.own.options(), self.conse.config
        chosen = {"top_k": beside.top_k, "temperature": beside.temperature}
        named = {PREFIX + key: value for key, value in chosen.items()}
        return {**known, "conse": True, **named, "encoders": dict(beside.encoders)}

    def weigh_further(self, weight: float) -> None:
        """Give ConSE's distance this share."""
        self.further.fill_(weight)

    def train_on(self, classes: Tensor) -> None:
        """Tell the model which classes are trained on, where it asks."""
        if isinstance(self.own, ComparesClasses):
            self.own.train_on(classes)

    def calibrate(self, batch: AVBatch) -> None:
        """Calibrate both."""
        self.own.calibrate(batch)
        self.conse.calibrate(batch)

    def prepare(self, batch: AVBatch) -> Prepared:
        """The model's own, ConSE's pooled features beside its context."""
        made = self.own.prepare(batch)
        return made._replace(context=(made.context, self.conse.prepare(batch).context))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """The model's own heads, and the further place; not in training, whose loss has none."""
        own, pooled = context
        output = self.own.finish(trace, own)
        if self.training:
            return output
        places = torch.stack(self.conse.finish(None, pooled).heads).mean(0)
        place = functional.normalize(places, dim=1).to(output.heads[0])
        return replace(output, further=Further(place, float(self.further)))

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model; of one with a branch only what needs none of it."""
        made = self.prepare(batch)
        return self.finish(None, made.context)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """The model's class embeddings, and the class vectors of length 1 behind them."""
        own = self.own.embed_words(vectors)
        return torch.cat((own, self.conse.embed_words(vectors).to(own)), dim=1)

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """The model's own."""
        return self.own.loss(output, label, negative, vectors)

    def warnings(self, batch: AVBatch) -> list[str]:
        """The model's own."""
        return self.own.warnings(batch)


class BranchBesideConSE(BesideConSE):
    """Of a model with a spiking branch; keeps the contract `models.base.BranchModel`."""

    own: BranchModel

    def motion_branch(self) -> Branch | None:
        """The model's own."""
        return self.own.motion_branch()

    def frozen(self, theta: Mapping[str, float]) -> "BranchBesideConSE":
        """The model frozen, ConSE as it is."""
        other = BranchBesideConSE(self.own.frozen(theta), self.conse)
        other.weigh_further(float(self.further))
        return other

    def host_parts(self) -> tuple[str, ...]:
        """The model's own."""
        return self.own.host_parts()


def build(
    name: str,
    *,
    conse: bool,
    encoders: Mapping[str, Any] | None = None,
    audio_dim: int,
    video_dim: int,
    **options: Any,
) -> ZSLModel:
    """The model `name` with a ConSE beside it, or alone where `conse` is false.

    Raises:
        BadInput: `conse` is no truth value, the model trains nothing or by stages of its own, an
            option is wrong, or the set's encoders know no labels.
    """
    if not isinstance(conse, bool):
        raise BadInput(f"model '{name}': conse={conse!r}, expected true or false")
    wide = {"audio_dim": audio_dim, "video_dim": video_dim}
    mine = {k.removeprefix(PREFIX): v for k, v in options.items() if k.startswith(PREFIX)}
    rest = {k: v for k, v in options.items() if not k.startswith(PREFIX)}
    if not conse:
        if mine:
            raise BadInput(f"model '{name}': {PREFIX}{next(iter(mine))} belongs to conse=true")
        return models.build(name, **wide, **rest)
    own = None if models.asks_for(name, "encoders") else models.build(name, **wide, **rest)
    if own is None or next(own.parameters(), None) is None or hasattr(own, "own_epochs"):
        raise BadInput(
            f"model '{name}': takes no conse=true, it is not trained by epochs of the house's loop"
        )
    try:
        beside = build_conse(**wide, encoders=encoders, **mine)
    except BadInput as error:
        raise BadInput(f"model '{name}', conse=true: {error}; or leave conse=true out") from error
    return BranchBesideConSE(own, beside) if has_branch(own) else BesideConSE(own, beside)
