"""Dynamic threshold of the spiking branch, computed on the host (MDFT Eq. 7).

In: joint features S `(batch, time, E)` of the RJLU and motion features `(batch, time, any)`.
Out: theta `(batch, time)`, one threshold per sample and step. With p = softmax(S)::

    phi_t = sigmoid(mean(S_t))
    omega_t = sum_i p_i log(1/p_i + |E_i|) / log E          (entropy of S, raised by events)

Eq. 7 as printed has omega = -N log(1/N + E), which at E = 0 is N log N <= 0: the opposite sign of
the text ("a high entropy raises the threshold"), undefined where 1/N + E = 0, and its recurrence
theta_t = (phi + omega) theta_{t-1} grows or vanishes geometrically. So the mode that is deployed
has no recurrence; the others are ablations, and saturate:

    dynamic     theta_t = theta_0 (phi_t + omega_t) / 1.5
    clipped     theta_t = clip((phi_t + omega_t) theta_{t-1}, 1/4 theta_0, 4 theta_0)
    centred     theta_t = clip((phi_t + omega_t - 1/2) theta_{t-1}, 1/4 theta_0, 4 theta_0)
    literal     theta_t = clip((phi_t + omega'_t) theta_{t-1}, same), omega' as printed
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from neurozsl.models.blocks import resize_channels

ThresholdMode = Literal["fixed", "dynamic", "literal", "clipped", "centred"]
_RANGE = 4.0  # theta stays within theta_0 / 4 .. 4 theta_0 in the recurrent ablations


def context_gain(joint: Tensor) -> Tensor:
    """Context gain phi of Eq. 7: sigmoid of the average-pooled joint features, `(batch, time)`."""
    return torch.sigmoid(joint.mean(-1))


def motion_entropy(joint: Tensor, events: Tensor) -> Tensor:
    """Entropy omega of Eq. 7 in our reading, `(batch, time)`; events raise it.

    Written as -p log p + p log(1 + p |E|), which stays finite where p underflows to 0.
    """
    log_p = torch.log_softmax(joint, -1)
    p = log_p.exp()
    moved = resize_channels(events.abs(), joint.shape[-1])
    return (p * (torch.log1p(p * moved) - log_p)).sum(-1) / math.log(joint.shape[-1])


def motion_entropy_literal(joint: Tensor, events: Tensor) -> Tensor:
    """Entropy omega of Eq. 7 as printed, N = softmax, `(batch, time)`; 1/N + E >= 1e-6 is kept."""
    log_p = torch.log_softmax(joint, -1)
    p = log_p.exp()
    moved = resize_channels(events, joint.shape[-1])
    inside = torch.maximum(1 + p * moved, 1e-6 * p)  # p (1/p + E)
    return (p * (log_p - torch.log(inside))).sum(-1)


def thresholds(
    joint: Tensor, events: Tensor, *, theta_0: float, mode: ThresholdMode
) -> Tensor | None:
    """Threshold of every sample and step, `(batch, time)`; None for the mode `fixed`."""
    if mode == "fixed":
        return None
    omega = motion_entropy_literal if mode == "literal" else motion_entropy
    factor = context_gain(joint) + omega(joint, events)
    if mode == "dynamic":
        return theta_0 * factor / 1.5
    factor = factor - 0.5 if mode == "centred" else factor
    theta = torch.full_like(factor[:, 0], theta_0)
    steps = []
    for t in range(factor.shape[1]):
        theta = (factor[:, t] * theta).clamp(theta_0 / _RANGE, theta_0 * _RANGE)
        steps.append(theta)
    return torch.stack(steps, 1)


def saturated_share(theta: Tensor, theta_0: float) -> float:
    """Share of steps on either end of the allowed range: near 1 the recurrence has degenerated."""
    ends = (theta <= theta_0 / _RANGE) | (theta >= theta_0 * _RANGE)
    return float(ends.float().mean())
