"""ClipClap: one output embedding on CLIP and CLAP features (Kurzendoerfer et al., CVPR-W 2024).

In: an `AVBatch`, averaged over its real steps, of CLIP pictures (512) and CLAP sound (1024), and
class vectors [CLIP text 512; CLAP text 1024]; out: theta_o in the 64-d space of theta_w. Nothing
spikes: the whole model runs on the host. ::

    o       = O_enc([v; a]),  u = W_enc(w)            one block each, to `embed`
    theta_o = O_proj(o), theta_w = W_proj(u)          and the losses, `aligned_heads`, with u for w

The class is the nearest theta_w to theta_o (Euclidean). u is a target of the reconstructions and is
trained by them too, as the public code has no stop of gradients there; a constant u would be the
easiest to reconstruct. `modality` leaves out a modality and its part of the class vectors, which
are told apart by `clip_words`: the first columns are CLIP's. `words` leaves out columns alone.

2,237,824 parameters. The features are read from files like any others; class vectors are a file of
1,536 columns. The three presets share their sizes and dropouts; `--protocol published` trains as
the public code (`recipes.toml`).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, LossTerms, Prepared
from neurozsl.models.baselines.aligned_heads import Aligned, AlignedHeads, summed
from neurozsl.models.blocks import LinearBlock, masked_mean
from neurozsl.models.options import check_known, check_rules

Part = Literal["both", "video", "audio"]


@dataclass(frozen=True)
class ClipClapConfig:
    """Everything that defines a ClipClap; the defaults are the public code's, on every set.

    modality: of the features and, with it, of the class vectors. words: columns of the class
    vectors with modality `both`: `both`, CLIP's (`video`) or CLAP's (`audio`).
    clip_words: how many of the first columns are CLIP's; not asked with both `both`.
    embed: width of o and u; hidden: inside O_proj and D_o.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 1536
    preset: Literal["ucf", "activitynet", "vggsound"] = "ucf"
    modality: Part = "both"
    words: Part = "both"
    clip_words: int = 512
    embed: int = 512
    hidden: int = 512
    proj: int = 64
    drop_enc: float = 0.1
    drop_dec: float = 0.1
    drop_word: float = 0.1

    @property
    def read_words(self) -> slice:
        """The columns of the class vectors that are read."""
        which = self.words if self.modality == "both" else self.modality
        if which == "both":
            return slice(0, self.word_dim)
        first, after = (0, self.clip_words) if which == "video" else (self.clip_words, None)
        return slice(first, self.word_dim if after is None else after)


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> ClipClapConfig:
    """Resolve the options.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    check_known("clipclap", ClipClapConfig, options)
    config = ClipClapConfig(audio_dim=audio_dim, video_dim=video_dim, **options)
    read = config.read_words
    rules = {
        f"words={config.words} beside modality={config.modality}, which decides the columns": (
            config.modality == "both" or config.words == "both"
        ),
        f"clip_words={config.clip_words} of {config.word_dim} columns leave none to read": (
            0 <= read.start < read.stop <= config.word_dim
        ),
    }
    for name in ("embed", "hidden", "proj"):
        rules[f"{name}={getattr(config, name)}, expected at least 1"] = getattr(config, name) >= 1
    for name in ("drop_enc", "drop_dec", "drop_word"):
        rate = getattr(config, name)
        rules[f"{name}={rate}, expected 0 to below 1"] = 0 <= rate < 1
    check_rules("clipclap", rules)
    return config


class ClipClap(Aligned):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name = "ClipClap"

    def __init__(self, config: ClipClapConfig) -> None:
        super().__init__()
        self.config = c = config
        read = c.read_words
        width = {"video": c.video_dim, "audio": c.audio_dim, "both": c.video_dim + c.audio_dim}
        self.encode_output = LinearBlock(width[c.modality], c.embed, c.drop_enc)
        self.encode_word = LinearBlock(read.stop - read.start, c.embed, c.drop_enc)
        self.aligned = AlignedHeads(
            c.embed,
            c.embed,
            hidden=c.hidden,
            proj=c.proj,
            drop_dec=c.drop_dec,
            drop_word=c.drop_word,
        )

    def prepare(self, batch: AVBatch) -> Prepared:
        """O of the features, averaged over their real steps; nothing goes to a chip."""
        streams = {"video": (batch.video,), "audio": (batch.audio,)}
        read = streams.get(self.config.modality, (batch.video, batch.audio))
        averaged = torch.cat([masked_mean(x, batch.mask) for x in read], 1)
        return Prepared(None, self.encode_output(averaged))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """theta_o."""
        return Embedding((self.aligned.project_output(context),), {})

    def embed_words(self, vectors: Tensor) -> Tensor:
        """theta_w: `(classes, words)` -> `(classes, proj)`."""
        words: Tensor = self.aligned.project_word(self._encoded(vectors))
        return words

    def _encoded(self, vectors: Tensor) -> Tensor:
        """u, `(classes, embed)`."""
        u: Tensor = self.encode_word(vectors[:, self.config.read_words])
        return u

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Ce + reg + rec_o + rec_w (`aligned_heads`); negatives are not used."""
        classes, place = self.trained(vectors), self.target(label)
        own, every = self._encoded(vectors[label]), self._encoded(classes)
        parts = self.aligned.loss_terms(output.heads[0], own, every, place)
        return LossTerms(summed(parts), parts)


def build(
    *, audio_dim: int, video_dim: int, encode: str = "", steps: int = 0, **options: Any
) -> ClipClap:
    """Make a ClipClap, which averages over time: `encode` and `steps` do not change it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    return ClipClap(configure(audio_dim=audio_dim, video_dim=video_dim, **options))
