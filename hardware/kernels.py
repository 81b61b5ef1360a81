"""The integer neuron over time, fused: numba on the CPU, and the same in plain numpy.

Both take the weighted sums of a layer for all steps and return spikes; a test holds them equal
bit for bit. Equations: `program` module docstring; rules: `fixedpoint`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.hardware import fixedpoint as fp

try:
    import numba
except ImportError:  # a Python or CPU that numba does not support yet: numpy computes the same
    numba = None

# int32 constants keep numba from widening the arithmetic of `_forgetful_row` to 64 bits.
_I: Final = np.int32
_LIMIT: Final = _I(fp.STATE_LIMIT)
_SPAN: Final = _I(2 * fp.STATE_LIMIT)
_TOP: Final = _I(fp.STATE_LIMIT - 1)
_SUM_LIMIT: Final = _I(fp.ACCUMULATOR_LIMIT)
_DECAY: Final = _I(fp.DECAY_BITS)
_LOW: Final = _I(fp.DECAY_MAX)
_ALIGN: Final = _I(fp.ALIGN_BITS)


@dataclass(frozen=True)
class NeuronConstants:
    """Constants of one layer for the kernels.

    up, down: shifts that turn the product sums into `a` (sum << up >> down).
    to_current, to_membrane: int32 `(out,)`, added to a, and to v.
    keep_u = 4096 - (du + 1), keep_v = 4096 - dv.
    """

    up: int
    down: int
    to_current: npt.NDArray[np.int32]
    to_membrane: npt.NDArray[np.int32]
    keep_u: int
    keep_v: int


@dataclass(frozen=True)
class NeuronRun:
    """Spikes uint8 and membrane int32 `(batch, time, out)`; overflow, saturation counts."""

    spikes: npt.NDArray[np.uint8]
    membrane: npt.NDArray[np.int32]
    overflow: int
    saturation: int


def run_numpy(
    sums: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.int32],
    constants: NeuronConstants,
    *,
    keep_membrane: bool,
) -> NeuronRun:
    """Integer neurons over time, vectorised over samples and neurons.

    Args:
        sums: product sums `(batch, time, out)`.
        threshold: vth << 6 `(batch, time)`.
        constants: of the layer.
        keep_membrane: False returns an empty membrane `(batch, 0, out)`.

    Returns:
        overflow counts sample x step x neuron where u wrapped or |a| left the accumulator;
        saturation where v was clipped.
    """
    samples, steps, size = sums.shape
    spikes = np.zeros(sums.shape, np.uint8)
    membrane = np.zeros((samples, steps if keep_membrane else 0, size), np.int32)
    overflow = saturation = 0
    u = np.zeros((samples, size), np.int64)
    v = np.zeros((samples, size), np.int64)
    for t in range(steps):
        a = ((sums[:, t].astype(np.int64) << constants.up) >> constants.down) + constants.to_current
        new_u = fp.decay_towards_zero(u, fp.DECAY_UNITY - constants.keep_u) + (a << fp.ALIGN_BITS)
        u = fp.wrap_signed(new_u)
        overflow += int(np.count_nonzero((u != new_u) | (np.abs(a) >= fp.ACCUMULATOR_LIMIT)))
        new_v = fp.decay_towards_zero(v, fp.DECAY_UNITY - constants.keep_v) + u
        new_v = new_v + constants.to_membrane
        v = fp.saturate_signed(new_v)
        saturation += int(np.count_nonzero(v != new_v))
        fired = v > threshold[:, t, None]
        v = np.where(fired, 0, v)
        spikes[:, t] = fired
        if keep_membrane:
            membrane[:, t] = v
    return NeuronRun(spikes, membrane, overflow, saturation)


def _forgetful_row(
    sums: Any,
    limit: Any,
    up: Any,
    down: Any,
    to_current: Any,
    to_membrane: Any,
    keep_v: Any,
    v: Any,
    spikes: Any,
) -> Any:
    """One step of the neurons of one sample without synaptic memory (du = 4095).

    Every intermediate is cast to int32 so that the loop compiles to vector instructions.
    |v| * keep_v needs 36 bits, so it is split: |v| = 4096 h + l and
    (|v| k) >> 12 = h k + (l k >> 12), exact because 4096 h k >> 12 leaves nothing behind.
    """
    wraps: Any = _I(0)
    clips: Any = _I(0)
    for n in range(v.shape[0]):
        size_v: Any = abs(v[n])
        low_part: Any = _I(_I(_I(size_v & _LOW) * keep_v) >> _DECAY)
        kept: Any = _I(_I(_I(size_v >> _DECAY) * keep_v) + low_part)
        kept = _I(-kept) if v[n] < _I(0) else kept
        u: Any = _I(_I(_I(_I(sums[n] << up) >> down) + to_current[n]) << _ALIGN)
        # Without memory u wraps only where |a| reached 2^17, so one test counts both.
        wraps = _I(wraps + _I(u >= _LIMIT))
        wraps = _I(wraps + _I(u <= -_LIMIT))
        u = _I(u - _SPAN) if u > _LIMIT else u
        u = _I(u + _SPAN) if u <= -_LIMIT else u
        new: Any = _I(kept + _I(u + to_membrane[n]))
        clips = _I(clips + _I(new > _TOP))
        clips = _I(clips + _I(new < -_TOP))
        new = new if new < _TOP else _TOP
        new = new if new > -_TOP else _I(-_TOP)
        fired = new > limit
        v[n] = _I(0) if fired else new
        spikes[n] = fired
    return wraps, clips


def _memory_row(
    sums: Any,
    limit: Any,
    up: Any,
    down: Any,
    to_current: Any,
    to_membrane: Any,
    keep_u: Any,
    keep_v: Any,
    u: Any,
    v: Any,
    spikes: Any,
) -> Any:
    """One step of the neurons of one sample, with synaptic memory, in int64."""
    wraps, clips = 0, 0
    for n in range(v.shape[0]):
        a: Any = ((np.int64(sums[n]) << up) >> down) + to_current[n]
        kept: Any = (abs(u[n]) * keep_u) >> _DECAY
        x: Any = (-kept if u[n] < 0 else kept) + (a << _ALIGN)
        wraps += (x > _LIMIT) | (x <= -_LIMIT) | (a >= _SUM_LIMIT) | (a <= -_SUM_LIMIT)
        x = x - _SPAN if x > _LIMIT else (x + _SPAN if x <= -_LIMIT else x)
        u[n] = x
        kept = (abs(v[n]) * keep_v) >> _DECAY
        new: Any = (-kept if v[n] < 0 else kept) + x + to_membrane[n]
        clips += (new > _TOP) | (new < -_TOP)
        new = min(max(new, -_TOP), _TOP)
        fired = new > limit
        v[n] = 0 if fired else new
        spikes[n] = fired
    return wraps, clips


def _forgetful(
    sums: Any,
    threshold: Any,
    up: Any,
    down: Any,
    to_current: Any,
    to_membrane: Any,
    keep_v: Any,
    spikes: Any,
    membrane: Any,
) -> Any:
    """All samples and steps of `_forgetful_row`."""
    samples, steps, size = sums.shape
    keep = membrane.shape[1] > 0
    wraps, clips = 0, 0
    v = np.zeros(size, np.int32)
    for b in range(samples):
        v[:] = 0
        for t in range(steps):
            counted = _forgetful_row(
                sums[b, t],
                threshold[b, t],
                up,
                down,
                to_current,
                to_membrane,
                keep_v,
                v,
                spikes[b, t],
            )
            wraps += counted[0]
            clips += counted[1]
            if keep:
                membrane[b, t, :] = v
    return wraps, clips


def _with_memory(
    sums: Any,
    threshold: Any,
    up: Any,
    down: Any,
    to_current: Any,
    to_membrane: Any,
    keep_u: Any,
    keep_v: Any,
    spikes: Any,
    membrane: Any,
) -> Any:
    """All samples and steps of `_memory_row`."""
    samples, steps, size = sums.shape
    keep = membrane.shape[1] > 0
    wraps, clips = 0, 0
    u = np.zeros(size, np.int64)
    v = np.zeros(size, np.int64)
    for b in range(samples):
        u[:] = 0
        v[:] = 0
        for t in range(steps):
            counted = _memory_row(
                sums[b, t],
                threshold[b, t],
                up,
                down,
                to_current,
                to_membrane,
                keep_u,
                keep_v,
                u,
                v,
                spikes[b, t],
            )
            wraps += counted[0]
            clips += counted[1]
            if keep:
                membrane[b, t, :] = v
    return wraps, clips


def _compile(function: Any) -> Any:
    """Machine code, kept on disk where a folder can be written."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no writable folder for the cache
        return numba.njit(function)


if numba is not None:
    _forgetful_row, _memory_row = _compile(_forgetful_row), _compile(_memory_row)
    _forgetful, _with_memory = _compile(_forgetful), _compile(_with_memory)


def run_numba(
    sums: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.int32],
    constants: NeuronConstants,
    *,
    keep_membrane: bool,
) -> NeuronRun:
    """As `run_numpy`, compiled; the time loop is inside and the state stays in cache."""
    samples, steps, size = sums.shape
    spikes = np.empty(sums.shape, np.uint8)
    membrane = np.empty((samples, steps if keep_membrane else 0, size), np.int32)
    sums = np.ascontiguousarray(sums, np.int32)
    threshold = np.ascontiguousarray(threshold, np.int32)
    shifts = (_I(constants.up), _I(constants.down))
    biases = (constants.to_current, constants.to_membrane)
    if constants.keep_u == 0:
        counts = _forgetful(
            sums, threshold, *shifts, *biases, _I(constants.keep_v), spikes, membrane
        )
    else:
        counts = _with_memory(
            sums, threshold, *shifts, *biases, constants.keep_u, constants.keep_v, spikes, membrane
        )
    return NeuronRun(spikes, membrane, int(counts[0]), int(counts[1]))


run_neurons: Final[Callable[..., NeuronRun]] = run_numpy if numba is None else run_numba
