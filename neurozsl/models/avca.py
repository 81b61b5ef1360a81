"""AVCA: audio-visual cross-attention for zero-shot learning (Mercea et al., CVPR 2022).

In: an `AVBatch`, averaged over its real steps; out: theta_a and theta_v in the 64-d space of the
projected class vectors theta_w. Nothing spikes: the whole model runs on the host. ::

    phi_a, phi_v = A_enc(audio), V_enc(video)                 two blocks each      (Eq. 1)
    att_a, att_v = CrossAttention(phi_a, phi_v)               `avca_attention`
    theta_m      = m_proj(att_m + phi_m),  m = a, v           two blocks each      (Eq. 2)
    theta_w      = W_proj(w)                                  one block
    rho_m        = D(theta_m),  m = a, v, w                   one block
    phi_m_rec    = m_rec(theta_m),  m = a, v                  one block

A block is Linear - BatchNorm - ReLU - Dropout, so every theta is >= 0. Losses: `avca_losses`. The
class is the nearest theta_w to theta_v (Eq. 3). At 512/512 features the model has 1,693,108
parameters, at 128/4096 (VGGish/C3D) 3,331,508, the 600 of the untrained position vectors included.

Where paper and public code differ, the default is the code and the paper is an option:
`attention=post_norm`. Which class vector belongs to which label is decided by the data reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca_attention import CrossAttention, Norm, PosEmb
from neurozsl.models.avca_losses import NAMES, Three, losses
from neurozsl.models.base import Combine, Embedding, LossTerms, Prepared
from neurozsl.models.blocks import Encoder, LinearBlock, masked_mean
from neurozsl.models.options import check_choices, check_known, one_of

Score = Literal["video", "audio", "both", "mean", "min"]
Preset = Literal[
    "ucf_main", "ucf_cls", "activitynet_main", "activitynet_cls", "vggsound_main", "vggsound_cls"
]


@dataclass(frozen=True)
class AVCAConfig:
    """Everything that defines an AVCA; the defaults are the public code on UCF, main split.

    Dropouts: `drop_enc` of encoders and attention, `drop_proj` of A_proj and V_proj, `drop_dec` of
    W_proj, D and the reconstructions (r_enc, r_proj, r_dec). `momentum` is that of the second
    BatchNorm of encoders and projections. `residual="single"` leaves out the phi that Eq. 2 adds to
    an attention output which already holds one.

    score: which embedding is compared with the classes. `both` adds the two distances (what the
    public evaluator calls "both" for a model with two outputs), `mean` halves the sum and `min`
    takes the nearer modality (paper, Table 5). `both` and `mean` rank alike at beta 0; beta weighs
    half as much in `both`.

    extra_passes: the public code runs A_proj and V_proj once more on the reconstructed phi, and
    the whole embedding once more per step, without using the results; both change the running
    statistics of BatchNorm, and with them the test scores.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "ucf_main"
    embed: int = 300
    hidden: int = 512
    proj: int = 64
    heads: int = 3
    head_width: int = 100
    mlp: int = 64
    drop_enc: float = 0.2
    drop_proj: float = 0.3
    drop_dec: float = 0.5
    momentum: float = 0.1
    attention: Norm = "pre_norm"
    pos_emb: PosEmb = "fixed"
    residual: Literal["double", "single"] = "double"
    extra_passes: bool = False
    score: Score = "video"
    margin: float = 1.0
    weight_t: float = 1.0  # of the losses, for the ablations of Table 6
    weight_rec: float = 1.0
    weight_ct: float = 1.0
    weight_w: float = 1.0
    weight_r: float = 1.0


# run_scripts of the public code. They train vggsound_main with batches of 64, the others of 256.
_ORDER = ("drop_enc", "drop_proj", "drop_dec", "momentum")
PRESETS: Mapping[str, tuple[float, float, float, float]] = {
    "ucf_main": (0.2, 0.3, 0.5, 0.1),
    "ucf_cls": (0.2, 0.3, 0.5, 0.99),
    "activitynet_main": (0.2, 0.2, 0.1, 0.99),
    "activitynet_cls": (0.2, 0.2, 0.1, 0.99),
    "vggsound_main": (0.0, 0.0, 0.1, 0.1),
    "vggsound_cls": (0.0, 0.0, 0.0, 0.99),
}
# score -> what is compared with the classes, and how two distances become one
_SCORES: Mapping[str, tuple[tuple[str, ...], Combine]] = {
    "video": (("theta_v",), "weighted"),
    "audio": (("theta_a",), "weighted"),
    "both": (("theta_a", "theta_v"), "sum"),
    "mean": (("theta_a", "theta_v"), "mean"),
    "min": (("theta_a", "theta_v"), "min"),
}
_DEAD = 0.9  # share of embedding channels that are 0 for every sample, above which we warn


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> AVCAConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    check_known("avca", AVCAConfig, options)
    one_of("avca", "preset", options.get("preset", "ucf_main"), PRESETS)
    preset = dict(zip(_ORDER, PRESETS[options.get("preset", "ucf_main")], strict=True))
    config = AVCAConfig(audio_dim=audio_dim, video_dim=video_dim, **{**preset, **options})
    check_choices("avca", config)
    for name in ("drop_enc", "drop_proj", "drop_dec"):
        if not 0 <= getattr(config, name) < 1:
            raise BadInput(f"model 'avca': {name}={getattr(config, name)}, expected 0 to below 1")
    if not 0 < config.momentum <= 1:
        raise BadInput(f"model 'avca': momentum={config.momentum}, expected above 0 up to 1")
    weights = [_weight(config, name) for name in NAMES]
    if min(weights) < 0 or max(weights) == 0:
        raise BadInput(
            f"model 'avca': loss weights {weights}, expected none below 0 and one above 0"
        )
    return config


def _weight(config: AVCAConfig, loss: str) -> float:
    return float(getattr(config, loss.replace("l_", "weight_")))


@dataclass(frozen=True)
class Encoded:
    """Averaged features and their encodings, `(batch, width)` each."""

    audio: Tensor
    video: Tensor
    phi_a: Tensor
    phi_v: Tensor


class AVCA(nn.Module):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    def __init__(self, config: AVCAConfig) -> None:
        super().__init__()
        self.config = c = config
        two = {"momentum": c.momentum}
        self.encode_audio = Encoder(c.audio_dim, c.hidden, c.embed, c.drop_enc, **two)
        self.encode_video = Encoder(c.video_dim, c.hidden, c.embed, c.drop_enc, **two)
        self.cross_attention = CrossAttention(
            c.embed,
            heads=c.heads,
            head_width=c.head_width,
            hidden=c.mlp,
            dropout=c.drop_enc,
            norm=c.attention,
            pos_emb=c.pos_emb,
        )
        self.project_audio = Encoder(c.embed, c.hidden, c.proj, c.drop_proj, **two)
        self.project_video = Encoder(c.embed, c.hidden, c.proj, c.drop_proj, **two)
        self.project_word = LinearBlock(c.word_dim, c.proj, c.drop_dec)
        self.decode = LinearBlock(c.proj, c.word_dim, c.drop_dec)
        self.reconstruct_audio = LinearBlock(c.proj, c.embed, c.drop_dec)
        self.reconstruct_video = LinearBlock(c.proj, c.embed, c.drop_dec)

    def calibrate(self, batch: AVBatch) -> None:
        """Nothing here depends on the training data but the weights."""

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say where ReLU left hardly any channel to tell classes apart."""
        with torch.no_grad():
            heads = self(batch).heads
        dead = float(torch.stack([(head == 0).all(0) for head in heads]).float().mean())
        if dead < _DEAD:
            return []
        return [
            f"{100 * dead:.0f} % of the embedding's channels are 0 for every sample (AVCA's "
            "outputs end in ReLU); lower the learning rate or the dropouts"
        ]

    def prepare(self, batch: AVBatch) -> Prepared:
        """Encode the features, averaged over their real steps; nothing goes to a chip."""
        audio = masked_mean(batch.audio, batch.mask)  # (batch, Da)
        video = masked_mean(batch.video, batch.mask)
        encoded = Encoded(audio, video, self.encode_audio(audio), self.encode_video(video))
        return Prepared(None, encoded)

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Attend and project; `aux` holds both embeddings and both encodings for the loss."""
        assert isinstance(context, Encoded)
        theta_a, theta_v = self._projected(context.phi_a, context.phi_v)
        aux = {
            "theta_a": theta_a,
            "theta_v": theta_v,
            "phi_a": context.phi_a,
            "phi_v": context.phi_v,
            "audio": context.audio,
            "video": context.video,
        }
        names, combine = _SCORES[self.config.score]
        return Embedding(tuple(aux[name] for name in names), aux, combine)

    def _projected(self, phi_a: Tensor, phi_v: Tensor) -> tuple[Tensor, Tensor]:
        """theta_a and theta_v of Eq. 2."""
        attended_a, attended_v = self.cross_attention(phi_a, phi_v)
        if self.config.residual == "double":
            attended_a, attended_v = attended_a + phi_a, attended_v + phi_v
        return self.project_audio(attended_a), self.project_video(attended_v)

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return self.finish(None, self.prepare(batch).context)

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
        """
        raw, aux = vectors[label], output.aux
        theta = Three(aux["theta_a"], aux["theta_v"], self.embed_words(raw))
        phi_rec = (self.reconstruct_audio(theta.audio), self.reconstruct_video(theta.video))
        parts = losses(
            theta,
            Three(*(self.decode(x) for x in theta)),
            (aux["phi_a"], aux["phi_v"]),
            phi_rec,
            raw,
            negative,
            margin=self.config.margin,
        )
        if self.training and self.config.extra_passes:
            self._extra_passes(aux, phi_rec, raw)
        weighted = [_weight(self.config, name) * value for name, value in parts.items()]
        return LossTerms(torch.stack(weighted).sum(), parts)

    def _extra_passes(
        self, aux: Mapping[str, Tensor], phi_rec: tuple[Tensor, Tensor], words: Tensor
    ) -> None:
        """Run what the public code runs without using it; only running statistics change.

        The code embeds the batch again after the optimiser's step, here it happens before it.
        """
        with torch.no_grad():
            self.project_audio(phi_rec[0])
            self.project_video(phi_rec[1])
            self._projected(self.encode_audio(aux["audio"]), self.encode_video(aux["video"]))
            self.embed_words(words)

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)


def build(
    *,
    audio_dim: int,
    video_dim: int,
    encode: str = "",
    steps: int = 0,
    **options: Any,
) -> AVCA:
    """Make an AVCA.

    `encode` and `steps` are what training says of every data set's time axis. AVCA averages over
    time, so neither changes it.
    """
    return AVCA(configure(audio_dim=audio_dim, video_dim=video_dim, **options))
