"""Exact integer sums of one synapse: convolutions, pools and matrices, in the order of its layer.

Maps are channels last (`maps`). A convolution of q = weight / 2 with integer maps is
computed in the first of

    int8       oneDNN's quantised convolution; values in 8 bits, no sum above 2^24
    patches    what every position reads, side by side, times the kernel (`products`)

The first counts only if this CPU's passed a check against the second in float64, at the limits of
its operands and inside: it multiplies 8-bit integers and adds them up in 32 bits, no transform
(Winograd, FFT) in between. Patches are made a few rows at a time. Both give the same integers.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

import numpy as np
import torch

from neurozsl.hardware.loihi.emulator.products import (
    EXACT_FLOAT32,
    Codes,
    Product,
    exact_product,
    float_product,
    gives,
    smallest_type,
    worst_sum,
)
from neurozsl.hardware.network.synapse import Conv

_PATCHES: Final = 1 << 22  # values at once: 32 MB where they have to be float64
_CHECKED_ROWS: Final = 24  # of a map; instructions do not depend on its height

Maps = Callable[[torch.Tensor], torch.Tensor]  # (rows, H, W, C) -> (rows, H, W, C)


def conv_maps(half: Codes, conv: Conv, low: int, high: int, device: str) -> Maps:
    """The exact convolution with q `(C_out, C_in / groups, height, width)`, channels last."""
    low = min(low, 0)
    if (
        device == "cpu"
        and high - low < 256
        and worst_sum(half, 0, high - low) < EXACT_FLOAT32
        and _is_exact(conv, half.shape, low, high)
    ):
        return int8_conv(half, conv, low)
    size = len(half) // conv.groups
    kernels = [half[g * size : (g + 1) * size] for g in range(conv.groups)]
    # A patch holds the taps in the order (height, width, channel).
    flat = [kernel.transpose(0, 2, 3, 1).reshape(size, -1) for kernel in kernels]
    products = [exact_product(kernel, low, high, device) for kernel in flat]
    return patch_conv(products, conv, half.shape)


def int8_conv(half: Codes, conv: Conv, low: int) -> Maps:
    """OneDNN's quantised convolution with scales of one; exact float32 for sums below 2^24.

    It reads unsigned bytes: values from `low` on are moved up, and it is told so (`zero`).
    """
    size, zero = len(half), -low
    top, bottom, left, right = conv.padding
    even = top == bottom and left == right
    stride, dilation = list(conv.stride), list(conv.dilation)
    padding = [top, left] if even else [0, 0]
    scales, zeros = torch.ones(size), torch.zeros(size, dtype=torch.int64)
    kernel = torch.from_numpy(np.ascontiguousarray(half, np.int8))
    weight = torch.ops.onednn.qconv_prepack(
        kernel, scales, 1.0, zero, stride, padding, dilation, conv.groups, None
    )
    fixed = (1.0, zero, weight, scales, zeros, None, stride, padding, dilation, conv.groups)

    def convolve(maps: torch.Tensor) -> torch.Tensor:
        rows = maps if even else _padded(maps, conv)
        rows = rows.to(torch.uint8) + zero if zero else rows.to(torch.uint8)  # modulo 256
        sums: torch.Tensor = torch.ops.onednn.qconv_pointwise(
            rows.permute(0, 3, 1, 2), *fixed, 1.0, 0, torch.float32, "none", [], ""
        )
        return sums.permute(0, 2, 3, 1).contiguous()

    return convolve


def patch_conv(products: list[Product], conv: Conv, kernel_shape: tuple[int, ...]) -> Maps:
    """A convolution as products of patches, one per group."""
    size_out, size_in, *kernel = kernel_shape
    high, wide = conv.out_shape(kernel_shape)[1:]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, conv.dilation, strict=True)]
    some = max(1, _PATCHES // max(1, high * wide * size_in * kernel[0] * kernel[1]))
    each = size_out // conv.groups

    def convolve(maps: torch.Tensor) -> torch.Tensor:
        made = maps.new_empty((len(maps), high, wide, size_out), dtype=torch.int32)
        for start in range(0, len(maps), some):
            piece = _padded(maps[start : start + some], conv)
            windows = piece.unfold(1, spans[0], conv.stride[0]).unfold(2, spans[1], conv.stride[1])
            windows = windows[..., :: conv.dilation[0], :: conv.dilation[1]]
            windows = windows.permute(0, 1, 2, 4, 5, 3)  # (rows, H, W, height, width, C)
            for g, product in enumerate(products):
                taken = windows[..., g * size_in : (g + 1) * size_in]
                sums = product(taken.reshape(1, len(piece) * high * wide, -1))
                into = made[start : start + some, :, :, g * each : (g + 1) * each]
                into.copy_(sums.reshape(into.shape))
        return made

    return convolve


def _padded(maps: torch.Tensor, conv: Conv) -> torch.Tensor:
    if not any(conv.padding):
        return maps
    top, bottom, left, right = conv.padding
    return torch.nn.functional.pad(maps, (0, 0, left, right, top, bottom))


@lru_cache(maxsize=128)
def _is_exact(conv: Conv, shape: tuple[int, ...], low: int, high: int) -> bool:
    """Compare 8-bit convolutions of this geometry with float64, at the limits and inside.

    As for products: CPUs without 8-bit dot products may saturate, and do not say so; the operator
    belongs to torch's internals and may be missing or take other arguments.
    """
    channels, rows, columns = conv.shape
    span = conv.dilation[0] * (shape[2] - 1) + 1
    part = replace(conv, shape=(channels, min(rows, _CHECKED_ROWS + span), columns))
    rng = np.random.default_rng(0)
    drawn = rng.integers(low, high + 1, (4, *part.shape[1:], channels))
    drawn[0], drawn[1] = low, high
    maps = torch.from_numpy(drawn).to(smallest_type(low, high))
    random = rng.integers(-128, 128, shape)
    size = shape[0] // conv.groups
    for weights in (random, np.full(shape, -128), np.full(shape, 127)):
        flat = weights.transpose(0, 2, 3, 1).reshape(shape[0], -1)
        groups = [flat[g * size : (g + 1) * size] for g in range(conv.groups)]
        products = [float_product(group, torch.float64, "cpu") for group in groups]
        exact = patch_conv(products, part, shape)(maps)
        if not gives(partial(int8_conv, weights, part, low), maps, exact):
            return False
    return True
