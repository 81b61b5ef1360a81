"""TCaF's tokens and its temporal cross-attention (Mercea et al., ECCV 2022, section 3).

Tokens: a step's encoding x `(width)` and its position become one token `(width)`, per modality::

    turns_k = time (r_0k + r_1k)                r: 2 x positions/2 normal numbers x scale, fixed
    p       = Linear([sin 2 pi turns; cos 2 pi turns]) + modality row (+ pad row where padded)
    token   = Drop(Linear_m([x; p])),  m = audio, video

Attention: over [cls; audio steps; video steps] a step reads cls and the steps of the *other*
modality, cls reads everything, and nobody reads padding. A layer, with one LayerNorm for both
halves::

    x <- x + Drop(MHSA(LN x));    x <- x + FF(LN x)

FF is Linear - GELU - Drop - Linear - Drop; queries, keys and values have no bias.

The turns are computed in double precision and cut to their fraction before sine and cosine. At 300
s their phases reach 50,000 rad, which a float32 knows to 0.004 rad alone: positions of the public
code, in float32, are rounded that much.
"""

import math

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import Attention, gelu_map


class TokenPositions(nn.Module):
    """Adds positions to the encoded steps of both modalities; no position for the cls token."""

    def __init__(self, width: int, *, positions: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", scale * torch.randn(2, positions // 2))
        self.fourier = nn.Linear(positions, positions)
        self.modality = nn.Embedding(2, positions)  # rows: audio, video
        self.pad = nn.Embedding(1, positions)
        self.audio = nn.Linear(width + positions, width)
        self.video = nn.Linear(width + positions, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, times: Tensor, *, video: bool) -> Tensor:
        """Tokens `(batch, time, width)` of one modality.

        `x` `(batch, time, width)`; `mask` `(batch, time)`, True = real; `times` `(batch, time)` in
        seconds, or whatever unit training has used.
        """
        where = self._fourier(times, x.dtype) + self.modality.weight[int(video)]
        padded = (~mask).to(x.dtype)[..., None]
        where = where + padded * self.pad.weight[0]  # nobody reads it, as nobody reads padding
        joined = torch.cat([x, where], -1)
        tokens: Tensor = self.dropout(self.video(joined) if video else self.audio(joined))
        return tokens

    def _fourier(self, times: Tensor, dtype: torch.dtype) -> Tensor:
        turns = times.double()[..., None] * self.get_buffer("frequencies").double().sum(0)
        phase = (2 * math.pi * torch.frac(turns)).to(dtype)
        made: Tensor = self.fourier(torch.cat([phase.sin(), phase.cos()], -1))
        return made


def readable(audio: Tensor, video: Tensor) -> Tensor:
    """Which token reads which: `(batch, 1 + Ta + Tv, 1 + Ta + Tv)`, rows read columns.

    `audio` `(batch, Ta)` and `video` `(batch, Tv)`: True = a real step. Padding reads cls alone, so
    that its softmax is over something; the public code gives it the mean over all, and in neither
    is it read.
    """
    cls = audio.new_ones(len(audio), 1)
    real = torch.cat([cls, audio, video], 1)
    sizes = torch.tensor([1, audio.shape[1], video.shape[1]], device=audio.device)
    kind = torch.repeat_interleave(torch.arange(3, device=audio.device), sizes)
    other = kind[:, None] != kind[None, :]
    other[0, 0] = True  # cls reads itself
    may = other & real[:, None, :] & real[:, :, None]
    may[:, :, 0] = True
    return may


class CrossModalLayer(nn.Module):
    """One layer; attention and feed-forward share their LayerNorm."""

    def __init__(
        self, width: int, *, heads: int, head_width: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attend = Attention(width, heads, head_width)
        self.dropout = nn.Dropout(dropout)
        self.feed = gelu_map(width, hidden, dropout)

    def forward(self, x: Tensor, may_read: Tensor) -> Tensor:
        """`x` `(batch, token, width)`, `may_read` `(batch, token, token)` from `readable`."""
        normed = self.norm(x)
        x = x + self.dropout(self.attend(normed, normed, may_read))
        fed: Tensor = self.feed(self.norm(x))
        return x + fed
