"""Cross-modal reasoning module: scene and motion of both modalities into one vector (Eq. 10, 11).

In: a, v `(batch, time, E)`, motion j_a, j_v `(batch, time, M)` or None, joint knowledge h or None.
Out: `(batch, E)`. Time is the token axis, so that attention has more than one key.

    R_a = CA(a, gate(a, j_a));    P_a = MLP(LN(R_a)) + R_a        (Eq. 10; the same for v)
    Z = MHCA(P_v, [P_a, h]);      F = MLP(LN(Z)) + Z, mean over time    (Eq. 11)

`gate="printed"` is a * sigmoid(j), as printed (where j is not E wide, neighbouring channels are
averaged, as in Eq. 6). `gate="sigmoid"` is a * sigmoid(W j), which fits any width; both can only
rescale a. `gate="tokens"` (ours) gives W j as further keys beside a and adds a to R_a, so that
motion can add what the scene lacks.

`keys="audio"` is Eq. 11 as printed, P_a alone. `keys="both"` has h beside it: section 3.3 wants the
relation "between the fused semantic, temporal features, and joint knowledge" explored there, and
no equation but this one could. `depth` is that of the "stack of standard transformer layers": the
queries of a further layer are F of the one before, its keys stay.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import Attention, CrossLayer, FeedForward, masked_mean, resize_channels

Gate = Literal["sigmoid", "tokens", "printed"]
Keys = Literal["both", "audio"]


def twice(mask: Tensor | None) -> Tensor | None:
    """The mask of two token sets laid end to end."""
    return None if mask is None else torch.cat([mask, mask], 1)


class MotionGate(nn.Module):
    """Eq. 10 for one modality."""

    def __init__(
        self,
        width: int,
        motion: int,
        *,
        heads: int,
        head_width: int,
        gate: Gate,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.gate = gate
        self.lift = nn.Linear(motion, width) if motion and gate != "printed" else None
        self.attend = Attention(width, heads, head_width)
        self.feed = FeedForward(width, hidden, dropout)

    def forward(self, x: Tensor, motion: Tensor | None, mask: Tensor | None) -> Tensor:
        """`x` (batch, time, E), `motion` (batch, time, M) or None -> (batch, time, E)."""
        if motion is None:
            r = self.attend(x, x, mask)
        elif self.lift is None:
            r = self.attend(x, x * torch.sigmoid(resize_channels(motion, x.shape[-1])), mask)
        elif self.gate == "sigmoid":
            r = self.attend(x, x * torch.sigmoid(self.lift(motion)), mask)
        else:
            r = self.attend(x, torch.cat([x, self.lift(motion)], 1), twice(mask))
        y: Tensor = self.feed(r + x if self.gate == "tokens" else r)
        return y


class CRM(nn.Module):
    """Cross-modal reasoning module of MDFT; `motion` holds the width M of each motion stream.

    hidden: width inside the MLPs, 2 E by default. The others: see the module's docstring.
    """

    def __init__(
        self,
        width: int,
        motion: Mapping[str, int],
        *,
        heads: int,
        head_width: int,
        gate: Gate,
        dropout: float,
        keys: Keys = "both",
        depth: int = 1,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.keys = keys
        hidden = hidden or 2 * width
        size = {"heads": heads, "head_width": head_width, "hidden": hidden}
        audio, video = motion.get("audio", 0), motion.get("video", 0)
        self.audio = MotionGate(width, audio, gate=gate, dropout=dropout, **size)
        self.video = MotionGate(width, video, gate=gate, dropout=dropout, **size)
        self.cross = Attention(width, heads, head_width)
        self.feed = FeedForward(width, hidden, dropout)
        self.deeper = nn.ModuleList(
            CrossLayer(width, dropout=dropout, **size) for _ in range(depth - 1)
        )

    def forward(
        self,
        audio: Tensor,
        video: Tensor,
        motion: Mapping[str, Tensor],
        knowledge: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Fuse everything into `(batch, E)`; `motion` holds j of `audio`, `video`, both or none."""
        p_a = self.audio(audio, motion.get("audio"), mask)
        p_v = self.video(video, motion.get("video"), mask)
        keys, key_mask = p_a, mask
        if knowledge is not None and self.keys == "both":
            keys, key_mask = torch.cat([p_a, knowledge], 1), twice(mask)
        joint: Tensor = self.feed(self.cross(p_v, keys, key_mask))
        for layer in self.deeper:
            joint = layer(joint, keys, key_mask)
        return masked_mean(joint, mask)


class MeanFusion(nn.Module):
    """What stands in where the CRM is ablated ("w/o CRM"): concatenate, mix linearly, average."""

    def __init__(self, width: int, motion: Mapping[str, int]) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * width + sum(motion.values()), width)

    def forward(
        self,
        audio: Tensor,
        video: Tensor,
        motion: Mapping[str, Tensor],
        knowledge: Tensor | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Same contract as `CRM.forward`; the joint knowledge is added to both streams."""
        if knowledge is not None:
            audio, video = audio + knowledge, video + knowledge
        parts = [audio, video, *motion.values()]
        mixed: Tensor = torch.relu(self.mix(torch.cat(parts, -1)))
        return masked_mean(mixed, mask)
