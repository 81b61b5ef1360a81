"""APN on averaged audio-visual features: two linear maps to the class vectors, trained alike.

In: video and audio, averaged and joined (video first), x, of length 1 or as it is; out: a place a
in the space of the class vectors w, nearest raw vector wins. After the attribute prototype network
(Xu et al., NeurIPS 2020), as the public code of the benchmark has it (ExplainableML/AVCA-GZSL,
2711aeb), where the picture is one pixel: what is spatial in the original, its decorrelation and its
compactness are absent, and its prototypes A_4 share nothing with the A_f that is scored::

    a_b = A_b x,   P_b = softmax over c of a_b . w_c        b = f, 4; no bias
    L   = sum over b of  CE(P_b taken for logits, y) + MSE(a_b, w_y)

c are the K classes that are trained on. The code takes the softmax twice, so that each of its two
cross-entropies stays above log(1 + (K - 1) / e); `probabilities=once` takes a_b . w_c for the
logits. At 512/512 features the two maps have 614,400 weights, at 128/4096 2,534,400; half of them
are never scored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from neurozsl.core.signals import Trace
from neurozsl.models.base import Embedding, LossTerms
from neurozsl.models.baselines.averaged import Averaged, AveragedFeatures, Preset, resolve
from neurozsl.models.baselines.bilinear import joined

_FIRST = 2e-4  # weights are drawn from 0 to this

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "ucf_main": {"norm_inputs": False},
    "ucf_cls": {"norm_inputs": True},
    "activitynet_main": {"norm_inputs": False},
    "activitynet_cls": {"norm_inputs": True},
    "vggsound_main": {"norm_inputs": False},
    "vggsound_cls": {"norm_inputs": True},
}


@dataclass(frozen=True)
class APNConfig:
    """Everything that defines an APN; the defaults are the public code's on UCF, main split.

    norm_inputs: x of length 1. probabilities: how often the softmax is taken.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "ucf_main"
    norm_inputs: bool = False
    probabilities: Literal["twice", "once"] = "twice"


class APN(Averaged):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    def __init__(self, config: APNConfig) -> None:
        super().__init__()
        self.config = c = config
        self.final = nn.Linear(c.audio_dim + c.video_dim, c.word_dim, bias=False)
        self.layer4 = nn.Linear(c.audio_dim + c.video_dim, c.word_dim, bias=False)
        for layer in (self.final, self.layer4):
            nn.init.uniform_(layer.weight, 0.0, _FIRST)

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Map the features; `aux` holds both places."""
        assert isinstance(context, AveragedFeatures)
        x = joined(context, norm=self.config.norm_inputs)
        final = self.final(x)  # (batch, words)
        return Embedding((final,), {"final": final, "layer4": self.layer4(x)})

    def embed_words(self, vectors: Tensor) -> Tensor:
        """Class vectors stay as they are."""
        return vectors

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Cross-entropy and squared error of both places; negatives are all other classes."""
        words, target = self.trained(vectors), self.target(label)
        parts = {}
        for name in ("final", "layer4"):
            place = output.aux[name]
            logits = place @ words.T  # (batch, classes)
            if self.config.probabilities == "twice":
                logits = logits.softmax(1)
            parts[f"ce_{name}"] = cross_entropy(logits, target)
            parts[f"mse_{name}"] = mse_loss(place, vectors[label])
        return LossTerms(torch.stack(list(parts.values())).sum(), parts)

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)


def build(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> APN:
    """Make an APN, which averages over time: the axis (`encode`, `steps`) does not change it."""
    given = {"audio_dim": audio_dim, "video_dim": video_dim, **options}
    return APN(resolve("apn", APNConfig, PRESETS, given))
