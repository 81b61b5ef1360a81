"""CJME: one space, and an attention that picks a modality per sample (Parida et al., WACV 2020).

In: audio and video, averaged over the real steps; out: of the two embeddings a and v, the one that
the attention picks, in the 64-d space of t, the embedded class vectors. As the public code of the
benchmark has it (ExplainableML/AVCA-GZSL, 2711aeb)::

    a, v = f_a(audio), f_v(video);  t = f_t(w)      Linear - BN - ReLU - Dropout - Linear - ReLU
    alpha = sigmoid(Linear(BN([audio; video])))     one number per sample; 1 means video

    l_ct    = mean(1 - alpha) mean(t(t, a, a-)) + mean(alpha) mean(t(t, v, v-))
    l_av    = MSE(a, v)
    l_alpha = MSE(alpha, tau),  tau = 0 if H_v - H_a > 0.1,  1 if H_a - H_v > 0.1,  else 1/2

t(anchor, positive, negative) is the triplet hinge of a sample with margin 1, a minus marks a sample
of another class; H_m is the entropy of softmax over c of m . e_c, e_c = f_t(w_c) of the classes
that are trained on; tau, a target, has no gradient. The class is that of the nearest t to v where
alpha >= 1/2, else to a.

In l_ct the weight of a sample meets the loss of every sample: shapes (batch, 1) and (batch,) make a
product (batch, batch), whose mean is that of means above. So alpha moves to the modality with the
lower loss of the batch, in all samples alike. `attention_loss=per_sample` weighs each sample by its
own alpha. `passes` says how negatives are embedded (`models.passes`): the public code's `apart`
needs the rule `negatives=drawn`, so the default is `joint`. At 512/512 features the model has
1,299,157 parameters, at 128/4096 4,585,557.

The public evaluator takes the mean of the betas that are best for audio, for video and for the
picked; here beta is that of what is scored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, triplet_margin_loss

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca_losses import Three
from neurozsl.models.base import Embedding, LossTerms
from neurozsl.models.baselines.averaged import Averaged, AveragedFeatures, Preset, resolve
from neurozsl.models.blocks import projection_map
from neurozsl.models.passes import InPasses, Passes, halves

_SURER = 0.1  # nats between two entropies, above which one modality is the surer one

# run_scripts of the public code
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "ucf_main": {"dropout": 0.2},
    "ucf_cls": {"dropout": 0.2},
    "activitynet_main": {"dropout": 0.2},
    "activitynet_cls": {"dropout": 0.2},
    "vggsound_main": {"dropout": 0.0},
    "vggsound_cls": {"dropout": 0.0},
}


@dataclass(frozen=True)
class CJMEConfig:
    """Everything that defines a CJME; the defaults are the public code's on UCF, main split.

    hidden, word_hidden: widths inside f_a and f_v, and f_t. score: which embedding is compared
    with the classes, the one that the attention picks or always the same.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "ucf_main"
    hidden: int = 1024
    word_hidden: int = 300
    proj: int = 64
    dropout: float = 0.2
    margin: float = 1.0
    attention_loss: Literal["batch_means", "per_sample"] = "batch_means"
    passes: Passes = "joint"
    score: Literal["picked", "audio", "video"] = "picked"


class CJME(InPasses, Averaged):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name: ClassVar[str] = "cjme"

    def __init__(self, config: CJMEConfig) -> None:
        super().__init__()
        self.config = c = config
        self.passes = c.passes
        self.embed_audio = _embedding(c.audio_dim, c.hidden, c)
        self.embed_video = _embedding(c.video_dim, c.hidden, c)
        self.embed_word = _embedding(c.word_dim, c.word_hidden, c)
        joined = c.audio_dim + c.video_dim
        self.attention = nn.Sequential(nn.BatchNorm1d(joined), nn.Linear(joined, 1), nn.Sigmoid())

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Embed both modalities and pick one; `aux` holds both, and alpha `(batch, 1)`."""
        assert isinstance(context, AveragedFeatures)
        audio = self.through(self.embed_audio, context.audio)  # (batch, proj)
        video = self.through(self.embed_video, context.video)
        alpha = self._alpha(torch.cat([context.audio, context.video], 1))
        aux = {"audio": audio, "video": video, "alpha": alpha}
        picked = torch.where(alpha >= 0.5, video, audio)
        return Embedding((aux.get(self.config.score, picked),), aux)

    def _alpha(self, x: Tensor) -> Tensor:
        """Alpha, `(batch, 1)`; 1/2 stands for that of negatives, which the public code never asks.

        Their rows would move the running statistics of the attention's BatchNorm.
        """
        if not self.apart:
            alpha: Tensor = self.attention(x)
            return alpha
        samples, negatives = halves(x)
        return torch.cat([self.attention(samples), x.new_full((len(negatives), 1), 0.5)])

    def embed_words(self, vectors: Tensor) -> Tensor:
        """f_t: `(classes, words)` -> `(classes, proj)`."""
        words: Tensor = self.embed_word(vectors)
        return words

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """l_ct + l_av + l_alpha; f_t sees one class vector per sample, then every class once."""
        sample, other = self.pairs(negative)
        every = Three(
            output.aux["audio"], output.aux["video"], self.through(self.embed_words, vectors[label])
        )
        here, there = every.of(sample), every.of(other)
        alpha = output.aux["alpha"][sample].squeeze(1)
        hinge = {"margin": self.config.margin, "reduction": "none"}
        l_ta = triplet_margin_loss(here.word, here.audio, there.audio, **hinge)  # type: ignore[arg-type]  # a mapping of both
        l_tv = triplet_margin_loss(here.word, here.video, there.video, **hinge)  # type: ignore[arg-type]
        if self.config.attention_loss == "per_sample":
            l_ct = ((1 - alpha) * l_ta + alpha * l_tv).mean()
        else:
            l_ct = (1 - alpha).mean() * l_ta.mean() + alpha.mean() * l_tv.mean()
        classes = self.embed_words(self.trained(vectors)).detach()
        parts = {
            "l_ct": l_ct,
            "l_av": mse_loss(here.audio, here.video),
            "l_alpha": mse_loss(alpha, _surer(here.audio, here.video, classes)),
        }
        return LossTerms(torch.stack(list(parts.values())).sum(), parts)

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say where the attention picks the same modality for every sample."""
        with torch.no_grad():
            picks = self(batch).aux["alpha"] >= 0.5
        if self.config.score != "picked" or 0 < int(picks.sum()) < len(picks):
            return []
        always, never = ("video", "audio") if bool(picks.all()) else ("audio", "video")
        return [f"the attention picks {always} for every sample: {never} is never scored"]

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)


def _embedding(inputs: int, hidden: int, c: CJMEConfig) -> nn.Sequential:
    return projection_map(inputs, hidden, c.proj, c.dropout, "linear").append(nn.ReLU())


def _surer(audio: Tensor, video: Tensor, classes: Tensor) -> Tensor:
    """Tau of every sample, `(batch,)`: 1 where video tells the classes apart more surely."""
    less_sure = _entropy(video.detach(), classes) - _entropy(audio.detach(), classes)
    unsure = torch.full_like(less_sure, 0.5)
    return unsure.masked_fill(less_sure > _SURER, 0.0).masked_fill(less_sure < -_SURER, 1.0)


def _entropy(x: Tensor, classes: Tensor) -> Tensor:
    """Of softmax over the classes of the products, in nats, `(batch,)`."""
    log_p = (x @ classes.T).log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


def build(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> CJME:
    """Make a CJME, which averages over time: the axis (`encode`, `steps`) does not change it."""
    given = {"audio_dim": audio_dim, "video_dim": video_dim, **options}
    sizes = ("hidden", "word_hidden", "proj")
    return CJME(resolve("cjme", CJMEConfig, PRESETS, given, shares=("dropout",), sizes=sizes))
