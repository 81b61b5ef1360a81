"""ALE, SJE and DEVISE: one linear map from features to class vectors, with three losses.

In: video and audio, averaged over the real steps and joined (video first), x; out: a place p in the
space of the class vectors w. A sample's score for a class is the product with its vector::

    p   = W drop(x)                   W: words x (Dv + Da), without bias; x of length 1 or as it is
    s_c = p . drop(w_c)               over the K classes that are trained on

    cost_c = [0.1 + s_c - s_y]_+      for c other than the sample's class y, 0 for y
    DEVISE   sum over c of cost_c                     (Frome et al., NeurIPS 2013)
    SJE      max over c of cost_c                     (Akata et al., CVPR 2015)
    ALE      H_r / r times the sum over c of cost_c   (Akata et al., TPAMI 2016)

with r the number of costs above 0 and H_r = 1 + 1/2 + ... + 1/r; the loss is the mean over the
batch. So does the public code of the benchmark (ExplainableML/AVCA-GZSL, 2711aeb); the originals
are of images. AVCA's section 4.3 describes SJE as lowering the highest product and DEVISE as
lowering their sum, without the true class: linear in W, so without a minimum, and not offered.

The class is the one whose raw vector is nearest to p, although products are trained; with vectors
of length 1 the order is that of the products, but what calibrated stacking adds is in units of
distance, which depend on the length of p. `score=cosine` compares directions, as the originals do.
At 512/512 features and 300-d vectors the map has 307,200 weights, at 128/4096 1,267,200.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.core.signals import Trace
from neurozsl.models.base import Embedding, LossTerms
from neurozsl.models.baselines.averaged import Averaged, AveragedFeatures, Preset, resolve

Score = Literal["distance", "cosine"]
Rule = Literal["ale", "sje", "devise"]

# run_scripts of the public code: C3D and VGGish features (cls) are brought to length 1.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "ucf_main": {"dropout": 0.2, "norm_inputs": False},
    "ucf_cls": {"dropout": 0.2, "norm_inputs": True},
    "activitynet_main": {"dropout": 0.2, "norm_inputs": False},
    "activitynet_cls": {"dropout": 0.2, "norm_inputs": True},
    "vggsound_main": {"dropout": 0.0, "norm_inputs": False},
    "vggsound_cls": {"dropout": 0.0, "norm_inputs": True},
}


@dataclass(frozen=True)
class BilinearConfig:
    """Everything that defines one, its loss aside; the defaults are the public code's on UCF, main.

    dropout: of x and, with a mask of their own, of the class vectors. norm_inputs: x of length 1.
    score: what is compared with the classes, p or its direction.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "ucf_main"
    dropout: float = 0.2
    norm_inputs: bool = False
    margin: float = 0.1
    score: Score = "distance"


class Bilinear(Averaged):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    def __init__(self, rule: Rule, config: BilinearConfig) -> None:
        super().__init__()
        self.config = c = config
        self._rule: Rule = rule
        self.compatibility = nn.Linear(c.audio_dim + c.video_dim, c.word_dim, bias=False)
        self.dropout = nn.Dropout(c.dropout)

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Map the features; `aux` holds p."""
        assert isinstance(context, AveragedFeatures)
        x = joined(context, norm=self.config.norm_inputs)
        place = self.compatibility(self.dropout(x))  # (batch, words)
        return Embedding((self._compared(place),), {"place": place})

    def embed_words(self, vectors: Tensor) -> Tensor:
        """Class vectors stay as they are, or their directions."""
        return self._compared(vectors)

    def _compared(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=1) if self.config.score == "cosine" else x

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """The loss of the model's name; negatives are all other classes, not samples."""
        words = self.dropout(self.trained(vectors))
        scores = output.aux["place"] @ words.T  # (batch, classes)
        cost = costs(scores, self.target(label), margin=self.config.margin)
        total = WEIGHED[self._rule](cost).mean()
        return LossTerms(total, {f"l_{self._rule}": total})

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)


def joined(features: AveragedFeatures, *, norm: bool) -> Tensor:
    """Video, then audio, `(batch, Dv + Da)`; norm: each row brought to length 1."""
    x = torch.cat([features.video, features.audio], 1)
    return functional.normalize(x, dim=1) if norm else x


def costs(scores: Tensor, target: Tensor, *, margin: float) -> Tensor:
    """By how much each class comes too close to a sample's own, `(batch, classes)`, all >= 0."""
    own = target.unsqueeze(1)
    return torch.relu(margin + scores - scores.gather(1, own)).scatter(1, own, 0.0)


def ale(cost: Tensor) -> Tensor:
    """The sum of the costs, weighed by the mean of 1, 1/2, ..., 1/r: `(batch,)`.

    The weight is a count and has no gradient.

    >>> ale(torch.tensor([[0.0, 3.0, 0.0, 1.0]])).tolist()  # (1 + 1/2) / 2 * 4
    [3.0]
    """
    rank = (cost > 0).sum(1)
    harmonic = torch.arange(1, cost.shape[1] + 1, dtype=cost.dtype, device=cost.device)
    harmonic = functional.pad(harmonic.reciprocal().cumsum(0), (1, 0))  # H_0 = 0
    return harmonic[rank] / rank.clamp_min(1) * cost.sum(1)


WEIGHED: Final[Mapping[Rule, Callable[[Tensor], Tensor]]] = {
    "ale": ale,
    "sje": lambda cost: cost.amax(1),
    "devise": lambda cost: cost.sum(1),
}


def build_ale(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> Bilinear:
    """Make an ALE, which averages over time: the axis (`encode`, `steps`) does not change it."""
    return _build("ale", audio_dim=audio_dim, video_dim=video_dim, **options)


def build_sje(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> Bilinear:
    """Make an SJE; the axis of time as in `build_ale`."""
    return _build("sje", audio_dim=audio_dim, video_dim=video_dim, **options)


def build_devise(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> Bilinear:
    """Make a DEVISE; the axis of time as in `build_ale`."""
    return _build("devise", audio_dim=audio_dim, video_dim=video_dim, **options)


def _build(rule: Rule, **options: Any) -> Bilinear:
    config = resolve(rule, BilinearConfig, PRESETS, options, shares=("dropout",))
    return Bilinear(rule, config)
