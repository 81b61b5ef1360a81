"""Two models that keep the written contract (`neurozsl.models.base`) and nothing more.

`Averaged` never spikes. `Spiking` has a branch of one layer of leaky neurons, which reads whether a
visual feature rose or fell since the step before.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, InputCode, LayerSpec, Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Branch, BranchModel, Embedding, LossTerms, Prepared, ZSLModel
from neurozsl.models.blocks import masked_mean
from neurozsl.models.neurons import NeuronConfig, fire

WORDS, PROJ, NEURONS = 300, 16, 24


class Toy(nn.Module):
    """What is alike in both."""

    def __init__(self, wide: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(wide, width)
        self.project_word = nn.Linear(WORDS, width)

    def calibrate(self, batch: AVBatch) -> None:
        pass

    def embed_words(self, vectors: Tensor) -> Tensor:
        words: Tensor = self.project_word(vectors)
        return words

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        near = (output.heads[0] - self.embed_words(vectors[label])).square().sum(-1)
        far = (output.heads[0] - self.embed_words(vectors[label[negative]])).square().sum(-1)
        hinge = torch.relu(1 + near - far).mean()
        return LossTerms(hinge, {"hinge": hinge})

    def warnings(self, batch: AVBatch) -> list[str]:
        return []


class Averaged(Toy):
    """Both features, averaged over time, side by side: one linear map."""

    def __init__(self, audio_dim: int, video_dim: int, width: int = PROJ) -> None:
        super().__init__(audio_dim + video_dim, width)
        self.sizes = {"audio_dim": audio_dim, "video_dim": video_dim, "width": width}

    def options(self) -> dict[str, Any]:
        return dict(self.sizes)

    def prepare(self, batch: AVBatch) -> Prepared:
        both = torch.cat([batch.audio, batch.video], -1)
        return Prepared(None, masked_mean(both, batch.mask))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        return Embedding((self.project(context),), {})


def averaged(
    *, audio_dim: int, video_dim: int, width: int = PROJ, encode: str = "", steps: int = 0
) -> ZSLModel:
    """The builder of `Averaged`; its time axis may be of any length."""
    return Averaged(audio_dim, video_dim, width)


class OneLayer(nn.Module):
    """The branch."""

    def __init__(self, size: int, steps: int, config: NeuronConfig) -> None:
        super().__init__()
        self.code, self.steps, self.config = InputCode(size, "ternary", 1, True, 1.0), steps, config
        self.linear = nn.Linear(size, NEURONS)

    def forward(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        return Trace({"only": fire(self.linear(chip_input.codes["change"]), self.config)})

    def spiking_layers(self) -> tuple[str, ...]:
        return ("only",)

    def spec(self) -> BranchSpec:
        weight, bias = (x.detach().numpy() for x in (self.linear.weight, self.linear.bias))
        full = np.ones(NEURONS)
        kappa, theta = self.config.kappa * full, self.config.theta * full
        layer = LayerSpec("only", "change", weight, bias, kappa, theta)
        return BranchSpec({"change": self.code}, (layer,), ("only",), 1e-3, self.steps)


class Spiking(Toy):
    """Sound, averaged, beside the mean spikes of what moves."""

    def __init__(self, audio_dim: int, video_dim: int, steps: int, theta: float) -> None:
        super().__init__(audio_dim + NEURONS, PROJ)
        self.sizes = {"audio_dim": audio_dim, "video_dim": video_dim, "steps": steps}
        self.moved = OneLayer(video_dim, steps, NeuronConfig(theta=theta))
        nn.init.normal_(self.moved.linear.weight, std=0.5)

    def options(self) -> dict[str, Any]:
        return {**self.sizes, "theta": self.moved.config.theta}

    def prepare(self, batch: AVBatch) -> Prepared:
        change = torch.diff(batch.video, dim=1, prepend=batch.video[:, :1])
        code = torch.sign(change) * (change.abs() > 0.1)
        chip_input = ChipInput({"change": code}, {"change": self.moved.code})
        return Prepared(chip_input, masked_mean(batch.audio, batch.mask))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        assert trace is not None
        spikes = torch.as_tensor(trace.spikes["only"], dtype=context.dtype, device=context.device)
        return Embedding((self.project(torch.cat([context, spikes.mean(1)], -1)),), {})

    def motion_branch(self) -> Branch | None:
        return self.moved

    def frozen(self, theta: Mapping[str, float]) -> Self:
        made = copy.deepcopy(self)
        made.moved.config = NeuronConfig(theta=theta["only"])
        return made

    def host_parts(self) -> tuple[str, ...]:
        return ()


def spiking(
    *, audio_dim: int, video_dim: int, steps: int, encode: str = "sequence", theta: float = 1.0
) -> BranchModel:
    """The builder of `Spiking`, which needs the steps of its features."""
    if encode != "sequence":
        raise BadInput("model 'toy': without time nothing moves; give features with steps")
    return Spiking(audio_dim, video_dim, steps, theta)
