"""Global-local pooling: shapes what reaches a spiking layer (STFT Eq. 7).

    P_all = 1/2 (max + avg) + beta max + (1 - beta) avg,   beta = sigmoid(b)
    I^    = sigmoid(P_all I + I)

Readings: max and average run over all values of a step, so that P_all is one number per sample and
step, broadcast over I. The weights in P_all sum to 2, as printed. I^ lies in (0, 1): a layer with
kappa and a threshold of 1 or more would never fire, so the threshold must be lower (0.5).
"""

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import RowNorm


class GlobalLocalPooling(nn.Module):
    """Eq. 7; beta is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.raw_beta = nn.Parameter(torch.zeros(()))

    def pooled(self, x: Tensor) -> Tensor:
        """P_all of `(batch, time, size)`: `(batch, time)`."""
        beta = torch.sigmoid(self.raw_beta)
        return (0.5 + beta) * x.amax(-1) + (1.5 - beta) * x.mean(-1)

    def forward(self, x: Tensor) -> Tensor:
        """I^ of `(batch, time, size)`."""
        return torch.sigmoid(x * (1 + self.pooled(x).unsqueeze(-1)))


class ShapedInput(nn.Module):
    """Eq. 7 on the input of the branch, on the host: no chip here pools and squashes a current.

    As in a block, where batch normalisation comes first (Eq. 6), the input is normalised first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = RowNorm(width)
        self.pooling = GlobalLocalPooling()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, time, width)` -> the same in (0, 1)."""
        shaped: Tensor = self.pooling(self.norm(x, mask))
        return shaped
