"""Events of a feature sequence: ternary, at most one per step, as a pixel's events of change.

The reference moves to the current value where there is an event. This is what the spiking motion
branch receives from the visual stream.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput

FEATURE_LOG_EPS = 0.1

First = Literal["self", "zero"]


def feature_events(
    features: Tensor, threshold: float, *, log: bool = False, first: First = "self"
) -> Tensor:
    """Returns ternary events of a feature sequence, -1, 0, 1 in its type (not differentiable).

    With v = x, or v = log(relu(x) + 0.1) when `log`, and per feature:

        e_t = sign(v_t - ref) if |v_t - ref| >= C, else 0;    ref <- v_t where e_t != 0

    Args:
        features: (B, T, D).
        threshold: C > 0, in units of v.
        log: compare logarithms.
        first: "self" starts ref at v_0, so step 0 has no event; "zero" starts it at the value of
            x = 0, which is what lets repeated (constant) features give events in step 0.

    """
    return events_of(feature_changes(features, threshold, log=log, first=first), threshold)


def events_of(changes: Tensor, threshold: float) -> Tensor:
    """Returns the ternary events of `feature_changes`."""
    return torch.where(changes.abs() >= threshold, changes.sign(), torch.zeros_like(changes))


@torch.no_grad()
def feature_changes(
    features: Tensor, threshold: float, *, log: bool = False, first: First = "self"
) -> Tensor:
    """Returns v_t - ref of every step, (B, T, D), which `feature_events` compares with C."""
    if threshold <= 0:
        raise BadInput(f"feature events: threshold {threshold}; it must be above 0")
    value = torch.log(torch.relu(features) + FEATURE_LOG_EPS) if log else features
    if first == "self":
        reference = value[:, 0]
    else:
        zero = float(np.log(FEATURE_LOG_EPS)) if log else 0.0
        reference = torch.full_like(value[:, 0], zero)
    steps = []
    for current in value.unbind(dim=1):
        change = current - reference
        steps.append(change)
        reference = torch.where(change.abs() >= threshold, current, reference)
    return torch.stack(steps, dim=1)
