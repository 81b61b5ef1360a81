"""Time-step factors: how much each step says, from the spikes themselves (STFT Eq. 8).

    alpha_t = max_c softmax_t(o_{t, c});   S = sum_t alpha_t o_t

o_t are the spikes of the last layer. Readings: Eq. 8 sums from T to 1 and weighs the *input* I_i(t)
of a neuron by itself; it is the output that is synthesised. The maximum over channels makes the
factors sum to more than 1, so they are divided by their sum; `literal=True` leaves that out.
"""

import torch
from torch import Tensor


def time_step_factors(
    spikes: Tensor, mask: Tensor | None = None, *, literal: bool = False
) -> Tensor:
    """The factors alpha `(batch, time)`; each row sums to 1, unless literal; padded steps get 0.

    `spikes` `(batch, time, neuron)`, `mask` `(batch, time)`, True = real step.
    """
    scores = spikes if mask is None else spikes.masked_fill(~mask.unsqueeze(-1), -torch.inf)
    factors = torch.softmax(scores, 1).amax(-1)
    return factors if literal else factors / factors.sum(1, keepdim=True)


def synthesise(spikes: Tensor, factors: Tensor) -> Tensor:
    """S of Eq. 8: `(batch, time, neuron)` -> `(batch, neuron)`."""
    return torch.einsum("btn,bt->bn", spikes, factors)
