"""Exact integer products of the emulator: spikes or codes times the weights of a layer.

Every weight of a Program is 2 q, and q x codes is summed in the first of

    int8, weights packed     8-bit codes, worst sum of |q code| below 2^24 (it returns float32)
    int8                     codes in -128..127
    float32                  worst sum below 2^24, and nobody lowered torch's precision
    float64                  worst sum below 2^53 (and on every device but the CPU)

where an int8 product counts only if this CPU's passed a check at its limits, so a sum is never
rounded, saturated or wrapped. What the instructions of a CPU make of it (one Xeon with AMX, oneDNN
held back by ONEDNN_MAX_CPU_ISA; emulator over float32 forward pass, `make bench`):

    AMX 0.23    AVX-512 VNNI 0.42    AVX-512 alone 0.81    AVX2 alone 0.68

Without 8-bit dot products `torch._int_mm` saturates on that CPU and fails the check, the packed
product passes for spikes. Where neither passes, a layer costs its float32 product plus the neurons.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.signals import InputCode

EXACT_FLOAT32: Final = 1 << 24
_SMALLEST: Final = 16  # fewer inputs, or weights than its square, gain nothing from int8

Codes = npt.NDArray[Any]
# (batch, time, in) -> (batch, time, out), integers as int32 or float32
Product = Callable[[torch.Tensor], torch.Tensor]


def exact_product(half: Codes, low: int, high: int, device: str) -> Product:
    """The exact product with weights q = weight / 2 `(out, in)` for values in low..high."""
    worst = worst_sum(half, low, high)
    if device == "cpu" and worst < EXACT_FLOAT32:
        unsigned = low >= 0 and high <= 255
        if (unsigned or _fits_int8(low, high)) and _is_exact("packed", half.shape, low, high):
            return packed_product(half, unsigned=unsigned)
    if device == "cpu" and _fits_int8(low, high) and _is_exact("int8", half.shape, low, high):
        return int8_product(half)
    if device == "cpu" and worst < EXACT_FLOAT32:
        return float_product(half, torch.float32, device)
    return float_product(half, torch.float64, device)


def worst_sum(half: Codes, low: int, high: int) -> int:
    """No sum of q x value over one row (or one kernel) of q is larger than this."""
    rows = np.abs(half.reshape(len(half), -1).astype(np.int64)).sum(axis=1)
    return int(rows.max()) * max(-low, high)


def _fits_int8(low: int, high: int) -> bool:
    return low >= -128 and high <= 127


def smallest_type(low: int, high: int) -> torch.dtype:
    """The first of uint8, int8, int16 and int32 that holds low..high."""
    if low >= 0 and high <= 255:
        return torch.uint8
    if _fits_int8(low, high):
        return torch.int8
    return torch.int16 if low >= -(1 << 15) and high < 1 << 15 else torch.int32


def packed_product(half: Codes, *, unsigned: bool) -> Product:
    """Codes x half^T in int8, weights laid out once; sums below 2^24 arrive as exact float32.

    oneDNN's quantised linear layer, with scales of one and nothing fused; about twice as fast as
    `int8_product`, which lays the weights out at every call.
    """
    size = len(half)
    # It reads memory row by row, whatever the strides say.
    rows = torch.from_numpy(np.ascontiguousarray(half, np.int8))
    weight = torch.ops.onednn.qlinear_prepack(rows, None)
    scales, zeros = torch.ones(size), torch.zeros(size, dtype=torch.int64)
    kind = torch.uint8 if unsigned else torch.int8

    def product(codes: torch.Tensor) -> torch.Tensor:
        samples, steps, width = codes.shape
        if not samples * steps:
            return torch.zeros((samples, steps, size))
        rows = codes.to(kind).reshape(-1, width)
        sums: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, 1.0, 0, weight, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return sums.reshape(samples, steps, size)

    return product


def int8_product(half: Codes) -> Product:
    """Codes x half^T in int8 with int32 sums (an int32 holds any sum that a Program admits)."""
    columns = torch.from_numpy(half.astype(np.int8)).t()

    def product(codes: torch.Tensor) -> torch.Tensor:
        samples, steps, size = codes.shape
        if not samples * steps:
            return torch.zeros((samples, steps, columns.shape[1]), dtype=torch.int32)
        narrow = codes.view(torch.int8) if codes.dtype == torch.uint8 else codes.to(torch.int8)
        return torch._int_mm(narrow.reshape(-1, size), columns).reshape(samples, steps, -1)

    return product


def float_product(half: Codes, dtype: torch.dtype, device: str) -> Product:
    """Codes x half^T in floating point; the caller guarantees that every sum is an exact float."""
    columns = torch.from_numpy(half.astype(np.float64)).to(device, dtype).t()

    def product(codes: torch.Tensor) -> torch.Tensor:
        # torch may be told to multiply float32 in bfloat16 or TF32, or by autocast: not float64.
        lowered = torch.get_float32_matmul_precision() != "highest" or torch.is_autocast_enabled(
            columns.device.type
        )
        exact = torch.float64 if lowered else dtype
        return torch.matmul(codes.to(device, exact), columns.to(exact)).to(torch.int32)

    return product


@lru_cache(maxsize=128)
def _is_exact(kind: Literal["packed", "int8"], shape: tuple[int, int], low: int, high: int) -> bool:
    """Compare 8-bit products of weights `(out, in)` with int64, at the limits and inside.

    CPUs without 8-bit dot products may add pairs in 16 bits that saturate, and torch 2.13 returns
    garbage for a single input (K = 1); neither says so. Both depend on the shape, not the weights.
    The packed product belongs to torch's internals and may be missing or take other arguments.
    """
    outputs, inputs = shape
    if not hasattr(torch, "_int_mm") or inputs < _SMALLEST or inputs * outputs < _SMALLEST**2:
        return False
    rng = np.random.default_rng(0)
    drawn = rng.integers(low, high + 1, (6, inputs))
    codes = np.concatenate([np.full((1, inputs), low), np.full((1, inputs), high), drawn])
    random = rng.integers(-128, 128, shape)
    given = torch.from_numpy(codes[:, None].astype(np.int16))
    for weights in (random, np.full(shape, -128), np.full(shape, 127)):
        make = partial(int8_product, weights)
        if kind == "packed":
            make = partial(packed_product, weights, unsigned=low >= 0)
        if not gives(make, given, torch.from_numpy(codes[:, None] @ weights.T)):
            return False
    return True


def gives(make: Callable[[], Product], rows: torch.Tensor, exact: torch.Tensor) -> bool:
    """Whether an 8-bit operator gives these sums wherever they are below 2^24.

    All rows at once, and the first two by themselves: what runs may depend on their number.
    """
    try:
        operator = make()
        for some in (slice(0, 1), slice(1, 2), slice(None)):
            legal = exact[some].abs() < EXACT_FLOAT32
            if not torch.equal(operator(rows[some])[legal].double(), exact[some][legal].double()):
                return False
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return True


def code_tensor(codes: Codes, code: InputCode) -> torch.Tensor:
    """Checked codes in the smallest type that holds their range."""
    return torch.from_numpy(codes).to(smallest_type(code.low, code.high))
