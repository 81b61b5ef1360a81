"""The integer neuron over time in torch operations, on any device: the twin of `kernels`.

Everything is int64, step by step; the equations are in the docstring of `program`.
"""

import torch

from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.emulator.neurons import NeuronConstants, NeuronRun, NeuronState

_TOP = fp.STATE_LIMIT - 1


def rest(constants: NeuronConstants, samples: int, device: torch.device | str) -> NeuronState:
    """State at rest for `run_torch`."""
    shape = (samples, len(constants.to_membrane))
    u, v, owed = (torch.zeros(shape, dtype=torch.int64, device=device) for _ in range(3))
    return NeuronState(u, v, owed)


def run_torch(
    sums: torch.Tensor,
    threshold: torch.Tensor,
    constants: NeuronConstants,
    *,
    keep_membrane: bool,
    state: NeuronState | None = None,
) -> NeuronRun:
    """Integer neurons over time; arguments and counts as `kernels.run_numba`.

    Sums and thresholds are tensors on the device that computes; so are the uint8 spikes and the
    int32 membrane.
    """
    samples, steps, size = sums.shape
    device = sums.device
    spikes = torch.empty(sums.shape, dtype=torch.uint8, device=device)
    kept_steps = steps if keep_membrane else 0
    membrane = torch.empty((samples, kept_steps, size), dtype=torch.int32, device=device)
    counts = torch.zeros(2, dtype=torch.int64, device=device)
    to_current = torch.from_numpy(constants.to_current).to(device)
    to_membrane = torch.from_numpy(constants.to_membrane).to(device)
    state = rest(constants, samples, device) if state is None else state
    u, v = state.u, state.v
    for t in range(steps):
        a = ((sums[:, t].to(torch.int64) << constants.up) >> constants.down) + to_current
        new_u = _decayed(u, constants.keep_u) + (a << fp.ALIGN_BITS)
        folded = torch.where(new_u <= -fp.STATE_LIMIT, new_u + 2 * fp.STATE_LIMIT, new_u)
        folded = torch.where(new_u > fp.STATE_LIMIT, new_u - 2 * fp.STATE_LIMIT, folded)
        counts[0] += ((folded != new_u) | (a.abs() >= fp.ACCUMULATOR_LIMIT)).sum()
        new_v = _decayed(v, constants.keep_v) + folded + to_membrane
        if constants.rule.reset == "subtract-late":
            new_v -= state.owed
        elif constants.rule.reset == "zero-late":
            new_v.masked_fill_(state.owed != 0, 0)
        inside = new_v.clamp(-_TOP, _TOP)
        counts[1] += (inside != new_v).sum()
        u.copy_(folded)
        spikes[:, t] = _fire(constants, inside, threshold[:, t, None], state)
        if keep_membrane:
            membrane[:, t] = v
    overflow, saturation = counts.tolist()
    return NeuronRun(spikes, membrane, overflow, saturation)


def _fire(
    constants: NeuronConstants, x: torch.Tensor, limit: torch.Tensor, state: NeuronState
) -> torch.Tensor:
    """Spike counts of membranes x; the state becomes what they leave."""
    rule, level = constants.rule, x
    if rule.reset == "subtract-nodelay":
        level = x - limit * (state.v > limit)
    fired = level >= limit if rule.compare == ">=" else level > limit
    count = fired.to(torch.int64)
    if rule.max_spikes > 1:
        # A threshold of 0 divides nothing: what fires there sends max_spikes.
        several = torch.div(x, limit.clamp(min=1), rounding_mode="floor")
        several = several.masked_fill(limit == 0, rule.max_spikes).clamp(max=rule.max_spikes)
        count = several.masked_fill(~fired, 0)
    left = x
    if rule.reset == "zero":
        left = x.masked_fill(fired, 0)
    elif rule.reset in ("subtract", "subtract-nodelay"):
        left = x - count * limit
    elif rule.is_late:
        state.owed.copy_(count * limit if rule.reset == "subtract-late" else count)
    state.v.copy_(left if rule.low is None else left.clamp(min=constants.lowest))
    return count


def _decayed(x: torch.Tensor, keep: int) -> torch.Tensor:
    """Multiply by keep / 4096 towards zero: a shift floors, so negative products get 4095 first."""
    product = x * keep
    return (product + ((product >> 63) & fp.DECAY_MAX)) >> fp.DECAY_BITS
