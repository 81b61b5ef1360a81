"""Thresholds of events that are trained with the weights, one number per modality.

    C = c^2 + 1e-4,   c the parameter

The square keeps C positive and is the same float32 on every machine, so that the integers that a
stored run writes do not depend on where it is opened. No training pulls C up by itself: fewer
events pay only where the loss counts them.
"""

import math

import torch
from torch import Tensor, nn

_FLOOR = 1e-4


class EventThreshold(nn.Module):
    """One learnable threshold, in units of the features whose changes it is compared with."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.root = nn.Parameter(torch.tensor(_root(start)))

    def forward(self) -> Tensor:
        """The threshold, positive, without dimensions."""
        return self.root.square() + _FLOOR

    def set(self, threshold: float) -> None:
        """Start again from this threshold (up to rounding, and no lower than 1e-4)."""
        with torch.no_grad():
            self.root.fill_(_root(threshold))


def _root(threshold: float) -> float:
    return math.sqrt(max(threshold - _FLOOR, _FLOOR))
