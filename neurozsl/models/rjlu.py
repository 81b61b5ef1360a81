"""Recurrent joint learning unit: joint knowledge of both modalities over time (MDFT Eq. 1-3).

In: encoded audio a and video v `(batch, time, E)`. Out: joint features S `(batch, time, E)` and
joint knowledge h `(batch, time, E)`. Per step t::

    C_a = CA(AP(a_t), AP(h_{t-1}))      C_v = CA(AP(v_t), AP(h_{t-1}))            (Eq. 1)
    C = SA(CAT(a_t, h_{t-1}, v_t));     S_t = MLP(LN(C)) + C, slot of h           (Eq. 2)
    g = sigmoid(C_a + C_v);             h_t = g h_{t-1} + (1 - g) S_t             (Eq. 3)

Readings: Eq. 1 is printed with h^{t-1} in one copy and h^t in another; h^t does not exist yet, so
h^{t-1} it is. A step is one token, so a pooled vector is one key and its attention weight would be
1; `slots` cuts the vector into that many tokens, which keeps the query relevant. `slots=1` is the
printed form, a linear map of h, whose query and key maps get no gradient. Eq. 2 gives three tokens
and h has one: the slot of h is kept. Eq. 3 uses C_a + C_v as a convex gate without bounding it: the
sigmoid is ours, `literal=True` leaves it out. h_0 is learnt.
"""

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import Attention, FeedForward


class RJLU(nn.Module):
    """Recurrent joint learning unit of MDFT; `hidden`: width inside its MLP, 2 E by default."""

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        head_width: int,
        slots: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
        literal: bool = False,
    ) -> None:
        super().__init__()
        self.slots, self.literal = slots, literal
        self.start = nn.Parameter(torch.zeros(width))
        self.cross_audio = Attention(width // slots, 1, width // slots)
        self.cross_video = Attention(width // slots, 1, width // slots)
        self.mix = Attention(width, heads, head_width)
        self.feed = FeedForward(width, hidden or 2 * width, dropout)

    def cross(self, attention: Attention, x: Tensor, h: Tensor) -> Tensor:
        """CA of two pooled vectors `(batch, width)`, cut into `slots` tokens."""
        tokens: Tensor = attention(
            x.reshape(len(x), self.slots, -1), h.reshape(len(h), self.slots, -1)
        )
        return tokens.flatten(-2)

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """Run over time: returns (S, h), each `(batch, time, width)`."""
        h = self.start.expand(audio.shape[0], -1)
        joint, knowledge = [], []
        for t in range(audio.shape[1]):
            a, v = audio[:, t], video[:, t]
            c_av = self.cross(self.cross_audio, a, h) + self.cross(self.cross_video, v, h)
            tokens = torch.stack([a, h, v], dim=1)  # (batch, 3, width)
            s = self.feed(self.mix(tokens[:, 1:2], tokens)).squeeze(1)  # only h's slot is kept
            gate = c_av if self.literal else torch.sigmoid(c_av)
            h = gate * h + (1 - gate) * s
            joint.append(s)
            knowledge.append(h)
        return torch.stack(joint, 1), torch.stack(knowledge, 1)
