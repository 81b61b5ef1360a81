"""Latent knowledge combiner: both modalities against slots of latent knowledge (STFT Eq. 1-4).

In: encoded audio A and video V `(batch, time, E)`. Out: R_a, R_v of that shape. With k slots K_i
of E x E entries, for audio (the same for video)::

    g_i  = sigmoid(A K_i / sqrt(E));   K_oa = mean_i g_i * A                        (Eq. 1)
    P_a  = ReLU(W K_oa + b)                                                         (Eq. 2)
    K_i <- alpha_i (P_a' K_oa,i + P_v' K_ov,i) + (1 - alpha_i) K_i                  (Eq. 3)
    X_a  = P_a * K_oa;   R_a = MLP(LN(SA(X_a))) + SA(X_a)                           (Eq. 4)

Readings. Eq. 1 multiplies sizes that do not fit (K_i of 512 x 512, A of a_in x h_emb); a row of A
times K_i as a gate on A is the form that does. The division by sqrt(E) keeps the gate from
saturating, and the mean keeps K_o in the range of A for any k (the sum is printed). Eq. 3 adds
vectors to a matrix and has one K for k slots: P' K_o is the mean outer product, and each slot
follows its own share K_o,i of the sum, else all would become equal. Eq. 4 reads a K^t_oa that is
never defined: the gated feature, since the text has P "selectively remain the fusion features".

`state="buffer"` (default): the outer product is the mean over the batch, the slots are a running
average outside the graph of gradients, moved in training alone, alpha is constant. Batches of
other samples would else leak into the gradient. `state="sample"`: every sample starts from the
same stored slots and updates its own copy step by step, with gradients and a learnt alpha; this
takes (batch, k, E, E) numbers per step, so it is for small E. `state="learnt"`: as `buffer`, with
a learnt alpha: in training Eq. 4 reads Eq. 1 anew with the slots K^t that Eq. 3 has just moved,
K^t_oa = sum_i sigmoid(A K^t_i) * A, so that alpha has a gradient; the outer products and the slots
before have none. This is also where the printed K^t_oa has a meaning.

`pool="sum"` is the sum of Eq. 1 as printed.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import Attention, FeedForward

State = Literal["buffer", "sample", "learnt"]
Pool = Literal["mean", "sum"]
Tokens = Literal["pair", "time"]
_ALPHA = 0.1  # the slots forget over about ten batches, or steps


class LatentKnowledge(nn.Module):
    """Latent knowledge combiner of STFT.

    tokens: what attends to what in Eq. 4: `pair`, audio with video of the same step, as AVCA;
        `time`, the steps of one modality with each other.
    """

    slots: Tensor

    def __init__(
        self,
        width: int,
        *,
        slots: int,
        heads: int,
        head_width: int,
        hidden: int,
        dropout: float,
        tokens: Tokens,
        state: State,
        pool: Pool = "mean",
    ) -> None:
        super().__init__()
        self.width, self.tokens, self.state, self.pool = width, tokens, state, pool
        self.register_buffer("slots", torch.randn(slots, width, width))
        raw = torch.full((slots,), math.log(_ALPHA / (1 - _ALPHA)))
        if state != "buffer":
            self.raw_alpha = nn.Parameter(raw)
        else:
            self.register_buffer("raw_alpha", raw)
        self.gate_audio = nn.Linear(width, width)  # W_oa, b_oa
        self.gate_video = nn.Linear(width, width)
        self.attend = Attention(width, heads, head_width)
        self.feed = FeedForward(width, hidden, dropout)
        self._scope: Any = None

    def share(self, scope: Any) -> None:
        """Read the whole batch where it is trained in several processes (`parallel`)."""
        self._scope = scope

    def _over_batch(self, x: Tensor) -> Tensor:
        return x if self._scope is None else self._scope.sum(x)

    @property
    def alpha(self) -> Tensor:
        """Rate of the update of every slot, in (0, 1), `(k,)`."""
        return torch.sigmoid(self.raw_alpha)

    def shares(self, x: Tensor, slots: Tensor) -> Tensor:
        """g_i * x of Eq. 1: `(batch, time, E)` and slots `(k, E, E)` or `(batch, k, E, E)`."""
        form = "bte,kef->btkf" if slots.dim() == 3 else "bte,bkef->btkf"
        gate = torch.sigmoid(torch.einsum(form, x, slots) / math.sqrt(self.width))
        return gate * x.unsqueeze(2)

    def forward(
        self, audio: Tensor, video: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """R_a and R_v, each `(batch, time, E)`."""
        combine = self._by_sample if self.state == "sample" else self._by_batch
        known_audio, known_video = combine(audio, video, mask)
        return self._reason(known_audio, known_video, mask)

    def _pooled(self, shares: Tensor) -> Tensor:
        """K_o of Eq. 1 from the shares `(batch, time, k, E)`."""
        return shares.mean(2) if self.pool == "mean" else shares.sum(2)

    def _by_batch(self, audio: Tensor, video: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """X_a and X_v with the stored slots, which training then moves."""
        slots = self.slots.clone()  # the stored ones are moved before the gradient has passed
        share_a, share_v = self.shares(audio, slots), self.shares(video, slots)
        gate_a, gate_v = self._gates(share_a, share_v)
        if self.training:
            with torch.no_grad():
                real = torch.ones_like(audio[..., 0]) if mask is None else mask.to(audio.dtype)
                summed = torch.stack(
                    [
                        torch.einsum("bt,bte,btkf->kef", real, gate, share)
                        for gate, share in ((gate_a, share_a), (gate_v, share_v))
                    ]
                ).sum(0)
                new = self._over_batch(summed) / self._over_batch(real.sum()).clamp_min(1)
            alpha = self.alpha[:, None, None]
            moved = alpha * new + (1 - alpha) * slots
            if self.state == "learnt":
                share_a, share_v = self.shares(audio, moved), self.shares(video, moved)
            self.slots.copy_(moved.detach())
        return gate_a * self._pooled(share_a), gate_v * self._pooled(share_v)

    def _by_sample(
        self, audio: Tensor, video: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """X_a and X_v with slots of every sample's own; padded steps leave them alone."""
        slots = self.slots.expand(len(audio), *self.slots.shape)
        alpha, made = self.alpha[:, None, None], []
        for t in range(audio.shape[1]):
            now = slice(t, t + 1)
            share_a, share_v = self.shares(audio[:, now], slots), self.shares(video[:, now], slots)
            gate_a, gate_v = self._gates(share_a, share_v)
            made.append((gate_a * self._pooled(share_a), gate_v * self._pooled(share_v)))
            new = torch.einsum("bte,btkf->bkef", gate_a, share_a)
            new = new + torch.einsum("bte,btkf->bkef", gate_v, share_v)
            rate = alpha if mask is None else alpha * mask[:, t, None, None, None]
            slots = rate * new + (1 - rate) * slots
        return torch.cat([a for a, _ in made], 1), torch.cat([v for _, v in made], 1)

    def _gates(self, share_a: Tensor, share_v: Tensor) -> tuple[Tensor, Tensor]:
        """P_a and P_v of Eq. 2."""
        return (
            torch.relu(self.gate_audio(self._pooled(share_a))),
            torch.relu(self.gate_video(self._pooled(share_v))),
        )

    def _reason(self, audio: Tensor, video: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Eq. 4."""
        if self.tokens == "pair":
            pair = torch.stack([audio, video], 2)  # (batch, time, 2, E)
            tokens = pair.flatten(0, 1)
            mixed = self.feed(self.attend(tokens, tokens)).reshape(pair.shape)
            return mixed[:, :, 0], mixed[:, :, 1]
        return (
            self.feed(self.attend(audio, audio, mask)),
            self.feed(self.attend(video, video, mask)),
        )
