"""TCaF: temporal cross-attention for audio-visual zero-shot learning (Mercea et al., ECCV 2022).

In: an `AVBatch` with a time axis; out: theta_o in the 64-d space of the projected class vectors
theta_w. Nothing spikes: the whole model runs on the host. ::

    x_a, x_v = A_enc(a / 255), V_enc(v / ||v||)       two blocks per step; the norm is over time
    tokens   = x and the step's time in seconds       `tcaf_attention.TokenPositions`
    o        = cls of `depth` layers over [cls; audio; video], each modality reading the other
    theta_o  = O_proj(o), and the losses              `aligned_heads`

The class is the nearest theta_w to theta_o (Euclidean). A batch of the house has one time axis and
one mask for both modalities: the reader of temporal features puts two rates on one grid, and pads
to the longest sample of the batch. `theta_o` takes two lengths too. Features without time are
refused: over one step v / ||v|| is a row of signs.

Where the public code does what its authors would hardly have wanted, the default does not:

    test_positions=integers   steps of a test sample count 0, 1, 2, ... as if they were seconds;
                              the default is seconds in training and test
    norm_rows=all             padded rows are in the BatchNorm statistics of the encoders
    extra_passes=true         every step embeds its batch once more, in training mode and with
                              integer positions, for BatchNorm's running statistics alone

The presets are the six configurations of the public code; rate, schedule, sizes of training and the
three rules above are in `recipes.toml` and are had by `--protocol published`. ActivityNet's
sequences were of 60 s in training and 300 s in test, the others whole.

Parameters at the widths of their features (512/512 main, 128/4096 cls): 4,521,764, 8,848,308,
5,161,908, 7,269,972, 8,655,028, 7,269,972.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, LossTerms, Prepared
from neurozsl.models.baselines.aligned_heads import Aligned, AlignedHeads, summed
from neurozsl.models.baselines.tcaf_attention import CrossModalLayer, TokenPositions, readable
from neurozsl.models.blocks import Encoder
from neurozsl.models.options import check_known, check_rules

Preset = Literal[
    "ucf_main", "vggsound_main", "activitynet_main", "ucf_cls", "vggsound_cls", "activitynet_cls"
]


@dataclass(frozen=True)
class TCaFConfig:
    """Everything that defines a TCaF; the defaults are the public code's on UCF, main features.

    step_s: seconds that one step stands for; a data set says it itself.
    enc_hidden: inside the encoders; hidden: inside O_proj and D_o; width: of the tokens; feed:
        inside FF; positions: of the Fourier features, whose scale is `scale`.
    drop_enc, drop_pos, drop_attend, drop_dec, drop_word: dropouts of the encoders, the tokens, the
        layers, O_proj and D_o, W_proj and D_w.
    audio_divisor: of the audio features, whatever they are; the public code divides by 255.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "ucf_main"
    step_s: float = 1.0
    enc_hidden: int = 256
    width: int = 300
    depth: int = 5
    heads: int = 8
    head_width: int = 64
    feed: int = 128
    positions: int = 64
    scale: float = 10.0
    hidden: int = 512
    proj: int = 64
    drop_enc: float = 0.4
    drop_dec: float = 0.2
    drop_word: float = 0.1
    drop_attend: float = 0.3
    drop_pos: float = 0.2
    audio_divisor: float = 255.0
    test_positions: Literal["seconds", "integers"] = "seconds"
    norm_rows: Literal["real", "all"] = "real"
    extra_passes: bool = False


_ORDER = ("enc_hidden", "depth", "heads", "head_width")
_DROPS = ("drop_enc", "drop_dec", "drop_word", "drop_attend", "drop_pos")
PRESETS: Mapping[str, tuple[float, ...]] = {
    "ucf_main": (256, 5, 8, 64, 0.4, 0.2, 0.1, 0.3, 0.2),
    "vggsound_main": (128, 8, 6, 128, 0.2, 0.2, 0.2, 0.5, 0.2),
    "activitynet_main": (128, 8, 3, 128, 0.2, 0.1, 0.1, 0.3, 0.2),
    "ucf_cls": (512, 6, 8, 64, 0.3, 0.1, 0.1, 0.3, 0.2),
    "vggsound_cls": (512, 8, 8, 64, 0.2, 0.2, 0.1, 0.5, 0.1),
    "activitynet_cls": (512, 6, 8, 64, 0.3, 0.1, 0.1, 0.4, 0.2),
}


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> TCaFConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    check_known("tcaf", TCaFConfig, options)
    name = options.get("preset", "ucf_main")
    preset: dict[str, Any] = dict(zip(_ORDER + _DROPS, PRESETS[name], strict=True))
    config = TCaFConfig(audio_dim=audio_dim, video_dim=video_dim, **{**preset, **options})
    rules = {
        f"positions={config.positions}, expected an even number": config.positions % 2 == 0,
        f"step_s={config.step_s}, expected above 0": config.step_s > 0,
        f"audio_divisor={config.audio_divisor}, expected above 0": config.audio_divisor > 0,
    }
    for name in (f.name for f in fields(config) if f.type is int):
        rules[f"{name}={getattr(config, name)}, expected at least 1"] = getattr(config, name) >= 1
    for name in _DROPS:
        rate = getattr(config, name)
        rules[f"{name}={rate}, expected 0 to below 1"] = 0 <= rate < 1
    check_rules("tcaf", rules)
    return config


@dataclass(frozen=True)
class TimedFeatures:
    """One modality: features `(batch, T, D)` as they are stored, mask and times `(batch, T)`."""

    features: Tensor
    mask: Tensor
    times: Tensor

    def zeroed(self) -> Tensor:
        """The features with zeros where there is padding."""
        return self.features.masked_fill(~self.mask[..., None], 0.0)


def _timed(
    audio: Tensor, video: Tensor, mask: Tensor, times: Tensor
) -> tuple[TimedFeatures, TimedFeatures]:
    """Both modalities on one time axis."""
    return TimedFeatures(audio, mask, times), TimedFeatures(video, mask, times)


class TCaF(Aligned):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name = "TCaF"

    def __init__(self, config: TCaFConfig) -> None:
        super().__init__()
        self.config = c = config
        self.encode_audio = Encoder(c.audio_dim, c.enc_hidden, c.width, c.drop_enc)
        self.encode_video = Encoder(c.video_dim, c.enc_hidden, c.width, c.drop_enc)
        self.tokens = TokenPositions(
            c.width, positions=c.positions, scale=c.scale, dropout=c.drop_pos
        )
        self.cls = nn.Parameter(torch.randn(c.width))
        self.layers = nn.ModuleList(
            CrossModalLayer(
                c.width,
                heads=c.heads,
                head_width=c.head_width,
                hidden=c.feed,
                dropout=c.drop_attend,
            )
            for _ in range(c.depth)
        )
        self.aligned = AlignedHeads(
            c.width,
            c.word_dim,
            hidden=c.hidden,
            proj=c.proj,
            drop_dec=c.drop_dec,
            drop_word=c.drop_word,
        )

    def prepare(self, batch: AVBatch) -> Prepared:
        """Note the steps' times; nothing goes to a chip."""
        steps = batch.mask.shape[1]
        mask = batch.mask
        if batch.stop is not None:
            mask = mask & (torch.arange(steps, device=mask.device) < batch.stop)
        seconds = self.training or self.config.test_positions == "seconds"
        step = self.config.step_s if seconds else 1.0
        times = (torch.arange(steps, device=mask.device) * step).expand(mask.shape)
        return Prepared(None, _timed(batch.audio, batch.video, mask, times))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Embed; `aux` holds the inputs again where `extra_passes` needs them."""
        audio, video = context
        aux: dict[str, Tensor] = {}
        if self.training and self.config.extra_passes:
            # As numbers: processes put parts of a batch together of those alone.
            mask = audio.mask.to(audio.features.dtype)
            aux = {"audio": audio.features, "video": video.features, "mask": mask}
        return Embedding((self.theta_o(audio, video),), aux)

    def theta_o(self, audio: TimedFeatures, video: TimedFeatures) -> Tensor:
        """The output embedding `(batch, proj)` of two streams of any lengths and rates."""
        a = audio.zeroed() / self.config.audio_divisor
        v = functional.normalize(video.zeroed(), dim=1)  # per feature, over time
        every = self.config.norm_rows == "all"
        encoded_a = self.encode_audio(a, None if every else audio.mask)
        encoded_v = self.encode_video(v, None if every else video.mask)
        cls = self.cls.expand(len(a), 1, -1)
        heard = self.tokens(encoded_a, audio.mask, audio.times, video=False)
        shown = self.tokens(encoded_v, video.mask, video.times, video=True)
        x = torch.cat([cls, heard, shown], 1)  # (batch, 1 + Ta + Tv, width)
        may_read = readable(audio.mask, video.mask)
        for layer in self.layers:
            x = layer(x, may_read)
        theta: Tensor = self.aligned.project_output(x[:, 0])
        return theta

    def embed_words(self, vectors: Tensor) -> Tensor:
        """theta_w: `(classes, words)` -> `(classes, proj)`."""
        words: Tensor = self.aligned.project_word(vectors)
        return words

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Ce + reg + rec_o + rec_w (`aligned_heads`); negatives are not used."""
        own, classes, place = vectors[label], self.trained(vectors), self.target(label)
        parts = self.aligned.loss_terms(output.heads[0], own, classes, place)
        if self.training and self.config.extra_passes:
            self._extra_pass(output.aux, own)
        return LossTerms(summed(parts), parts)

    def _extra_pass(self, aux: Mapping[str, Tensor], own: Tensor) -> None:
        """Embed the batch again; the public code does so after the optimiser's step."""
        mask = aux["mask"] > 0
        times = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
        with torch.no_grad():
            self.theta_o(*_timed(aux["audio"], aux["video"], mask, times))
            self.embed_words(own)


def build(
    *,
    audio_dim: int,
    video_dim: int,
    encode: str = "sequence",
    steps: int = 0,
    step_s: float = 1.0,
    **options: Any,
) -> TCaF:
    """Make a TCaF, which reads sequences of any length: `steps` does not change it.

    Raises:
        BadInput: features without time, an option that does not exist or a value not allowed.
    """
    if encode == "repeat":
        raise BadInput(
            "model 'tcaf': the features have no time axis (1 step), TCaF normalises the picture's "
            "over time and needs several; load temporal features, or train avca"
        )
    return TCaF(configure(audio_dim=audio_dim, video_dim=video_dim, step_s=step_s, **options))
