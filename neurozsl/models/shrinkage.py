"""Timestep shrinkage: T_i steps of one stage become T_{i+1} < T_i steps of the next.

In: `(batch, T_i, any)` and the mask of the real steps; out: the same with T_{i+1} steps. Every
later step averages a group of neighbouring earlier ones (groups as even as they can be)::

    y_j = sum_t w_jt m_t x_t / sum_t w_jt m_t        w_jt > 0 only where t lies in group j

`mean` has equal weights; `learnt` has w_j = softmax of one number per earlier step, and starts at
the mean. Both keep the value of a constant sequence. A step is real where any of its group is.

Stages of decreasing length, with an early loss after each, are those of Ding et al., "Shrinking
Your TimeStep", AAAI 2024 (arXiv 2401.01912); the caption of MDST++'s Fig. 4 describes the same.
Their temporal transformer between two stages is left for the weighted mean.
"""

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput


def stage_lengths(steps: int, stages: int) -> tuple[int, ...]:
    """Steps of every stage by halving: T, T/2, T/4 and so on, rounded down.

    Raises:
        BadInput: a stage would be as long as the one before it.

    >>> stage_lengths(10, 3)
    (10, 5, 2)
    """
    lengths = tuple(steps >> i for i in range(stages))
    if lengths[-1] < 1:
        raise BadInput(
            f"model 'mdst++': stages={stages} of {steps} steps, halving ends after "
            f"{steps.bit_length()} stages; use fewer stages"
        )
    return lengths


def groups(before: int, after: int) -> Tensor:
    """Membership of the steps: `(after, before)` of 0 and 1, one 1 in every column.

    >>> groups(5, 2).int().tolist()
    [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    """
    group = torch.arange(before) * after // before
    return (torch.arange(after)[:, None] == group).float()


def pool(x: Tensor, weight: Tensor, mask: Tensor | None) -> Tensor:
    """Weighted mean over the real steps of every group; 0 where a group has none.

    `x` `(batch, before, any)`, `weight` `(after, before)`, `mask` `(batch, before)`, True = real,
    None: all are -> `(batch, after, any)`.
    """
    if mask is None or bool(mask.all()):
        return (weight / weight.sum(1, keepdim=True)) @ x
    shares = weight * mask.unsqueeze(1).to(weight.dtype)  # (batch, after, before)
    return (shares / shares.sum(-1, keepdim=True).clamp_min(1e-12)) @ x


def pool_mask(mask: Tensor, after: int) -> Tensor:
    """A later step is real where any step of its group is: `(batch, after)`."""
    return (mask.to(torch.float32) @ groups(mask.shape[1], after).to(mask.device).t()) > 0


class Shrinkage(nn.Module):
    """From `before` to `after` steps; the identity where they are equal."""

    def __init__(self, before: int, after: int, *, learnt: bool) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.register_buffer("member", groups(before, after), persistent=False)
        self.logit = nn.Parameter(torch.zeros(before)) if learnt and before > after else None

    @property
    def weight(self) -> Tensor:
        """Weights `(after, before)`, rows sum to 1."""
        assert isinstance(self.member, Tensor)
        if self.logit is None:
            return self.member / self.member.sum(1, keepdim=True)
        return self.logit.masked_fill(self.member == 0, -torch.inf).softmax(1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, before, any)` -> `(batch, after, any)`."""
        return x if self.before == self.after else pool(x, self.weight, mask)


def stretch(x: Tensor, steps: int) -> Tensor:
    """Back to `steps` steps: every step repeated over its group, `(batch, steps, any)`."""
    return x[:, torch.arange(steps, device=x.device) * x.shape[1] // steps]
