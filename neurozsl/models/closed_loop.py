"""The threshold that follows a layer's own spikes, one step late (STFT Eq. 9).

In: P_all of this step (Eq. 7) and the spikes z_{t-1} of the same layer `(batch, C, L)`. Out: theta
of this step `(batch,)`, one threshold per sample and layer. With n_c the spikes of channel c::

    phi_t = sigmoid(P_all,t);    H_{t-1} = mean_c log(n_c) / log(L)       in [0, 1]

log(n) is the entropy of the spikes divided by their sum: n equal shares of 1/n. Eq. 9 as printed
has + N log N, which is never positive and lowers the threshold where the text raises it ("if the
information content is rich ... increase the threshold"); so H enters with the sign of an entropy,
normalised to 1. The output "S^t" that sets V^t would need the spikes that V^t decides about: the
spikes of t-1 are read, in training as later, and none before the first step.

    dynamic   theta_t = theta_0 (phi_t + H_{t-1}) / 1.5              no recurrence (ours)
    clipped   theta_t = (phi_t + H_{t-1}) theta_{t-1}                factor in (0, 2)
    literal   theta_t = (phi_t - mean_c log(n_c) / L) theta_{t-1}    mean of N log N, as printed

all clipped to theta_0 / 4 .. 4 theta_0. The gradient of log(n) is that of the spikes' surrogate.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

ClosedLoop = Literal["fixed", "dynamic", "clipped", "literal"]
RANGE = 4.0  # theta stays within theta_0 / 4 .. 4 theta_0, as MDFT's


def spike_entropy(spikes: Tensor) -> Tensor:
    """Entropy of the spikes of a step in nats, mean over channels: `(batch, C, L)` to `(batch,)`.

    0 where a channel has no spike or one.
    """
    return torch.log(spikes.sum(-1).clamp_min(1.0)).mean(-1)


def next_theta(
    mode: ClosedLoop, *, pooled: Tensor, spikes: Tensor, theta: Tensor, theta_0: float
) -> Tensor:
    """Threshold of a step.

    Args:
        mode: see the module docstring; not "fixed".
        pooled: P_all of this step, `(batch,)`.
        spikes: of the step before, `(batch, C, L)`.
        theta: of the step before, `(batch,)`.
        theta_0: of the layer.

    Returns:
        `(batch,)`.
    """
    length = spikes.shape[-1]
    entropy, phi = spike_entropy(spikes), torch.sigmoid(pooled)
    normal = entropy / math.log(max(length, 2))
    if mode == "dynamic":
        made = theta_0 * (phi + normal) / 1.5
    elif mode == "clipped":
        made = (phi + normal) * theta
    else:
        made = (phi - entropy / length) * theta
    return made.clamp(theta_0 / RANGE, theta_0 * RANGE)
