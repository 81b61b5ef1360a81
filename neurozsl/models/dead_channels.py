"""What is told after training of a model whose embeddings end in ReLU."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_DEAD: Final = 0.9  # share of embedding channels that are 0 for every sample, above which we warn


def dead_channels(model: str, heads: Sequence[Tensor]) -> list[str]:
    """A warning where hardly a channel of the heads, `(batch, proj)` each, tells classes apart."""
    dead = float(torch.stack([(head == 0).all(0) for head in heads]).float().mean())
    if dead < _DEAD:
        return []
    return [
        f"{100 * dead:.0f} % of the embedding's channels are 0 for every sample ({model}'s outputs "
        "end in ReLU); lower the learning rate or the dropouts"
    ]
