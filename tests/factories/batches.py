"""Batches of features in three classes."""

from __future__ import annotations

import torch

from neurozsl.data.batch import AVBatch


def batch(n: int = 12, steps: int = 6, audio: int = 10, video: int = 14, seed: int = 0) -> AVBatch:
    """Features between 0 and 2, no step masked."""
    g = torch.Generator().manual_seed(seed)
    return AVBatch(
        torch.rand(n, steps, audio, generator=g) * 2,
        torch.rand(n, steps, video, generator=g) * 2,
        torch.ones(n, steps, dtype=torch.bool),
        torch.arange(n) % 3,
    )
