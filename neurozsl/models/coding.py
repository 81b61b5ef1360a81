"""Integer codes of the branch's inputs, with a straight-through gradient, by name of the encoder.

Training already sees the coded input, so float simulation and chip read the same numbers::

    direct   code = clip(round(x / scale), low, high); real value = code * scale, scale 2^k
    on_off   two channels a feature: x > 0 and x < 0; ternary events for chips without a sign
    level    L channels a feature: channel k spikes where n_t > k,
             n_t = round(clip(x_t / step, 0, L))                      thermometer, no memory
    rate     the same channels with the rounding error carried to the next step of the sample:
             s_t = clip(x_t / step, 0, L) + e_{t-1};  n_t = round(s_t);  e_t = s_t - n_t
    change, delta   events where a feature moved by `step` or more, see `event_codes`

A code of the kind `real` is none: the values pass as they are, and no chip reads them.

All are deterministic. Channels lie level by level (or ON, then OFF), each as wide as the features.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from neurozsl.core.signals import InputCode
from neurozsl.models.event_codes import EVENT_ENCODERS, encode_events


def spread(values: Tensor, share: float) -> float:
    """The size below which this share of `values` lies."""
    sample = values.detach().abs().flatten()
    stride = max(1, sample.numel() // 2**22)  # torch.quantile takes at most 2^24 values
    return max(float(torch.quantile(sample[::stride].float(), share)), 1e-6)


def graded_code(values: Tensor, *, bits: int) -> InputCode:
    """Choose the power-of-two scale at which 99.9 % of `values` `(..., size)` fit into `bits`.

    Non-negative data gets unsigned codes. The scale is a power of two so that it folds into the
    chip's weight scale without rounding.
    """
    signed = bool((values < 0).any())
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    if not bool(values.any()):  # no scale fits nothing; 1 keeps the chip's integers in range
        return InputCode(values.shape[-1], "graded", bits, signed, 1.0)
    scale = 2.0 ** math.ceil(math.log2(spread(values, 0.999) / high))
    return InputCode(values.shape[-1], "graded", bits, signed, scale)


def level_code(
    features: int, *, levels: int, step: float, encoder: Literal["level", "rate"]
) -> InputCode:
    """Binary code of `levels` channels per feature, each worth `step` of the feature."""
    return InputCode(features * levels, "binary", 1, False, 1.0, encoder, levels, step)


def unfitted_code(features: int, *, bits: int | None) -> InputCode:
    """The code of numbers before their scale is known: graded, without bits none at all."""
    if bits is None:
        return real_code(features)
    return InputCode(features, "graded", bits, False, 1.0)


def real_code(features: int) -> InputCode:
    """No code: the branch reads the values themselves, and no chip can take it over."""
    return InputCode(features, "real", 1, True, 1.0)


def on_off_code(features: int) -> InputCode:
    """Binary code of ternary events: ON channels, then OFF channels."""
    return InputCode(2 * features, "binary", 1, False, 1.0, "on_off")


def encode(
    values: Tensor, code: InputCode, mask: Tensor | None = None, step: Tensor | None = None
) -> Tensor:
    """Codes of `values` `(batch, time, features)` as float tensor that holds integers.

    The gradient is that of the code without its rounding. `mask` `(batch, time)` says which steps
    are real; the values of the others are 0. `step`: of events, the threshold with a gradient.
    """
    if code.encoder in EVENT_ENCODERS:
        return encode_events(values, code, mask, step)
    if code.kind == "real":
        return values
    return _ENCODERS[code.encoder](values, code)


def _direct(values: Tensor, code: InputCode) -> Tensor:
    scaled = values / code.scale
    clipped = scaled.clamp(code.low, code.high)
    return _straight_through(clipped, torch.round(clipped))


def _on_off(values: Tensor, code: InputCode) -> Tensor:
    signed = torch.cat([values, -values], -1).clamp(0, 1)
    return _straight_through(signed, torch.round(signed))


def _thermometer(values: Tensor, code: InputCode) -> Tensor:
    scaled = (values / code.step).clamp(0, code.levels)
    count = _carried(scaled.detach()) if code.encoder == "rate" else torch.round(scaled)
    return _straight_through(_channels(scaled, code.levels), _channels(count, code.levels))


def _carried(scaled: Tensor) -> Tensor:
    """Rounded values whose error is added to the next step, `(batch, time, features)`."""
    error = torch.zeros_like(scaled[:, 0])
    steps = []
    for now in scaled.unbind(1):
        count = torch.round(now + error)
        error = now + error - count
        steps.append(count)
    return torch.stack(steps, 1)


def _channels(count: Tensor, levels: int) -> Tensor:
    """Channel k holds clip(count - k, 0, 1): the k-th level of a thermometer."""
    return torch.cat([(count - k).clamp(0, 1) for k in range(levels)], -1)


def _straight_through(soft: Tensor, hard: Tensor) -> Tensor:
    """The value of `hard`, the gradient of `soft`."""
    return soft + (hard - soft).detach()


_ENCODERS: Mapping[str, Callable[[Tensor, InputCode], Tensor]] = {
    "direct": _direct,
    "on_off": _on_off,
    "level": _thermometer,
    "rate": _thermometer,
}
