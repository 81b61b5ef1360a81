"""Options of AVCA, its presets by data set and split, and those of models that build on it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeVar

from neurozsl.core.errors import BadInput
from neurozsl.models.avca_attention import Norm, PosEmb
from neurozsl.models.avca_losses import BRANCHES, NAMES, Modality
from neurozsl.models.options import check_known, check_rules, check_weights
from neurozsl.models.passes import Passes

Score = Literal["video", "audio", "both", "mean", "min"]
Cross = Literal["both", "video", "audio", "none"]
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

    inputs: modalities that the model is trained with (paper, Table 3). With one, "we remove the
    cross-modal attention block and train each unimodal branch in isolation": of Eq. 2 projection
    of phi is left, phi_att having gone, and of the losses the terms of that branch
    (`avca_losses`). The other modality is not read.

    cross: branches that go on from the cross attention (paper, Table 4). `video`: "removing A_rec
    and A_proj along with their associated losses", the audio is encoded and attended to, no more;
    `audio` the other way round. `none`: "each branch is optimised individually", two models of one
    input whose distances are averaged (`avca_isolated`). The public code has no such option.

    What is left out leaves the first weights of the rest as they are drawn without it.

    extra_passes: the public code runs A_proj and V_proj once more on the reconstructed phi, and
    the whole embedding once more per step, without using the results; both change the running
    statistics of BatchNorm, and with them the test scores.

    passes: `joint` passes a batch at once, and every row is a sample. `apart` is the public code:
    negatives pass by themselves, and the loss is that of their samples (`models.passes`).
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
    inputs: tuple[Modality, ...] = BRANCHES
    cross: Cross = "both"
    extra_passes: bool = False
    passes: Passes = "joint"
    score: Score = "video"
    margin: float = 1.0
    weight_t: float = 1.0  # of the losses, for the ablations of Table 6
    weight_rec: float = 1.0
    weight_ct: float = 1.0
    weight_w: float = 1.0
    weight_r: float = 1.0

    @property
    def crosses(self) -> bool:
        """Whether there is a cross attention."""
        return len(self.inputs) == 2 and self.cross != "none"

    @property
    def branches(self) -> tuple[Modality, ...]:
        """Modalities that are projected to a theta of their own, with losses; audio first."""
        kept = (self.cross,) if self.cross in BRANCHES else self.inputs
        return tuple(name for name in BRANCHES if name in kept)

    def alone(self, modality: Modality) -> Self:
        """Of this one branch in isolation."""
        return replace(self, inputs=(modality,), cross="both", score=modality)


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


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> AVCAConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    return resolve("avca", AVCAConfig, audio_dim, video_dim, options)


def _check_branches(model: str, c: AVCAConfig) -> None:
    """Refuse what is left of the model where it cannot be trained or scored."""
    asked = {c.score} if c.score in BRANCHES else set(BRANCHES)
    only, left = c.branches[0], f"inputs={list(c.inputs)}, cross={c.cross}"
    rules = {
        f"{left}: only avca itself leaves parts of it out": (
            model == "avca" or (c.crosses and len(c.branches) == 2)
        ),
        f"{left}: one modality leaves nothing to cross; leave cross out": (
            len(c.inputs) == 2 or c.cross == "both"
        ),
        f"score={c.score} with {left}, which has no embedding but that of {only}; use "
        f"score={only}": asked <= set(c.branches),
        f"score={c.score} with cross=none, whose branches have class embeddings of their own; use "
        f"score=mean, or train one by inputs=[{c.score!r}]": (
            c.cross != "none" or c.score == "mean"
        ),
    }
    check_rules(model, rules)


Config = TypeVar("Config", bound=AVCAConfig)


def resolve(
    model: str, kind: type[Config], audio_dim: int, video_dim: int, options: Mapping[str, Any]
) -> Config:
    """The configuration of `model`, which is an AVCA with further options; see `configure`."""
    check_known(model, kind, options)
    name = options.get("preset", "ucf_main")
    preset = dict(zip(_ORDER, PRESETS[name], strict=True))
    config = kind(audio_dim=audio_dim, video_dim=video_dim, **{**preset, **options})
    config = replace(config, inputs=tuple(config.inputs))
    if not 0 < len(set(config.inputs)) == len(config.inputs):
        named = list(config.inputs)
        raise BadInput(f"model '{model}': inputs={named}, expected audio, video or both, each once")
    for name in ("drop_enc", "drop_proj", "drop_dec"):
        if not 0 <= getattr(config, name) < 1:
            raise BadInput(
                f"model '{model}': {name}={getattr(config, name)}, expected 0 to below 1"
            )
    if not 0 < config.momentum <= 1:
        raise BadInput(f"model '{model}': momentum={config.momentum}, expected above 0 up to 1")
    _check_branches(model, config)
    check_weights(model, [loss_weight(config, name) for name in NAMES])
    return config


def loss_weight(config: AVCAConfig, loss: str) -> float:
    """Of the loss of this name, one of `avca_losses.NAMES`."""
    return float(getattr(config, loss.replace("l_", "weight_")))
