"""Integer codes of the branch's inputs, with a straight-through gradient.

Training already sees the coded input, so float simulation and chip read the same numbers:
code = clip(round(x / scale), low, high), real value = code * scale, scale a power of two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurozsl.signals import InputCode


def graded_code(values: Tensor, *, bits: int) -> InputCode:
    """Choose the power-of-two scale at which 99.9 % of `values` `(..., size)` fit into `bits`.

    Non-negative data gets unsigned codes. The scale is a power of two so that it folds into the
    chip's weight scale without rounding.
    """
    signed = bool((values < 0).any())
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    sample = values.detach().abs().flatten()
    stride = max(1, sample.numel() // 2**22)  # torch.quantile takes at most 2^24 values
    peak = float(torch.quantile(sample[::stride].float(), 0.999))
    scale = 2.0 ** math.ceil(math.log2(max(peak, 1e-6) / high))
    return InputCode(values.shape[-1], "graded", bits, signed, scale)


def encode(values: Tensor, code: InputCode) -> Tensor:
    """Codes of `values` as float tensor holding integers; gradient 1/scale inside the range."""
    scaled = values / code.scale
    clipped = scaled.clamp(code.low, code.high)
    return clipped + (torch.round(clipped) - clipped).detach()
