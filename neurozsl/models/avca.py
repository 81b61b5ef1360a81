"""AVCA: audio-visual cross-attention for zero-shot learning (Mercea et al., CVPR 2022).

In: an `AVBatch`, averaged over its real steps; out: theta_a and theta_v in the 64-d space of the
projected class vectors theta_w. Nothing spikes: the whole model runs on the host. ::

    phi_a, phi_v = A_enc(audio), V_enc(video)                 two blocks each      (Eq. 1)
    att_a, att_v = CrossAttention(phi_a, phi_v)               `avca_attention`
    theta_m      = m_proj(att_m + phi_m),  m = a, v           two blocks each      (Eq. 2)
    theta_w      = W_proj(w)                                  one block
    rho_m        = D(theta_m),  m = a, v, w                   one block
    phi_m_rec    = m_rec(theta_m),  m = a, v                  one block

Parts of it are left out for the ablations of the paper: `inputs`, `cross` (`avca_config`).

A block is Linear - BatchNorm - ReLU - Dropout, so every theta is >= 0. Losses: `avca_losses`. The
class is the nearest theta_w to theta_v (Eq. 3). At 512/512 features the model has 1,693,108
parameters, at 128/4096 (VGGish/C3D) 3,331,508, the 600 of the untrained position vectors included.

Where paper and public code differ, the default is the code and the paper is an option:
`attention=post_norm`. Which class vector belongs to which label is decided by the data reader.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca_attention import CrossAttention
from neurozsl.models.avca_config import PRESETS as PRESETS
from neurozsl.models.avca_config import AVCAConfig as AVCAConfig
from neurozsl.models.avca_config import configure, loss_weight
from neurozsl.models.avca_isolated import Isolated
from neurozsl.models.avca_losses import Three, losses
from neurozsl.models.base import Combine, Embedding, LossTerms, Prepared, embed
from neurozsl.models.blocks import Encoder, LinearBlock, masked_mean
from neurozsl.models.dead_channels import dead_channels
from neurozsl.models.passes import InPasses

# score -> what is compared with the classes, and how two distances become one
_SCORES: Mapping[str, tuple[tuple[str, ...], Combine]] = {
    "video": (("theta_v",), "weighted"),
    "audio": (("theta_a",), "weighted"),
    "both": (("theta_a", "theta_v"), "sum"),
    "mean": (("theta_a", "theta_v"), "mean"),
    "min": (("theta_a", "theta_v"), "min"),
}


@dataclass(frozen=True)
class Encoded:
    """Averaged features and their encodings, `(batch, width)` each; 0 wide where left out."""

    audio: Tensor
    video: Tensor
    phi_a: Tensor
    phi_v: Tensor


class NoPart(nn.Module):
    """Where an option leaves a part out: rows of width 0."""

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, any)` -> `(batch, 0)`."""
        return x[:, :0]


Part = TypeVar("Part", bound=nn.Module)


def _kept(there: bool, part: Part) -> Part:
    """The part, or what stands for it. Made in either case, so that the others are drawn alike."""
    return part if there else cast(Part, NoPart())


class AVCA(InPasses, nn.Module):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name: ClassVar[str] = "avca"
    config: AVCAConfig

    def __init__(self, config: AVCAConfig) -> None:
        super().__init__()
        self.config = c = config
        self.passes = c.passes
        two = {"momentum": c.momentum}
        audio, video = ("audio" in c.branches), ("video" in c.branches)
        hear = Encoder(c.audio_dim, c.hidden, c.embed, c.drop_enc, **two)
        see = Encoder(c.video_dim, c.hidden, c.embed, c.drop_enc, **two)
        self.encode_audio = _kept("audio" in c.inputs, hear)
        self.encode_video = _kept("video" in c.inputs, see)
        attention = CrossAttention(
            c.embed,
            heads=c.heads,
            head_width=c.head_width,
            hidden=c.mlp,
            dropout=c.drop_enc,
            norm=c.attention,
            pos_emb=c.pos_emb,
        )
        self.cross_attention = _kept(c.crosses, attention)
        self.project_audio = _kept(audio, Encoder(c.embed, c.hidden, c.proj, c.drop_proj, **two))
        self.project_video = _kept(video, Encoder(c.embed, c.hidden, c.proj, c.drop_proj, **two))
        self.project_word = LinearBlock(c.word_dim, c.proj, c.drop_dec)
        self.decode = LinearBlock(c.proj, c.word_dim, c.drop_dec)
        self.reconstruct_audio = _kept(audio, LinearBlock(c.proj, c.embed, c.drop_dec))
        self.reconstruct_video = _kept(video, LinearBlock(c.proj, c.embed, c.drop_dec))

    def calibrate(self, batch: AVBatch) -> None:
        """Nothing here depends on the training data but the weights."""

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say where ReLU left hardly any channel to tell classes apart."""
        with torch.no_grad():
            return dead_channels("AVCA", self(batch).heads)

    def prepare(self, batch: AVBatch) -> Prepared:
        """Encode the features, averaged over their real steps; nothing goes to a chip."""
        audio = masked_mean(batch.audio, batch.mask)  # (batch, Da)
        video = masked_mean(batch.video, batch.mask)
        return Prepared(None, self._encoded(audio, video))

    def _encoded(self, audio: Tensor, video: Tensor) -> Encoded:
        phi_a = self.through(self.encode_audio, audio)
        return Encoded(audio, video, phi_a, self.through(self.encode_video, video))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Attend and project; `aux` holds both embeddings and both encodings for the loss."""
        assert isinstance(context, Encoded)
        attended_a, attended_v = self._attended(context.phi_a, context.phi_v)
        theta_a = self.through(self.project_audio, attended_a)
        theta_v = self.through(self.project_video, attended_v)
        aux = {"theta_a": theta_a, "theta_v": theta_v, **vars(context)}
        names, combine = _SCORES[self.config.score]
        return Embedding(tuple(aux[name] for name in names), aux, combine)

    def _attended(self, phi_a: Tensor, phi_v: Tensor) -> tuple[Tensor, Tensor]:
        """What Eq. 2 projects to theta_a and theta_v; phi alone where nothing is attended to."""
        if not self.config.crosses:
            return phi_a, phi_v
        attended_a, attended_v = self.cross_attention(phi_a, phi_v)
        if self.config.residual == "double":
            attended_a, attended_v = attended_a + phi_a, attended_v + phi_v
        return attended_a, attended_v

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return embed(self, batch)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """theta_w: `(classes, 300)` -> `(classes, proj)`."""
        words: Tensor = self.project_word(vectors)
        return words

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """l_t + l_rec + l_ct + l_w + l_r (Eq. 4), weighted; `vectors` are all classes' `(C, 300)`.

        W_proj sees one class vector per sample, so that its BatchNorm weighs classes as they are
        drawn; that is also what the public code does.

        Raises:
            BadInput: with passes=apart, the halves of the batch are not samples and negatives.
        """
        raw, aux = vectors[label], output.aux
        rows = len(self.pairs(negative)[0])  # those behind them are negatives alone
        theta = Three(aux["theta_a"], aux["theta_v"], self.through(self.project_word, raw))
        own = {name: value[:rows] for name, value in aux.items()}
        phi_rec = (
            self.reconstruct_audio(theta.audio[:rows]),
            self.reconstruct_video(theta.video[:rows]),
        )
        parts = losses(
            theta,
            Three(*(self.through(self.decode, x) if x.shape[1] else x for x in theta)),
            (own["phi_a"], own["phi_v"]),
            phi_rec,
            raw[:rows],
            negative[:rows],
            margin=self.config.margin,
            branches=self.config.branches,
        )
        if self.training and self.config.extra_passes:
            self._extra_passes(own, phi_rec, raw[:rows])
        weighted = [loss_weight(self.config, name) * value for name, value in parts.items()]
        return LossTerms(torch.stack(weighted).sum(), parts)

    def _encoded_again(self, aux: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """phi_a and phi_v of the samples of `aux` once more."""
        return self.encode_audio(aux["audio"]), self.encode_video(aux["video"])

    def _extra_passes(
        self, aux: Mapping[str, Tensor], phi_rec: tuple[Tensor, Tensor], words: Tensor
    ) -> None:
        """Run what the public code runs without using it; only running statistics change.

        The code embeds the batch again after the optimiser's step, here it happens before it.
        """
        with torch.no_grad():
            self.project_audio(phi_rec[0])
            self.project_video(phi_rec[1])
            attended_a, attended_v = self._attended(*self._encoded_again(aux))
            self.project_audio(attended_a)
            self.project_video(attended_v)
            self.embed_words(words)

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)


def build(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> AVCA | Isolated:
    """Make an AVCA, which averages over time: the axis (`encode`, `steps`) does not change it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    config = configure(audio_dim=audio_dim, video_dim=video_dim, **options)
    if config.cross == "none":
        return Isolated(config, *(AVCA(config.alone(name)) for name in config.branches))
    return AVCA(config)
