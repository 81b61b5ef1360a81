"""What the loops over time read and give back, whichever library runs them.

In: `NeuronConstants` of a layer and, between two calls, its `NeuronState`. Out: a `NeuronRun`. The
loops are `kernels` (numba) and `kernels_torch`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import Array
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.program import REGISTER_LIMIT
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule

# Threshold << 6 of neurons that never spike: one above the largest state.
NO_SPIKES: Final = fp.STATE_LIMIT


@dataclass(frozen=True, eq=False)
class NeuronConstants:
    """Constants of one layer for the kernels.

    up, down: shifts that turn the product sums into `a` (sum << up >> down).
    to_current, to_membrane: int32 `(out,)`, added to a, and to v.
    keep_u = 4096 - (du + 1), keep_v = 4096 - dv.
    reach: no legal input makes |a| larger; the adder's end where nothing is known.
    rule: what happens at the threshold; its lower bound is in state LSBs. A layer that does not
        spike gets a threshold that no state passes (`NO_SPIKES`).
    """

    up: int
    down: int
    to_current: npt.NDArray[np.int32]
    to_membrane: npt.NDArray[np.int32]
    keep_u: int
    keep_v: int
    reach: int = REGISTER_LIMIT
    rule: NeuronRule = PLAIN_RULE

    @property
    def lowest(self) -> int:
        """Smallest state that the rule leaves; the end of the state without a lower bound."""
        low = self.rule.low
        return max(-fp.STATE_LIMIT, -fp.STATE_LIMIT if low is None else math.ceil(low))

    @property
    def shifts(self) -> tuple[int, int]:
        """(right, left): a << 6 = sum >> right << left, before the bias."""
        return max(self.down - self.up, 0), max(self.up - self.down, 0) + fp.ALIGN_BITS


@dataclass(frozen=True)
class NeuronState:
    """State `(batch, out)`; the kernels change it in place.

    u: None without synaptic memory. owed: what a late reset takes off the next state, n (vth << 6)
    or, of a reset to zero, n; None without a late reset.
    """

    u: Array
    v: Array
    owed: Array


@dataclass(frozen=True)
class NeuronRun:
    """Spikes uint8 and membrane int32 `(batch, time, out)`; overflow, saturation counts."""

    spikes: Array
    membrane: Array
    overflow: int
    saturation: int


@lru_cache(maxsize=256)
def reachable(constants: NeuronConstants, steps: int | None) -> tuple[bool, bool]:
    """Whether any legal input can wrap the current, and clip the membrane.

    |u(t)| <= keep_u / 4096 |u(t-1)| + 64 |a|, hence |u| <= 64 |a| 4096 / (4096 - keep_u) and
    |u| <= 64 |a| steps; the same for v with |u| + |bias|. A reset that acts at once brings v
    nearer to 0; one that comes late takes off what the decay may have left little of, so that v
    may be as much lower: |u| + |bias| + max_spikes (2^17 << 6) a step.

    steps: from rest, None where they are not known.
    """
    u = _accumulated(constants.reach << fp.ALIGN_BITS, constants.keep_u, steps)
    bias = int(np.abs(constants.to_membrane).max(initial=0))
    late = 0
    if constants.rule.reset == "subtract-late":
        late = constants.rule.max_spikes * (fp.THRESHOLD_MAX << fp.ALIGN_BITS)
    v = _accumulated(u + bias + late, constants.keep_v, steps)
    return u >= fp.STATE_LIMIT, v >= fp.STATE_LIMIT


def _accumulated(added: int, keep: int, steps: int | None) -> int:
    """Largest state that steps of at most `added` build up; the end of the state if unbounded."""
    bounds = []
    if keep < fp.DECAY_UNITY:
        bounds.append(added * fp.DECAY_UNITY // (fp.DECAY_UNITY - keep))
    if steps is not None:
        bounds.append(added * steps)
    return min(bounds, default=fp.STATE_LIMIT if added else 0)
