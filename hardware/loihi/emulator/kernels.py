"""The integer neuron over time as one compiled loop: numba on the CPU.

It takes the weighted sums of a layer for all steps and returns spikes. Where numba is absent, and
on other devices, `kernels_torch` computes the same; a test holds them equal bit for bit. Equations:
`program` module docstring; widths: `fixedpoint`.

One function is written and numba makes a loop of its own for every combination of argument types,
so what is None costs nothing: u where the layer has no synaptic memory, wraps and clips where no
legal input can leave the range (`reachable`), the rule where a neuron sends one spike above its
threshold and starts again from zero. State and arithmetic have the type of v: int32, or
int64 where sums far beyond the accumulator meet a synaptic memory.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.emulator.neurons import (
    NeuronConstants,
    NeuronRun,
    NeuronState,
    reachable,
)
from neurozsl.hardware.network.neuron import Reset

try:
    import numba
except ImportError:  # a Python or CPU that numba does not support yet: torch computes the same
    numba = None
HAS_NUMBA: Final = numba is not None

# int32 constants and casts keep numba from widening the arithmetic to 64 bits.
_I: Final = np.int32
_LIMIT: Final = _I(fp.STATE_LIMIT)
_SPAN: Final = _I(2 * fp.STATE_LIMIT)
_TOP: Final = _I(fp.STATE_LIMIT - 1)
_DECAY: Final = _I(fp.DECAY_BITS)
_LOW: Final = _I(fp.DECAY_MAX)
_SIGN: Final = _I(31)
# Resets as the loop takes them; a late one is told by what it owes.
ZERO, SUBTRACT, NONE, NODELAY = _I(0), _I(1), _I(2), _I(3)
RESETS: Final[Mapping[Reset, Any]] = {
    "zero": ZERO,
    "zero-late": ZERO,
    "subtract": SUBTRACT,
    "subtract-late": SUBTRACT,
    "none": NONE,
    "subtract-nodelay": NODELAY,
}


def rest(constants: NeuronConstants, samples: int) -> NeuronState:
    """State at rest for `run_numba`."""
    # Up to here one fold brings u back into 24 bits; beyond, u + (a << 6) may need more than 32.
    wide = constants.keep_u > 0 and constants.reach << fp.ALIGN_BITS > 2 * fp.STATE_LIMIT
    # What a late subtraction of several spikes takes off may need more than 32 bits as well.
    wide = wide or (constants.rule.is_late and constants.rule.max_spikes > 1)
    kind = np.int64 if wide else np.int32
    shape = (samples, len(constants.to_membrane))
    u = np.zeros(shape, kind) if constants.keep_u else None
    owed = np.zeros(shape, kind) if constants.rule.is_late else None
    return NeuronState(u, np.zeros(shape, kind), owed)


def _neurons(
    sums: Any,
    threshold: Any,
    right: Any,
    left: Any,
    to_current: Any,
    to_membrane: Any,
    keep_u: Any,
    keep_v: Any,
    u: Any,
    v: Any,
    owed: Any,
    rule: Any,
    wraps: Any,
    clips: Any,
    spikes: Any,
    membrane: Any,
) -> None:
    """All samples, steps and neurons of a layer; arrays as in `run_numba`, to_current << 6.

    |x| keep needs 36 bits, so x is split: x = 4096 h + l and
    (x keep + c) >> 12 = h keep + ((l keep + c) >> 12), exact because 4096 h keep >> 12 leaves
    nothing behind; c = 4095 for negative x turns the floor into truncation towards zero.

    rule: None, or (1 for >=, most spikes, the number of the reset in `RESETS`, smallest state).
    owed: of a late reset, else None.
    """
    cast = v.dtype.type
    samples, steps, size = sums.shape
    keep = membrane.shape[1] > 0
    for b in range(samples):
        for t in range(steps):
            limit = threshold[b, t]
            wrapped: Any = _I(0)
            clipped: Any = _I(0)
            for n in range(size):
                x: Any = cast(cast(cast(cast(sums[b, t, n]) >> right) << left) + to_current[n])
                if wraps is not None:
                    beyond = abs(x) >= _LIMIT
                if u is not None:
                    old: Any = u[b, n]
                    low: Any = cast(cast(old & _LOW) * keep_u)
                    low = cast(cast(low + cast(cast(old >> _SIGN) & _LOW)) >> _DECAY)
                    x = cast(cast(cast(cast(old >> _DECAY) * keep_u) + low) + x)
                if wraps is not None:
                    folded = cast(x - _SPAN) if x > _LIMIT else x
                    folded = cast(x + _SPAN) if x <= -_LIMIT else folded
                    wrapped = _I(wrapped + _I(beyond | (folded != x)))
                    x = folded
                if u is not None:
                    u[b, n] = x
                before: Any = v[b, n]
                old = before
                low = cast(cast(old & _LOW) * keep_v)
                low = cast(cast(low + cast(cast(old >> _SIGN) & _LOW)) >> _DECAY)
                x = cast(cast(cast(cast(old >> _DECAY) * keep_v) + low) + cast(x + to_membrane[n]))
                if owed is not None:
                    if rule[2] == SUBTRACT:
                        x = cast(x - owed[b, n])
                    elif owed[b, n] != 0:
                        x = cast(0)
                if clips is not None:
                    inside = min(max(x, cast(-_TOP)), cast(_TOP))
                    clipped = _I(clipped + _I(inside != x))
                    x = inside
                if rule is None:
                    fired = x > limit
                    v[b, n] = cast(0) if fired else x
                    spikes[b, t, n] = fired
                else:
                    at_least, most, reset, lowest = rule
                    count: Any = cast(0)
                    level: Any = x
                    if reset == NODELAY and before > limit:
                        level = cast(x - limit)
                    if level > limit - at_least:
                        count = cast(most)
                        if most > 1 and limit > 0:
                            count = min(cast(x // limit), cast(most))
                    if owed is not None:
                        owed[b, n] = cast(count * limit) if reset == SUBTRACT else count
                    elif count > 0:
                        if reset in (SUBTRACT, NODELAY):
                            x = cast(x - cast(count * limit))
                        elif reset == ZERO:
                            x = cast(0)
                    v[b, n] = max(x, cast(lowest))
                    spikes[b, t, n] = count
            if wraps is not None:
                wraps[0] += wrapped
            if clips is not None:
                clips[0] += clipped
            if keep:
                membrane[b, t, :] = v[b]


def turn(last: Any, first: Any) -> None:
    """Copy `(rows, positions, channels)` to `(rows, channels, positions)`; both in one piece."""
    rows, positions, channels = last.shape
    for r in range(rows):
        for c in range(channels):
            for p in range(positions):
                first[r, c, p] = last[r, p, c]


def compiled(function: Any) -> Any:
    """Machine code, kept on disk where a folder can be written."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no writable folder for the cache
        return numba.njit(function)


if HAS_NUMBA:
    _neurons, turn = compiled(_neurons), compiled(turn)


@lru_cache(maxsize=256)
def _rule(constants: NeuronConstants) -> tuple[Any, ...] | None:
    """The rule as the loop takes it."""
    rule = constants.rule
    if rule.low is None and (rule.is_plain or not rule.spiking):
        return None
    reset = RESETS[rule.reset]
    numbers = rule.compare == ">=", rule.max_spikes, reset, constants.lowest
    return tuple(_I(number) for number in numbers)


@lru_cache(maxsize=256)
def _arguments(constants: NeuronConstants) -> tuple[Any, Any, Any, Any, Any, Any]:
    """right, left, to_current << 6, to_membrane, keep_u and keep_v as the loop takes them."""
    right, left = constants.shifts
    to_current = constants.to_current << fp.ALIGN_BITS
    keeps = _I(constants.keep_u), _I(constants.keep_v)
    return _I(right), _I(left), to_current, constants.to_membrane, *keeps


def run_numba(
    sums: npt.NDArray[Any],
    threshold: npt.NDArray[np.int32],
    constants: NeuronConstants,
    *,
    keep_membrane: bool,
    state: NeuronState | None = None,
    steps_in_all: int | None = None,
    out: npt.NDArray[np.uint8] | None = None,
) -> NeuronRun:
    """Integer neurons over time.

    Product sums `(batch, time, out)`, whose float32 holds integers; thresholds vth << 6
    `(batch, time)`. keep_membrane: False returns an empty membrane `(batch, 0, out)`. state: from
    `rest`, carried from one call to the next; None starts from rest. steps_in_all: how many steps
    there are from rest, where a state is carried and it is known. out: where the spikes are
    written, `(batch, time, out)`; None makes a new array.

    Returns:
        overflow counts sample x step x neuron where u wrapped or |a| left the accumulator;
        saturation where v was clipped.
    """
    samples, steps, size = sums.shape
    spikes = np.empty(sums.shape, np.uint8) if out is None else out
    membrane = np.empty((samples, steps if keep_membrane else 0, size), np.int32)
    can_wrap, can_clip = reachable(constants, steps if state is None else steps_in_all)
    wraps, clips = (np.zeros(1, np.int64) if x else None for x in (can_wrap, can_clip))
    state = rest(constants, samples) if state is None else state
    sums = np.ascontiguousarray(sums, None if sums.dtype == np.float32 else np.int32)
    limits, rule = np.ascontiguousarray(threshold, np.int32), _rule(constants)
    made = (wraps, clips, spikes, membrane)
    _neurons(sums, limits, *_arguments(constants), state.u, state.v, state.owed, rule, *made)
    overflow = 0 if wraps is None else int(wraps[0])
    return NeuronRun(spikes, membrane, overflow, 0 if clips is None else int(clips[0]))
