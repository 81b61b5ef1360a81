"""Discrepancy analysis block: audio motion from visual events (MDFT Eq. 6).

    E_a = a + 1 - exp(-((E_v - a) / beta)^2),   beta = softplus(b) + 1e-3

Reading: Eq. 6 takes a squared L2 norm (a scalar) of a matrix and adds it to a matrix; elementwise
is the form in which the sizes agree. `reduce="norm"` is the printed norm, one scalar per step,
broadcast. beta is kept positive because the printed factor may reach 0. The added term lies in
[0, 1).
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import resize_channels

_FLOOR = 1e-3


class DAB(nn.Module):
    """Discrepancy analysis block of MDFT, per audio channel."""

    def __init__(self, width: int, *, reduce: Literal["elementwise", "norm"] = "elementwise"):
        super().__init__()
        self.reduce = reduce
        start = math.log(math.expm1(1.0 - _FLOOR))  # beta starts at 1
        self.raw_beta = nn.Parameter(torch.full((width,), start))

    @property
    def beta(self) -> Tensor:
        """The learnable factor, positive, `(width,)`."""
        return nn.functional.softplus(self.raw_beta) + _FLOOR

    def forward(self, audio: Tensor, events: Tensor) -> Tensor:
        """`audio` (batch, time, width), `events` (batch, time, any) -> (batch, time, width)."""
        squared = ((resize_channels(events, audio.shape[-1]) - audio) / self.beta).square()
        if self.reduce == "norm":
            squared = squared.sum(-1, keepdim=True)
        return audio + 1 - torch.exp(-squared)
