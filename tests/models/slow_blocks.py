"""Blocks of the models in numpy, one token at a time: what their tensors are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from neurozsl.models.blocks import Attention, FeedForward

F64 = npt.NDArray[np.float64]


def draw(*shape: int, seed: int = 0) -> F64:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def value(x: torch.Tensor) -> F64:
    """A tensor in float64."""
    return np.asarray(x.detach().numpy(), dtype=np.float64)


def linear(layer: nn.Module, x: F64) -> F64:
    """W x + b of one vector."""
    assert isinstance(layer, nn.Linear)
    out = value(layer.weight) @ x
    return out if layer.bias is None else out + value(layer.bias)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def slow_attention(a: Attention, query: list[F64], key: list[F64]) -> list[F64]:
    """One query at a time, one head at a time."""
    out = []
    for q_token in query:
        mixed = []
        for head in range(a.heads):
            part = slice(head * a.head_width, (head + 1) * a.head_width)
            q = linear(a.to_query, q_token)[part]
            scores = np.array([q @ linear(a.to_key, k)[part] for k in key]) / np.sqrt(a.head_width)
            weights = np.exp(scores) / np.exp(scores).sum()
            mixed.append(
                sum(w * linear(a.to_value, k)[part] for w, k in zip(weights, key, strict=True))
            )
        out.append(linear(a.out, np.concatenate(mixed)))
    return out


def slow_feed(f: FeedForward, x: F64) -> F64:
    """Normalise, two layers with a ReLU between them, and what came in."""
    normed = (x - x.mean()) / np.sqrt(x.var() + f.norm.eps)
    normed = normed * value(f.norm.weight) + value(f.norm.bias)
    return linear(f.down, np.maximum(linear(f.up, normed), 0)) + x
