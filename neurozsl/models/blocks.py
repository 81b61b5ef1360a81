"""Layers that several models share: AVCA's linear block, projections, attention, masked norm.

Shapes are `(batch, time, width)` unless said otherwise.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Output = Literal["linear", "relu"]


class RowNorm(nn.Module):
    """BatchNorm over all real time steps of a batch: `(batch, time, width)`, padding left out.

    Padded rows would shift the batch statistics (they do in TCaF's public code).
    """

    def __init__(self, width: int, *, gain: float = 1.0, momentum: float = 0.1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, momentum=momentum)
        nn.init.constant_(self.norm.weight, gain)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise the rows where `mask` `(batch, time)` is True; other rows become 0."""
        if mask is None or bool(mask.all()):
            normed: Tensor = self.norm(x.reshape(-1, x.shape[-1]))
            return normed.reshape(x.shape)
        out = torch.zeros_like(x)
        out[mask] = self.norm(x[mask]).to(out.dtype)
        return out


class LinearBlock(nn.Module):
    """Linear - BatchNorm - ReLU - Dropout, the block of AVCA's encoders and projections."""

    def __init__(self, inputs: int, outputs: int, dropout: float, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = RowNorm(outputs, momentum=momentum)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map `(batch, time, inputs)` or `(batch, inputs)` to the same with `outputs`."""
        flat = x.dim() == 2
        x = x.unsqueeze(1) if flat else x
        y: Tensor = self.dropout(torch.relu(self.norm(self.linear(x), mask)))
        return y.squeeze(1) if flat else y


class Encoder(nn.Module):
    """Two linear blocks: `E_aud` and `E_vis` of MDFT section 3.1, AVCA's A_enc and V_enc.

    `momentum` is that of the second BatchNorm, which AVCA sets per data set; the first keeps 0.1.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, dropout: float, *, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.first = LinearBlock(inputs, hidden, dropout)
        self.second = LinearBlock(hidden, outputs, dropout, momentum=momentum)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, [time,] inputs)` -> `(batch, [time,] outputs)`."""
        y: Tensor = self.second(self.first(x, mask), mask)
        return y


def last_map(inputs: int, outputs: int, dropout: float, form: Output) -> nn.Module:
    """The last map of a projection: linear, or AVCA's block that ends in ReLU and dropout."""
    return nn.Linear(inputs, outputs) if form == "linear" else LinearBlock(inputs, outputs, dropout)


def projection_map(
    inputs: int, hidden: int, outputs: int, dropout: float, form: Output
) -> nn.Sequential:
    """A block to `hidden`, then the last map (AVCA's layout, MDFT Eq. 12, STFT Eq. 15)."""
    return nn.Sequential(
        LinearBlock(inputs, hidden, dropout), last_map(hidden, outputs, dropout, form)
    )


class Attention(nn.Module):
    """Multi-head attention of `query` tokens over `key` tokens: softmax(Q K^T / sqrt(d)) V.

    With a single key the softmax is 1 and the result is a linear map of that key.
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        inner = heads * head_width
        self.to_query = nn.Linear(width, inner, bias=False)
        self.to_key = nn.Linear(width, inner, bias=False)
        self.to_value = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width)

    def forward(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        """`query` (batch, q, width), `key` (batch, k, width).

        `mask`: True = may be read; (batch, k) by every query, or (batch, q, k) by each its own.
        """
        split = (self.heads, self.head_width)
        q = self.to_query(query).unflatten(-1, split).transpose(1, 2)  # (batch, head, q, d)
        k = self.to_key(key).unflatten(-1, split).transpose(1, 2)  # (batch, head, k, d)
        v = self.to_value(key).unflatten(-1, split).transpose(1, 2)
        attend = mask  # (batch, 1, 1 or q, k)
        if mask is not None:
            attend = mask[:, None] if mask.dim() == 3 else mask[:, None, None, :]
        y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=attend)
        mixed: Tensor = self.out(y.transpose(1, 2).flatten(-2))  # (batch, q, width)
        return mixed


def gelu_map(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """Linear - GELU - Dropout - Linear - Dropout: what follows attention in a pre-norm layer."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width),
        nn.Dropout(dropout),
    )


class FeedForward(nn.Module):
    """MLP(LN(x)) + x, the residual block of MDFT Eq. 2, 10 and 11."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape `(..., width)`."""
        y: Tensor = self.down(self.dropout(torch.relu(self.up(self.norm(x)))))
        return y + x


class CrossLayer(nn.Module):
    """Q = MHCA(query, keys), MLP(LN(Q)) + Q: a layer of the stacks of MDFT Eq. 11, STFT Eq. 14."""

    def __init__(
        self, width: int, *, heads: int, head_width: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.attend = Attention(width, heads, head_width)
        self.feed = FeedForward(width, hidden, dropout)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """`query` (batch, time, width), `keys` (batch, any, width), their `mask` -> as `query`."""
        y: Tensor = self.feed(self.attend(query, keys, mask))
        return y


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the real time steps: `(batch, time, width)` -> `(batch, width)`."""
    if mask is None:
        return x.mean(1)
    weight = mask.to(x.dtype).unsqueeze(-1)
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1.0)


def resize_channels(x: Tensor, width: int) -> Tensor:
    """Average neighbouring channels so that the last axis has `width` entries.

    MDFT's Eq. 6 and 7 combine tensors of different width without saying how; this is our reading
    where the widths differ (the identity where they do not).
    """
    if x.shape[-1] == width:
        return x
    shape = (*x.shape[:-1], width)
    return nn.functional.adaptive_avg_pool1d(x.reshape(-1, 1, x.shape[-1]), width).reshape(shape)
