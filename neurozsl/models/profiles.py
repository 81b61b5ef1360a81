"""Motion profiles: what a chip asks of the motion branch, as model options.

`--motion-profile NAME` puts these options under those that the user sets. A profile is a function
of the feature widths, because a chip's memory bounds the product of inputs and outputs; one line
of `PROFILES` each.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.models.event_codes import EVENT_ENCODERS

# Speck 2f (sinabs 3.1.3, DYNAP-CNN constraints): kernel words of the two largest of its nine cores
# and channels of a layer. A test compares them with the chip's file.
SPECK_LARGEST_CORE = 65536
SPECK_CHANNELS = 1024
_SECOND, _OUTPUTS = 128, 64  # 128 x 128 fills a small core; 64 are read per modality


def speck(audio_dim: int, video_dim: int, audio_code: str) -> dict[str, Any]:
    """Integrate-and-fire layers, binary inputs and widths that fit Speck's nine cores.

    Speck has no leak, no sign and no payload: ON/OFF channels double the ternary visual events, and
    audio goes through a spike code of one or two channels a feature; its events (change, delta)
    through ON and OFF as well. ON and OFF have weights of their own; signed events W (ON - OFF) did
    worse (HM 27 against 45, one seed, synthetic set): without a leak they add up to the change
    since the start.

    A dense layer of c inputs and f outputs takes c 2^ceil(log2 f) kernel words. Both first layers
    get one of the two largest cores (512 x 128, or 1024 x 64), the four others (128 x 128, 128 x 64
    or smaller) one of the small ones. Convolutions on pixel events (`motion_encoder=conv`) take
    2^8, 2^11 and 2^14 words, so that all of the visual pathway lies on small cores.

    Raises:
        BadInput: more features than input channels of a layer.
    """
    events = audio_code in EVENT_ENCODERS
    channels_heard = 2 * audio_dim if events else audio_dim
    for name, channels in (("audio", channels_heard), ("visual (ON and OFF)", 2 * video_dim)):
        if channels > SPECK_CHANNELS:
            raise BadInput(
                f"motion profile 'speck': {channels} {name} channels, a Speck layer takes "
                f"{SPECK_CHANNELS}; reduce the features on the host before training"
            )
    levels = 2 if 2 * audio_dim <= 512 else 1
    inputs = max(channels_heard if events else levels * audio_dim, 2 * video_dim)
    first = 2 ** min(7, int(math.log2(SPECK_LARGEST_CORE // inputs)))
    return {
        "neuron": "if",
        "motion_widths": (first, _SECOND, _OUTPUTS),
        "audio_code": "rate",
        "audio_levels": levels,
        "audio_events": "on_off",  # where audio_code is change or delta
        "video_code": "on_off",
        "motion_maps": (8, 16),  # where motion_encoder is conv
        "threshold": "fixed",  # one integer per layer, the same at every step
        "norm": True,
    }


PROFILES: Mapping[str, Callable[[int, int, str], dict[str, Any]]] = {"speck": speck}

# What moves, as `--motion NAME`: the visual input of the motion branch and what reads it.
MOTIONS: Mapping[str, dict[str, Any]] = {
    "feature": {},
    "pixel": {"events": "pixel", "motion_encoder": "conv"},
}
_SEES_PIXELS = ("mdft", "mdst")


def motion_options(name: str, model: str) -> dict[str, Any]:
    """Options of `--motion NAME` for this model; {} for the name "".

    Raises:
        BadInput: unknown name, or a model that has no such input.

    >>> motion_options("pixel", "mdft")["motion_encoder"]
    'conv'
    """
    if not name:
        return {}
    if name not in MOTIONS:
        raise BadInput(f"--motion '{name}' is not known; choose one of {', '.join(MOTIONS)}")
    if MOTIONS[name] and model not in _SEES_PIXELS:
        raise BadInput(
            f"--motion {name}: model '{model}' has no convolutions on pixel events; use --model "
            "mdft, or leave --motion out"
        )
    return dict(MOTIONS[name])


def profile_options(
    name: str, audio_dim: int, video_dim: int, audio_code: str = ""
) -> dict[str, Any]:
    """Options of the profile `name` for features of these widths; {} for the name "".

    `audio_code` is the one that the user asks for, "" for the profile's own.

    Raises:
        BadInput: unknown name; the message lists what there is.

    >>> profile_options("speck", 256, 256)["motion_widths"]
    (128, 128, 64)
    """
    if not name:
        return {}
    if name not in PROFILES:
        raise BadInput(f"motion profile '{name}' is not known; choose one of {', '.join(PROFILES)}")
    return PROFILES[name](audio_dim, video_dim, audio_code)
