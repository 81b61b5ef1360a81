"""Modules of a Norse stack without state, each as the NIR nodes that compute the same.

In: a module and where it stands (`ModuleAt`). Out: its nodes and the shape behind them (`Made`), or
`NotCarried` with the reason. Shapes have no batch; weights are float64 until the graph is written.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import nir
import numpy as np
import torch
from torch import nn

from neurozsl.core.signals import FloatArray
from neurozsl.hardware.network.neuron import Reset

Shape = tuple[int, ...]
LAST: Final = ""  # instead of a name: the node before takes this form


class NotCarried(Exception):
    """Why one module cannot be carried over."""


def numbers(value: Any) -> FloatArray:
    """A tensor or number in float64."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().astype(np.float64)
    return np.asarray(value, np.float64)


@dataclass(frozen=True)
class ModuleAt:
    """Where a module stands: its node name, the shape before it, the node before it."""

    name: str
    shape: Shape
    last: Any = None


@dataclass(frozen=True)
class Made:
    """What a module becomes.

    nodes: in a row, by name (`LAST` replaces the one before). shape: behind them. loop: from the
    last node to itself. dt, reset: of a cell. decays: exact, by key.
    """

    nodes: Mapping[str, Any]
    shape: Shape
    loop: Any = None
    dt: float | None = None
    decays: Mapping[str, FloatArray] = field(default_factory=dict)
    reset: Reset | None = None


def linear(module: Any, at: ModuleAt) -> Made:
    if at.shape != (module.in_features,):
        raise NotCarried(
            f"reads {module.in_features} values, before it is {at.shape}; put Flatten in front"
        )
    weight = numbers(module.weight)
    bias = np.zeros(len(weight)) if module.bias is None else numbers(module.bias)
    return Made({at.name: nir.Affine(weight=weight, bias=bias)}, (len(weight),))


def conv(module: Any, at: ModuleAt) -> Made:
    rank = module.weight.ndim - 1
    if len(at.shape) != rank or at.shape[0] != module.in_channels:
        raise NotCarried(f"reads a map of {module.in_channels} channels, before it is {at.shape}")
    if module.padding_mode != "zeros":
        raise NotCarried(f"padding_mode {module.padding_mode!r}: maps here are padded with zeros")
    shape = _behind(module, at, module.weight)
    weight, padding = _geometry(module)
    bias = np.zeros(len(weight)) if module.bias is None else numbers(module.bias)
    geometry: dict[str, Any] = {k: tuple(getattr(module, k)) for k in ("stride", "dilation")}
    geometry["padding"] = padding
    space: Any = at.shape[1:]
    if rank == 2:
        space = space[0]
        geometry = {key: value[0] for key, value in geometry.items()}
    build = nir.Conv1d if rank == 2 else nir.Conv2d
    node = build(input_shape=space, weight=weight, bias=bias, groups=module.groups, **geometry)
    # nir 1.0.4 infers the shape of a square kernel.
    node.output_type = {"output": np.array(shape)}
    return Made({at.name: node}, shape)


def _geometry(module: Any) -> tuple[FloatArray, tuple[int, ...]]:
    """Kernel and padding in numbers, the same on both sides.

    torch's "same" puts the odd zero of an even kernel last; a kernel with a zero in front of it
    and one more zero in front of the map is the same convolution.
    """
    weight = numbers(module.weight)
    if module.padding == "valid":
        return weight, (0,) * len(module.stride)
    if module.padding != "same":
        return weight, tuple(int(n) for n in module.padding)
    front, padding = [(0, 0), (0, 0)], []
    for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True):
        span = dilation * (kernel - 1)
        if span % 2 and dilation > 1:
            raise NotCarried(
                f"padding 'same' with kernel {kernel} and dilation {dilation} is not the same on "
                "both sides; pad in numbers"
            )
        front.append((span % 2, 0))
        padding.append(span // 2 + span % 2)
    return np.pad(weight, front), tuple(padding)


def batchnorm(module: Any, at: ModuleAt) -> Made:
    """Fold y = (x - mean) / sqrt(var + eps) gamma + beta into the weights before."""
    weighted = (nir.Affine, nir.Conv2d) if isinstance(module, nn.BatchNorm2d) else _WEIGHTED
    if not isinstance(at.last, weighted) or len(at.last.weight) != module.num_features:
        raise NotCarried("no Linear or convolution of its width directly before it to fold into")
    if module.running_mean is None:
        raise NotCarried("keeps no running statistics (track_running_stats=False)")
    scale = 1 / np.sqrt(numbers(module.running_var) + module.eps)
    shift = -numbers(module.running_mean) * scale
    if module.affine:
        gamma, beta = numbers(module.weight), numbers(module.bias)
        scale, shift = scale * gamma, shift * gamma + beta
    folded = replace(
        at.last,
        weight=at.last.weight * scale.reshape(-1, *[1] * (at.last.weight.ndim - 1)),
        bias=at.last.bias * scale + shift,
    )
    folded.output_type = at.last.output_type
    return Made({LAST: folded}, at.shape)


_WEIGHTED: Final = (nir.Affine, nir.Conv1d, nir.Conv2d)


def avg_pool(module: Any, at: ModuleAt) -> Made:
    kernel, padding = _pair(module.kernel_size), _pair(module.padding)
    if module.divisor_override not in (None, 1, math.prod(kernel)):
        raise NotCarried(f"divides by {module.divisor_override}; a mean or a sum is carried over")
    if any(padding) and not module.count_include_pad and module.divisor_override is None:
        raise NotCarried("count_include_pad=False: divides by other numbers at the border")
    total = module.divisor_override == 1 and math.prod(kernel) > 1
    return _pool(module, at, nir.SumPool2d if total else nir.AvgPool2d, padding)


def lp_pool(module: Any, at: ModuleAt) -> Made:
    if module.norm_type != 1:
        raise NotCarried(f"norm_type {module.norm_type:g}: only 1, a sum, is linear")
    return _pool(module, at, nir.SumPool2d, (0, 0))


_POOL: Final = ("kernel_size", "stride", "padding")


def _pool(module: Any, at: ModuleAt, build: Any, padding: tuple[int, int]) -> Made:
    if len(at.shape) != 3:
        raise NotCarried(f"pools a map (channels, height, width), before it is {at.shape}")
    if module.ceil_mode:
        raise NotCarried("ceil_mode: windows that do not fit whole are left out here")
    kernel = _pair(module.kernel_size)
    stride = kernel if module.stride is None else _pair(module.stride)
    shape = _behind(module, at, torch.zeros(0))
    sizes = zip(_POOL, (kernel, stride, padding), strict=True)
    return Made({at.name: build(**{key: np.array(value) for key, value in sizes})}, shape)


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple) else (value, value)
    return int(first), int(second)


def flatten(module: Any, at: ModuleAt) -> Made:
    rank = len(at.shape) + 1  # with the batch, as torch counts
    start, end = module.start_dim % rank, module.end_dim % rank
    if start == 0:
        raise NotCarried(f"start_dim {module.start_dim} joins the samples of a batch; use 1")
    shape = _behind(module, at, torch.zeros(0))
    node = nir.Flatten(
        start_dim=start - 1, end_dim=end - 1, input_type={"input": np.array(at.shape)}
    )
    return Made({at.name: node}, shape)


def nothing(module: Any, at: ModuleAt) -> Made:
    return Made({}, at.shape)


def _behind(module: nn.Module, at: ModuleAt, like: torch.Tensor) -> Shape:
    """Shape behind a stateless module."""
    with torch.no_grad():
        try:
            made = module(torch.zeros(1, *at.shape, dtype=like.dtype, device=like.device))
        except (RuntimeError, IndexError) as error:
            raise NotCarried(f"does not take {at.shape}: {str(error).splitlines()[0]}") from None
    return tuple(int(n) for n in made.shape[1:])
