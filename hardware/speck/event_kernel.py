"""One sample, event by event: the compiled loop behind `event_driven`, which says what it computes.

Without numba the same function runs in Python, which is slow and gives the same.
"""

from typing import Any, Final

import numpy as np

from neurozsl.hardware.speck.event_links import (
    AREA,
    DILATION_ACROSS,
    DILATION_DOWN,
    GROUP_IN,
    GROUP_OUT,
    KERNEL_HIGH,
    KERNEL_WIDE,
    LEFT,
    OUT_CHANNELS,
    OUT_HIGH,
    OUT_WIDE,
    POOL,
    STRIDE_ACROSS,
    STRIDE_DOWN,
    TARGET,
    TOP,
    WEIGHT,
    WIDE,
)
from neurozsl.hardware.speck.program import STATE_MAX, STATE_MIN

try:
    import numba
except ImportError:  # a Python or CPU that numba does not support yet
    numba = None
LARGEST_QUEUE: Final = 1 << 24  # spikes that wait at once, 256 MB
LARGEST_COUNT: Final = 65535  # of the spikes of a neuron in a step


def _compiled(function: Any) -> Any:
    if numba is None:
        return function
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no writable folder for the cache
        return numba.njit(function)


@_compiled
def _arrive(v, i, weight, threshold, low, to_zero):  # type: ignore[no-untyped-def]
    """One weight on one state; (whether it spikes, whether the state was clipped)."""
    wanted = v[i] + weight
    state = min(max(wanted, STATE_MIN), STATE_MAX)
    spikes = state >= threshold
    left = state
    if spikes:
        left = 0 if to_zero else state - threshold
    v[i] = max(left, low)
    return spikes, state != wanted or left < low


@_compiled
def _send(tables, layer, place, t, spikes, queue, waiting):  # type: ignore[no-untyped-def]
    """Count the spike of a neuron, and put it into the queue where somebody reads it."""
    channels, area = tables.shapes[layer, 0], tables.shapes[layer, 1] * tables.shapes[layer, 2]
    value = (place % channels) * area + place // channels
    count = tables.first_state[layer] + value
    full = spikes[t, count] == LARGEST_COUNT
    if not full:
        spikes[t, count] += 1
    source = tables.inputs + layer
    if tables.first_link[source] == tables.first_link[source + 1]:
        return queue, waiting, full
    if waiting == len(queue):
        longer = np.empty((2 * len(queue), 2), np.int64)
        longer[:waiting] = queue
        queue = longer
    queue[waiting, 0] = source
    queue[waiting, 1] = value
    return queue, waiting + 1, full


@_compiled
def _reach(tables, link, value, t, v, spikes, arrived, operations, clipped, queue, waiting):  # type: ignore[no-untyped-def]
    """One event at one place of the map that a kernel reads."""
    row, layer, weights = tables.links[link], tables.links[link, TARGET], tables.weights
    threshold, low, to_zero = tables.threshold[layer], tables.low[layer], tables.to_zero[layer]
    # As locals: the loop writes to arrays, after which an entry of `row` would be read again.
    high, wide, width = row[KERNEL_HIGH], row[KERNEL_WIDE], row[GROUP_OUT]
    stride_down, stride_across = row[STRIDE_DOWN], row[STRIDE_ACROSS]
    out_high, out_wide, channels = row[OUT_HIGH], row[OUT_WIDE], row[OUT_CHANNELS]
    channel, place = value // row[AREA], value % row[AREA]
    down, across = place // row[WIDE] + row[TOP], place % row[WIDE] + row[LEFT]
    own = channel // row[GROUP_IN] * width  # first output channel of the group
    kernel, first = row[WEIGHT] + channel * high * wide * width, tables.first_state[layer]
    dilation_down, dilation_across = row[DILATION_DOWN], row[DILATION_ACROSS]
    full, cuts, added = False, 0, 0
    for ky in range(high - 1, -1, -1):  # backwards: rows of the neurons rise
        y = down - ky * dilation_down
        if y < 0 or y % stride_down or y // stride_down >= out_high:
            continue
        for kx in range(wide - 1, -1, -1):
            x = across - kx * dilation_across
            if x < 0 or x % stride_across or x // stride_across >= out_wide:
                continue
            state = (y // stride_down * out_wide + x // stride_across) * channels + own
            weight = kernel + (ky * wide + kx) * width
            added += width
            for k in range(width):
                fired, cut = _arrive(
                    v, first + state + k, weights[weight + k], threshold, low, to_zero
                )
                cuts += cut
                if fired:
                    queue, waiting, most = _send(
                        tables, layer, state + k, t, spikes, queue, waiting
                    )
                    full = full or most
    arrived[t, layer] += 1
    operations[t, layer] += added
    clipped[layer] += cuts
    return queue, waiting, full


@_compiled
def _finish(tables, t, v, spikes, arrived, operations, clipped, queue, waiting):  # type: ignore[no-untyped-def]
    """Everything that waits, first in, first out, and all that it causes."""
    done, full = 0, False
    while done < waiting and waiting < LARGEST_QUEUE:
        source, value = queue[done, 0], queue[done, 1]
        done += 1
        for link in range(tables.first_link[source], tables.first_link[source + 1]):
            pool = tables.links[link, POOL]
            begin, end = 0, 1
            if pool >= 0:
                begin, end = tables.pool_start[pool + value], tables.pool_start[pool + value + 1]
            for k in range(begin, end):
                place = value if pool < 0 else tables.pool_sums[k]
                queue, waiting, most = _reach(
                    tables, link, place, t, v, spikes, arrived, operations, clipped, queue, waiting
                )
                full = full or most
    return queue, full or done < waiting


@_compiled
def run_sample(tables, source, value, bounds, v, spikes, arrived, operations, clipped):  # type: ignore[no-untyped-def]
    """The events of one sample, then the tick, step by step; fills the arrays behind `v`.

    source, value: of every event, in order. bounds: step t has those from bounds[t] to
    bounds[t + 1]; as many steps run as it has ends. v: states of all neurons, int64, at rest.
    spikes: uint16 `(time, neuron)`. arrived, operations: int64 `(time, layer)`. clipped: int64
    `(layer,)`.

    Returns:
        Whether a count or the queue was too long.
    """
    queue = np.empty((1024, 2), np.int64)
    over = False
    for t in range(len(bounds) - 1):
        for k in range(bounds[t], bounds[t + 1]):
            queue[0, 0], queue[0, 1] = source[k], value[k]
            queue, full = _finish(tables, t, v, spikes, arrived, operations, clipped, queue, 1)
            over = over or full
        for layer in range(len(tables.threshold)):
            if not tables.ticks[layer]:
                continue
            waiting = 0
            for place in range(tables.first_state[layer + 1] - tables.first_state[layer]):
                i = tables.first_state[layer] + place
                fired, cut = _arrive(
                    v,
                    i,
                    tables.bias[i],
                    tables.threshold[layer],
                    tables.low[layer],
                    tables.to_zero[layer],
                )
                clipped[layer] += cut
                if fired:
                    queue, waiting, full = _send(tables, layer, place, t, spikes, queue, waiting)
                    over = over or full
            queue, full = _finish(
                tables, t, v, spikes, arrived, operations, clipped, queue, waiting
            )
            over = over or full
        if over:
            break
    return over
