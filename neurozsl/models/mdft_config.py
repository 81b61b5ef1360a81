"""What defines an MDFT: its options, the preset of the paper, and which options go together.

In: a preset, a motion profile, an ablation and the user's options, each over the one before. Out:
an `MDFTConfig`, or an error that names the option, its value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from neurozsl.core.errors import BadInput
from neurozsl.models.branch_config import BranchConfig, Modality, Preset
from neurozsl.models.crm import Gate
from neurozsl.models.mdft_ablations import ablation_options
from neurozsl.models.options import check_choices, check_known, one_of
from neurozsl.models.profiles import profile_options
from neurozsl.models.threshold import ThresholdMode


@dataclass(frozen=True)
class MDFTConfig(BranchConfig):
    """Everything that defines an MDFT; the defaults are the preset `deploy`.

    `motion_widths` are those of the three spiking layers. `ablation` names a row of
    `mdft_ablations`, "" for none. `inputs` are the modalities that the whole model sees: with one,
    it stands in wherever the paper joins two. `audio_bits` are those of every graded code.
    `motion_profile` names the options of a chip's motion branch (`models.profiles`), "" for none.
    `literal`: Eq. 3 as printed, without the sigmoid.
    """

    motion_profile: str = ""
    ablation: str = ""
    slots: int = 4
    weight_n: float = 1.0  # of L_n, L_p and L_r, for both heads
    weight_p: float = 1.0
    weight_r: float = 1.0
    inputs: tuple[Modality, ...] = ("audio", "video")
    egm: bool = True
    rjlu: bool = True
    crm: bool = True
    gate: Gate = "tokens"
    motion_widths: tuple[int, ...] = (256, 128, 64)
    threshold: ThresholdMode = "fixed"
    events: Literal["feature", "pixel"] = "feature"
    event_threshold: float = 0.2
    event_log: bool = False
    dab: Literal["elementwise", "norm"] = "elementwise"
    audio_bits: int = 4
    audio_code: Literal["graded", "level", "rate"] = "graded"
    audio_levels: int = 2  # channels per feature of the codes level and rate
    video_code: Literal["ternary", "on_off"] = "ternary"


# Section 4.2 and 3 of the paper, and the readings where it is silent (E, T, C, surrogate).
PAPER: dict[str, Any] = {
    "preset": "paper",
    "embed": 512,
    "hidden": 512,
    "heads": 8,
    "head_width": 64,
    "drop_enc": 0.25,
    "drop_dec": 0.20,
    "drop_word": 0.1,
    "output": "relu",
    "gate": "sigmoid",
    "motion_head": False,
    "motion_widths": (512, 512, 512),
    "norm": False,
    "threshold": "dynamic",
    "event_log": True,
}


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> MDFTConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    return resolve("mdft", MDFTConfig, PAPER, audio_dim, video_dim, options)


Config = TypeVar("Config", bound=MDFTConfig)


def resolve(
    model: str,
    kind: type[Config],
    paper: Mapping[str, Any],
    audio_dim: int,
    video_dim: int,
    options: Mapping[str, Any],
) -> Config:
    """The configuration of `model`, whose preset `paper` is given; see `configure`."""
    check_known(model, kind, options)
    preset = options.get("preset", "deploy")
    one_of(model, "preset", preset, get_args(Preset))
    profile = profile_options(options.get("motion_profile", ""), audio_dim, video_dim)
    ablated = ablation_options(options.get("ablation", ""), options)
    values = {**(paper if preset == "paper" else {}), **profile, **ablated, **options}
    if "motion_widths" in values:
        values["motion_widths"] = tuple(int(w) for w in values["motion_widths"])
    for key in ("inputs", "motion_inputs"):
        if key in values:
            values[key] = _modalities(model, key, values[key])
    config = kind(audio_dim=audio_dim, video_dim=video_dim, **values)
    heard = tuple(name for name in config.motion_inputs if name in config.inputs)
    if not heard:
        raise BadInput(
            f"model '{model}': motion_inputs={list(config.motion_inputs)} holds nothing of inputs="
            f"{list(config.inputs)}; use motion=false to ablate motion"
        )
    config = replace(config, motion_inputs=heard)
    check_choices(model, config)
    if not config.egm and (config.events != "feature" or config.video_code != "ternary"):
        raise BadInput(
            f"model '{model}': egm=false makes no events, events={config.events} and video_code="
            f"{config.video_code} code them; leave these options (or the motion profile) out"
        )
    weights = (config.weight_n, config.weight_p, config.weight_r)
    if min(weights) < 0 or max(weights) == 0:
        raise BadInput(
            f"model '{model}': loss weights {weights}, expected none below 0 and one above 0"
        )
    if config.theta <= 0:
        raise BadInput(f"model '{model}': theta={config.theta}, expected a threshold above 0")
    if not 1 <= config.audio_levels <= 16:
        raise BadInput(f"model '{model}': audio_levels={config.audio_levels}, expected 1..16")
    if config.threshold != "fixed" and not (config.rjlu and config.motion):
        raise BadInput(
            f"model '{model}': threshold={config.threshold} needs the RJLU's joint features and "
            "the motion branch (Eq. 7); switch both on or use threshold=fixed"
        )
    if not 0 < config.decay_u12 < 4096:
        raise BadInput(
            f"model '{model}': decay_u12={config.decay_u12}, expected 1..4095 (a 12-bit decay)"
        )
    if config.embed % config.slots:
        raise BadInput(
            f"model '{model}': embed={config.embed} is not a multiple of slots={config.slots}"
        )
    return config


def _modalities(model: str, name: str, values: Any) -> tuple[Modality, ...]:
    """The listed modalities, each once."""
    if isinstance(values, str) or not values or len(set(values)) != len(values):
        raise BadInput(
            f"model '{model}': {name}={values!r}, expected a list of audio, video or both"
        )
    for value in values:
        one_of(model, name, value, ("audio", "video"))
    return tuple(values)
