"""AVGZSLNet: audio, video and class vector in one space (Mazumder et al., WACV 2021).

In: audio and video, averaged over the real steps; out: a and v in the 64-d space of t, the embedded
class vectors; the class has the smallest sum of the two distances. As the public code of the
benchmark has it (ExplainableML/AVCA-GZSL, 2711aeb; the authors' own trains by SGD on other data)::

    a, v = f_a(audio), f_v(video);  t = f_t(w)      Linear - BN - ReLU - Dropout - Linear each
    rho_m = g(m) / ||g(m)||,  m = a, v, t           one decoder of the same form for all three

    l_rec = d(rho_t, w) + d(rho_a, w) + d(rho_v, w)             d: mean Euclidean distance
    l_cta = t(rho_t, rho_a, rho_a-)    l_ctv = t(rho_t, rho_v, rho_v-)
    l_ta  = t(t, a, a-)  l_at = t(a, t, t-)  l_tv = t(t, v, v-)  l_vt = t(v, t, t-)

t(anchor, positive, negative) is torch's triplet loss with margin 1, a minus marks a sample of
another class; the loss is the plain sum. `passes` says how negatives are embedded
(`models.passes`): the public code's `apart` needs the rule `negatives=drawn`, so the default is
`joint`. At 512/512 features the model has 1,319,872 parameters, at 128/4096 4,596,672.

The public evaluator takes the mean of the betas that are best for audio, for video and for both;
here beta is that of what is scored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, triplet_margin_loss

from neurozsl.core.signals import Trace
from neurozsl.models.avca_losses import Three
from neurozsl.models.base import Combine, Embedding, LossTerms
from neurozsl.models.baselines.averaged import Averaged, AveragedFeatures, Preset, resolve
from neurozsl.models.blocks import projection_map
from neurozsl.models.passes import InPasses, Passes

Score = Literal["both", "mean", "min", "audio", "video"]

# run_scripts of the public code leave all to its defaults, the same for every data set.
_SAME = {"drop_embed": 0.8, "drop_decode": 0.5}
PRESETS: Mapping[str, Mapping[str, Any]] = dict.fromkeys(
    (
        *("ucf_main", "ucf_cls", "activitynet_main", "activitynet_cls"),
        *("vggsound_main", "vggsound_cls"),
    ),
    _SAME,
)
# score -> what is compared with the classes, and how two distances become one
_SCORES: Mapping[str, tuple[tuple[str, ...], Combine]] = {
    "both": (("audio", "video"), "sum"),
    "mean": (("audio", "video"), "mean"),
    "min": (("audio", "video"), "min"),
    "audio": (("audio",), "weighted"),
    "video": (("video",), "weighted"),
}


@dataclass(frozen=True)
class AVGZSLNetConfig:
    """Everything that defines an AVGZSLNet; the defaults are the public code's on every data set.

    hidden, word_hidden, decode_hidden: widths inside f_a and f_v, f_t, g. drop_embed, drop_decode:
    dropouts of f and of g. score: which distance to the classes; `both` adds the two, `mean` halves
    the sum, `min` takes the nearer modality.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "ucf_main"
    hidden: int = 1024
    word_hidden: int = 300
    decode_hidden: int = 64
    proj: int = 64
    drop_embed: float = 0.8
    drop_decode: float = 0.5
    margin: float = 1.0
    passes: Passes = "joint"
    score: Score = "both"


class AVGZSLNet(InPasses, Averaged):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name: ClassVar[str] = "avgzslnet"

    def __init__(self, config: AVGZSLNetConfig) -> None:
        super().__init__()
        self.config = c = config
        self.passes = c.passes
        self.embed_audio = projection_map(c.audio_dim, c.hidden, c.proj, c.drop_embed, "linear")
        self.embed_video = projection_map(c.video_dim, c.hidden, c.proj, c.drop_embed, "linear")
        self.embed_word = projection_map(c.word_dim, c.word_hidden, c.proj, c.drop_embed, "linear")
        self.decode = projection_map(c.proj, c.decode_hidden, c.word_dim, c.drop_decode, "linear")

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Embed both modalities; `aux` holds them for the loss."""
        assert isinstance(context, AveragedFeatures)
        aux = {
            "audio": self.through(self.embed_audio, context.audio),  # (batch, proj)
            "video": self.through(self.embed_video, context.video),
        }
        names, combine = _SCORES[self.config.score]
        return Embedding(tuple(aux[name] for name in names), aux, combine)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """f_t: `(classes, words)` -> `(classes, proj)`."""
        words: Tensor = self.embed_word(vectors)
        return words

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """The seven terms and their sum; f_t sees one class vector per sample."""
        sample, other = self.pairs(negative)
        raw = vectors[label]
        every = Three(output.aux["audio"], output.aux["video"], self.through(self.embed_words, raw))
        here, there = every.of(sample), every.of(other)
        rho = Three(*(self._decoded(x) for x in here))
        if self.apart:  # the public code decodes negatives too, in passes of their own
            rho_a, rho_v = self._decoded(there.audio), self._decoded(there.video)
        else:
            rho_a, rho_v = rho.audio[other], rho.video[other]
        own = raw[sample]

        def t(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
            return triplet_margin_loss(anchor, positive, negative, margin=self.config.margin)

        parts = {
            "l_rec": torch.stack([(x - own).norm(dim=1).mean() for x in rho]).sum(),
            "l_cta": t(rho.word, rho.audio, rho_a),
            "l_ctv": t(rho.word, rho.video, rho_v),
            "l_ta": t(here.word, here.audio, there.audio),
            "l_at": t(here.audio, here.word, there.word),
            "l_tv": t(here.word, here.video, there.video),
            "l_vt": t(here.video, here.word, there.word),
        }
        return LossTerms(torch.stack(list(parts.values())).sum(), parts)

    def _decoded(self, x: Tensor) -> Tensor:
        """Rho, of length 1."""
        return normalize(self.decode(x), dim=1)

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)


def build(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> AVGZSLNet:
    """Make one, which averages over time: the axis (`encode`, `steps`) does not change it."""
    given = {"audio_dim": audio_dim, "video_dim": video_dim, **options}
    shares = ("drop_embed", "drop_decode")
    sizes = ("hidden", "word_hidden", "decode_hidden", "proj")
    return AVGZSLNet(
        resolve("avgzslnet", AVGZSLNetConfig, PRESETS, given, shares=shares, sizes=sizes)
    )
