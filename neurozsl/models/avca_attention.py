"""AVCA's cross-attention block: a transformer layer over two tokens, audio and video.

In: phi_a, phi_v `(batch, width)`; out: the same two after attention. With P the two position
vectors, x = [phi_a; phi_v] + P and Drop a dropout after each linear map but the first three::

    pre_norm    y = x + MHSA(LN(x));    z = y + MLP(LN(y))       the public code
    post_norm   y = LN(x + MHSA(x));    z = LN(y + MLP(y))       the paper, section 3.1

MHSA has heads x head_width wide queries, keys and values without bias and an output map with one;
MLP is Linear - GELU - Drop - Linear - Drop. The position vectors are drawn once and not trained,
because the public code leaves them out of its optimiser; `pos_emb="trained"` trains them. Either
way they are parameters, as the published parameter count has them.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import Attention, gelu_map

Norm = Literal["pre_norm", "post_norm"]
PosEmb = Literal["fixed", "trained"]


class CrossAttention(nn.Module):
    """One transformer layer over the tokens (audio, video)."""

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        head_width: int,
        hidden: int,
        dropout: float,
        norm: Norm,
        pos_emb: PosEmb,
    ) -> None:
        super().__init__()
        self.pre = norm == "pre_norm"
        self.position = nn.Parameter(torch.randn(2, width), requires_grad=pos_emb == "trained")
        self.attend = Attention(width, heads, head_width)
        self.norm_attend, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.feed = gelu_map(width, hidden, dropout)

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, width)` each, of both modalities."""
        x = self.mix(torch.stack([audio, video], 1) + self.position)
        return x[:, 0], x[:, 1]

    def mix(self, x: Tensor) -> Tensor:
        """The layer on tokens that hold their position already, `(batch, tokens, width)`."""
        if self.pre:
            normed = self.norm_attend(x)
            x = x + self.dropout(self.attend(normed, normed))
            mixed: Tensor = x + self.feed(self.norm_feed(x))
            return mixed
        x = self.norm_attend(x + self.dropout(self.attend(x, x)))
        mixed = self.norm_feed(x + self.feed(x))
        return mixed
