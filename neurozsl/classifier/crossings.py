"""Integrate-and-fire neurons on a chip without a clock, trained in steps.

On Speck a neuron spikes at the very event that lifts it over its threshold, whatever comes later in
the same step. With reset by subtraction and no lower bound the spikes until a moment are

    N(t) = floor(max_{s <= t} S(s) / theta)                                     (1)

with S the sum of all that arrived: only the highest point of the path counts. In steps S is known
where a step begins and where it ends. In between its events come in an order that nobody knows, so
the path is taken for a Brownian bridge from one to the other whose variance is the sum of the
squared weights of the events, Q = sum (w x)^2, and its highest point is drawn:

    P(max > m) = exp(-2 (m - begin) (m - end) / Q),   m >= begin, end           (2)
    m = (begin + end + sqrt((end - begin)^2 - 2 Q ln u)) / 2,   u uniform in (0, 1]

(W. Feller, An Introduction to Probability Theory and its Applications II, reflection principle; the
second line is the first solved for m.) A bias enters at the tick that ends a step, so the bridge
ends before it. What has learned under these draws spikes alike in whatever order its events come.

The gradient of (1) is that of a softplus of the highest point, a threshold smoothed by `WIDTH`.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from neurozsl.hardware.network.neuron import MAX_SPIKES, NeuronRule

RULE: Final = NeuronRule("subtract", MAX_SPIKES, ">=")
DRAWN_FROM: Final = 0.6  # share of the epochs; before, weights are far from theirs
WIDTH: Final = 0.5  # of the smoothed threshold, in thresholds
_TINY: Final = 1e-9  # keeps the root's gradient finite where a step brings nothing


def counted(
    drive: Tensor, theta: Tensor, *, spread: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Spikes of each step, `(batch, time, ...)` as `drive`, by (1).

    Args:
        drive: what a step adds to the membrane, bias included.
        theta: threshold, above 0, of a shape that broadcasts over the drive.
        spread: Q of (2), of the drive's shape; None: events of a step come as their sum.
        bias: the part of the drive that enters at the end of a step.

    >>> counted(torch.tensor([[[0.6], [1.5], [-3.0], [2.0]]]), torch.tensor(1.0)).flatten().tolist()
    [0.0, 2.0, 0.0, 0.0]
    """
    total = torch.cumsum(drive / theta, 1)
    highest = total
    if spread is not None:
        begin = torch.cat([torch.zeros_like(total[:, :1]), total[:, :-1]], 1)
        end = total if bias is None else total - bias / theta
        draw = torch.rand_like(total).clamp(min=torch.finfo(total.dtype).tiny)
        width = (end - begin) ** 2 - 2 * (spread / theta**2).clamp(min=0) * torch.log(draw)
        highest = torch.maximum(total, (begin + end + torch.sqrt(width + _TINY)) / 2)
    reached = torch.cummax(highest, 1).values
    soft = WIDTH * functional.softplus((reached - 0.5) / WIDTH)
    until = torch.floor(reached.detach()).clamp(min=0) + (soft - soft.detach())
    return torch.cat([until[:, :1], until[:, 1:] - until[:, :-1]], 1)
