"""How the motion inputs of an MDFT are coded: from its options, then from training data.

In: a configuration; out: an `InputCode` per modality with a motion pathway. Where there are no bits
(`audio_bits=none`) what would be graded passes as real numbers.
"""

from dataclasses import replace

from torch import Tensor

from neurozsl.core.signals import InputCode
from neurozsl.models.coding import graded_code, level_code, on_off_code, spread, unfitted_code
from neurozsl.models.event_codes import EVENT_ENCODERS, event_code, with_rate
from neurozsl.models.mdft_config import MDFTConfig
from neurozsl.models.pixel_input import PIXEL_CODE


def input_codes(c: MDFTConfig) -> dict[str, InputCode]:
    """The code of every motion input of the model, before `calibrate` finds scales."""
    heard, seen = c.motion_dims["audio"], c.motion_dims["video"]
    match c.audio_code:
        case "graded":
            audio = unfitted_code(heard, bits=c.audio_bits)
        case "level" | "rate" as encoder:
            audio = level_code(heard, levels=c.audio_levels, step=1.0, encoder=encoder)
        case "change" | "delta" as events:
            kind, step = c.audio_events, c.audio_threshold or 1.0
            audio = event_code(heard, encoder=events, kind=kind, bits=c.audio_bits or 1, step=step)
    video = InputCode(seen, "ternary", 1, True, 1.0, step=c.event_threshold)
    if not c.egm:
        video = unfitted_code(seen, bits=c.audio_bits)
    elif c.events == "pixel":
        video = PIXEL_CODE
    elif c.video_code == "on_off":
        video = replace(on_off_code(seen), step=c.event_threshold)
    codes = {"audio": audio, "video": video}
    return {name: codes[name] for name in c.motion_inputs}


def fitted(c: MDFTConfig, code: InputCode, values: Tensor, mask: Tensor) -> InputCode:
    """The code with scale or threshold from `values` `(batch, time, features)`."""
    if code.kind == "real":
        return code
    if code.encoder in EVENT_ENCODERS:
        return code if c.audio_threshold else with_rate(code, values, c.audio_rate, mask)
    if code.kind == "graded":
        return graded_code(values, bits=code.bits)
    if code.encoder in ("level", "rate"):
        # The tail of audio features is long, few levels reach into it: a tenth is clipped.
        return replace(code, step=spread(values, 0.9) / c.audio_levels)
    return replace(code, step=c.event_threshold) if c.sees_changes else code
