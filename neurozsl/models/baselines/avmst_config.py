"""Options of AVMST: AVCA's and those of its spiking branch.

The public code (ICME23_AVMST, commit abcc5cd) as a whole is `order=public`, `train_branch=false`,
`passes=apart` and `extra_passes=true`; `--protocol published` trains it as AVCA was, a guess.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.models.avca_config import AVCAConfig, resolve
from neurozsl.models.neurons import NeuronConfig, Surrogate
from neurozsl.models.options import check_rules, one_of
from neurozsl.models.profiles import SPECK_CHANNELS, SPECK_LARGEST_CORE

NAME = "avmst"


@dataclass(frozen=True)
class AVMSTConfig(AVCAConfig):
    """Options beside AVCA's; the defaults can be deployed.

    Attributes:
        steps: T, how often the branch is shown the averaged features.
        spiking_hidden: neurons of each pathway's first layer; the second has `embed`.
        order: `clean`: each modality has its own neurons, at rest when a sample begins. `public`:
            see `carried`; it cannot be exported, and reads the features without a code.
        train_branch: the public code leaves the branch as it was drawn.
        fires: at a membrane that has `reached` theta (u >= theta, the public code), or one `above`
            it (the rule of every simulator here). `reached` is `above` the float32 number next
            below theta, the same spikes in float32, and in float64 unless u lies between the two.
        theta, surrogate, slope: of the neurons. tanh of slope 2 has the derivative 4 s (1 - s) with
            s = sigmoid(4 (u - theta)), which is the public code's.
        norm: a BatchNorm in front of the neurons, folded at export; it adds 2 parameters a neuron.
        video_token: which of its two tokens the visual path goes on with: the `gated` one, as in
            the public code, or the `plain` one, as the audio path does.
        input_code, input_bits, input_levels: how the features are coded (`models.coding`); level
            and rate, one bit a channel, see what is above 0 alone.
        dt_s: a step of the chip in seconds.
        motion_profile: `speck` sets the sizes and code that fit its cores, under what is given.
    """

    steps: int = 10
    spiking_hidden: int = 512
    order: Literal["clean", "public"] = "clean"
    train_branch: bool = True
    fires: Literal["reached", "above"] = "reached"
    theta: float = 1.0
    surrogate: Surrogate = "tanh"
    slope: float = 2.0
    norm: bool = False
    video_token: Literal["gated", "plain"] = "gated"
    input_code: Literal["graded", "level", "rate"] = "graded"
    input_bits: int = 4
    input_levels: int = 2
    dt_s: float = 1e-3
    motion_profile: str = ""

    @property
    def widths(self) -> dict[str, int]:
        """Of the features of each modality."""
        return {"audio": self.audio_dim, "video": self.video_dim}

    @property
    def neurons(self) -> NeuronConfig:
        """Integrators that spike strictly above the threshold that `fires` asks for."""
        theta = self.theta
        if self.fires == "reached":
            theta = float(np.nextafter(np.float32(theta), np.float32(0)))
        return NeuronConfig("if", theta=theta, surrogate=self.surrogate, slope=self.slope)


def _speck(audio_dim: int, video_dim: int) -> dict[str, Any]:
    """Sizes that fit Speck's nine cores: both first layers on the two largest, binary inputs."""
    widest = max(audio_dim, video_dim)
    if widest > SPECK_CHANNELS:
        raise BadInput(
            f"model '{NAME}': motion profile 'speck': {widest} features, a Speck layer takes "
            f"{SPECK_CHANNELS} channels; reduce the features on the host before training"
        )
    levels = 2 if 2 * widest <= 512 else 1
    return {
        "input_code": "rate",
        "input_levels": levels,
        "spiking_hidden": 2 ** min(7, int(math.log2(SPECK_LARGEST_CORE // (levels * widest)))),
        "embed": 64,
    }


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> AVMSTConfig:
    """Resolve preset and motion profile, and the options on top of them.

    Raises:
        BadInput: an option does not exist, has a value that is not allowed, or contradicts another.
    """
    profile: Mapping[str, Any] = {}
    if chosen := options.get("motion_profile", ""):
        one_of(NAME, "motion_profile", chosen, ("speck",))
        profile = _speck(audio_dim, video_dim)
    c = resolve(NAME, AVMSTConfig, audio_dim, video_dim, {**profile, **options})
    rules = {
        f"order=public runs audio and video through the same neurons, features are {audio_dim} and "
        f"{video_dim} wide; use order=clean": c.order == "clean" or audio_dim == video_dim,
        "order=public has no BatchNorm; use norm=false": c.order == "clean" or not c.norm,
        f"steps={c.steps}, spiking_hidden={c.spiking_hidden}: at least 1 each": (
            min(c.steps, c.spiking_hidden) >= 1
        ),
        f"theta={c.theta}, expected a threshold above 0": c.theta > 0,
        f"input_bits={c.input_bits}, expected 2..16": 2 <= c.input_bits <= 16,
        f"input_levels={c.input_levels}, expected 1..16": 1 <= c.input_levels <= 16,
    }
    check_rules(NAME, rules)
    return c
