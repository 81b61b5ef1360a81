"""Exact integer sums that cost what arrives: weights of active inputs are added, zeros skipped.

    dense     a row of weights for every event: ones and minus ones are summed in 16 bits, in blocks
              of events that cannot overflow, other values in 32 bits
    sparse    the nonzero weights of an event alone: the cost follows the synaptic operations
    conv      an event's kernel is added into the map of sums, channels last

The sums are those of `products` and `conv`, bit for bit: the same integers in another order. Which
of them computes a call is chosen by `costs`. numba compiles the loops; without it none is used.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.maps import Conv
from neurozsl.hardware.loihi.emulator.kernels import compiled

Codes = npt.NDArray[Any]
Sums = Callable[[torch.Tensor], torch.Tensor]
_I16: Final = np.int16
_I32: Final = np.int32
_TOP16: Final = np.iinfo(np.int16).max


def dense_events(half: Codes, low: int, high: int) -> Sums:
    """Sums of q x value `(batch, time, in)` to `(batch, time, out)`, for values in low..high."""
    rows = np.ascontiguousarray(half.T)
    widest = int(np.abs(half.astype(np.int64)).max(initial=1))
    if low >= -1 and high <= 1:
        # Events of value -1 take the rows behind.
        both = rows if low >= 0 else np.concatenate((rows, -rows.astype(np.int16)))
        columns, block = _narrow(both), max(8, _TOP16 // max(widest, 1))
        if widest * 8 <= _TOP16:
            return _of_rows(
                len(half), lambda x, words, to: _unit_rows(x, words, columns, block, to)
            )
    wide = rows.astype(np.int16 if widest <= _TOP16 else np.int32)
    return _of_rows(len(half), lambda x, words, to: _scaled_rows(x, words, wide, to))


def sparse_events(half: Codes) -> Sums:
    """As `dense_events` over the weights that are not zero."""
    inputs, outputs = np.nonzero(half.T)
    begins = np.searchsorted(inputs, np.arange(half.shape[1] + 1)).astype(np.int64)
    weights = half[outputs, inputs].astype(np.int32)
    targets = outputs.astype(np.uint32)

    def add(codes: Codes, words: Codes, sums: Codes) -> None:
        _sparse_rows(codes, words, begins, targets, weights, sums)

    return _of_rows(len(half), add)


def scatters(conv: Conv) -> bool:
    """Whether `conv_events` knows this geometry."""
    return conv.groups == 1 and conv.dilation == (1, 1)


def conv_events(half: Codes, conv: Conv) -> Sums:
    """Sums of a kernel q `(C_out, C_in, height, width)` over maps `(rows, H, W, C)`.

    An event adds one piece of memory per row of the kernel: of a map channels last, what it reaches
    in a row of sums lies side by side. With strides it meets those taps alone that hit a position,
    which depends on its place modulo the stride: a kernel of its own for every such phase. Sums are
    collected in a map with a margin, so that no event has to look for the border.
    """
    size_out, channels, tall, broad = half.shape
    _, high, wide = conv.out_shape(half.shape)
    (down, right), (top, _, left, _) = conv.stride, conv.padding
    rows = [_taps(y + top, down, tall) for y in range(conv.shape[1])]
    columns = [_taps(x + left, right, broad) for x in range(conv.shape[2])]
    most = [max(len(taps) for _, taps in each) for each in (rows, columns)]
    # The first position that an event reaches may lie before or behind the map.
    before = [-min(0, *(first for first, _ in each)) for each in (rows, columns)]
    reach = [
        max(first for first, _ in each) + m for each, m in zip((rows, columns), most, strict=True)
    ]
    size = [max(n, r) + b for n, r, b in zip((high, wide), reach, before, strict=True)]
    kinds: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    place, kind = np.empty((2, *conv.shape[1:]), np.int64)
    for y, (row, taps_y) in enumerate(rows):
        for x, (column, taps_x) in enumerate(columns):
            place[y, x] = ((row + before[0]) * size[1] + column + before[1]) * size_out
            kind[y, x] = kinds.setdefault((taps_y, taps_x), len(kinds))
    taps = np.zeros((len(kinds), channels, most[0], most[1], size_out), np.int16)
    for (taps_y, taps_x), number in kinds.items():
        for i, from_y in enumerate(taps_y):
            for j, from_x in enumerate(taps_x):
                taps[number, :, i, j] = half[:, :, from_y, from_x].T
    places = np.repeat(place.reshape(-1), channels)
    which = (kind.reshape(-1, 1) * channels + np.arange(channels)).reshape(-1)
    flat = taps.reshape(len(kinds) * channels, most[0], most[1] * size_out)
    spread = int(np.abs(half.reshape(size_out, -1).astype(np.int64)).sum(1).max(initial=0))

    def sums(maps: torch.Tensor) -> torch.Tensor:
        codes = np.ascontiguousarray(maps.numpy()).reshape(len(maps), -1)
        largest = max(int(codes.max(initial=0)), -int(codes.min(initial=0)), 1)
        kept = np.int16 if spread * largest <= _TOP16 else np.int32
        acc = np.empty((size[0], size[1] * size_out), kept)
        found = np.empty((len(codes), high, wide * size_out), np.int32)
        begin = before[0], before[1] * size_out
        _scatter(codes, _words(codes), places, which, flat, acc, begin, found)
        return torch.from_numpy(found).reshape(len(codes), high, wide, size_out)

    return sums


def _taps(at: int, stride: int, size: int) -> tuple[int, tuple[int, ...]]:
    """First position that a value at `at` (padding counted) reaches, and the taps, in its order."""
    taps = tuple(k for k in reversed(range(size)) if (at - k) % stride == 0)
    return ((at - taps[0]) // stride if taps else 0), taps


def active(values: torch.Tensor) -> int:
    """How many values are events."""
    array = values.numpy()
    return int(np.count_nonzero(array.view(np.bool_) if array.dtype == np.uint8 else array))


def _of_rows(size: int, add: Callable[[Codes, Codes, Codes], None]) -> Sums:
    def sums(codes: torch.Tensor) -> torch.Tensor:
        samples, steps, width = codes.shape
        rows = np.ascontiguousarray(codes.numpy().reshape(-1, width))
        found = np.empty((len(rows), size), np.int32)
        add(rows, _words(rows), found)
        return torch.from_numpy(found).reshape(samples, steps, size)

    return sums


def _narrow(rows: Codes) -> Codes:
    """In a byte each where they fit: half the memory traffic."""
    fits = rows.min(initial=0) >= -128 and rows.max(initial=0) <= 127
    return np.ascontiguousarray(rows, np.int8 if fits else np.int16)


def _words(codes: Codes) -> Codes:
    """The same bytes, eight at a time, of which most are 0; of width 0 where that cannot be."""
    if codes.dtype.itemsize == 1 and codes.shape[1] % 8 == 0:
        return codes.view(np.uint64)
    return np.empty((len(codes), 0), np.uint64)


def _active(codes: Any, words: Any, r: Any, index: Any) -> Any:
    """Write the places of a row's values that are not 0 into `index`; returns how many."""
    count = 0
    for w in range(words.shape[1]):
        if words[r, w] != 0:
            for i in range(8 * w, 8 * w + 8):
                index[count] = i
                count += codes[r, i] != 0
    for i in range(8 * words.shape[1], codes.shape[1]):
        index[count] = i
        count += codes[r, i] != 0
    return count


_active = compiled(_active)


def _unit_rows(codes: Any, words: Any, columns: Any, block: Any, sums: Any) -> None:
    """Values of -1, 0 and 1; words: the same bytes, eight at a time, or of width 0."""
    size = codes.shape[1]
    outputs = columns.shape[1]
    index = np.empty(size + 8, np.uint32)
    acc = np.empty(outputs, _I16)
    for r in range(codes.shape[0]):
        count = _active(codes, words, r, index)
        if columns.shape[0] > size:
            for k in range(count):
                index[k] += size * (codes[r, index[k]] < 0)
        start = 0
        while True:
            stop = min(start + block, count)
            k = start
            for n in range(outputs):
                acc[n] = _I16(0)
            while k + 8 <= stop:
                a, b, c = columns[index[k]], columns[index[k + 1]], columns[index[k + 2]]
                d, e, f = columns[index[k + 3]], columns[index[k + 4]], columns[index[k + 5]]
                g, h = columns[index[k + 6]], columns[index[k + 7]]
                for n in range(outputs):
                    four = _I16(_I16(a[n]) + _I16(b[n]) + _I16(c[n]) + _I16(d[n]))
                    more = _I16(_I16(e[n]) + _I16(f[n]) + _I16(g[n]) + _I16(h[n]))
                    acc[n] = _I16(acc[n] + four + more)
                k += 8
            while k < stop:
                a = columns[index[k]]
                for n in range(outputs):
                    acc[n] = _I16(acc[n] + _I16(a[n]))
                k += 1
            if start == 0:
                for n in range(outputs):
                    sums[r, n] = acc[n]
            else:
                for n in range(outputs):
                    sums[r, n] += _I32(acc[n])
            start = stop
            if start >= count:
                break


def _scaled_rows(codes: Any, words: Any, columns: Any, sums: Any) -> None:
    """Values of any size, in 32 bits, four events at a time."""
    size, outputs = columns.shape
    index = np.empty(size + 8, np.uint32)
    for r in range(codes.shape[0]):
        count = _active(codes, words, r, index)
        for n in range(outputs):
            sums[r, n] = _I32(0)
        k = 0
        while k + 4 <= count:
            a, b = columns[index[k]], columns[index[k + 1]]
            c, d = columns[index[k + 2]], columns[index[k + 3]]
            p, q = _I32(codes[r, index[k]]), _I32(codes[r, index[k + 1]])
            s, t = _I32(codes[r, index[k + 2]]), _I32(codes[r, index[k + 3]])
            for n in range(outputs):
                two = _I32(p * _I32(a[n]) + q * _I32(b[n]))
                sums[r, n] = _I32(sums[r, n] + two + _I32(s * _I32(c[n]) + t * _I32(d[n])))
            k += 4
        while k < count:
            a, p = columns[index[k]], _I32(codes[r, index[k]])
            for n in range(outputs):
                sums[r, n] = _I32(sums[r, n] + p * _I32(a[n]))
            k += 1


def _sparse_rows(
    codes: Any, words: Any, begins: Any, targets: Any, weights: Any, sums: Any
) -> None:
    """The weights of input i are begins[i]..begins[i + 1] of targets and weights."""
    index = np.empty(codes.shape[1] + 8, np.uint32)
    for r in range(codes.shape[0]):
        count, into = _active(codes, words, r, index), sums[r]
        for n in range(len(into)):
            into[n] = _I32(0)
        for e in range(count):
            i = index[e]
            value = _I32(codes[r, i])
            for k in range(begins[i], begins[i + np.uint32(1)]):
                into[targets[k]] = _I32(into[targets[k]] + value * weights[k])


def _scatter(
    codes: Any, words: Any, places: Any, which: Any, taps: Any, acc: Any, begin: Any, sums: Any
) -> None:
    """taps: (phase and channel, kernel rows, kernel columns x C_out); acc: sums with a margin."""
    cast, (above, beside) = acc.dtype.type, begin
    index = np.empty(codes.shape[1] + 8, np.uint32)
    flat, line = acc.reshape(-1), acc.shape[1]
    tall, broad = taps.shape[1:]
    for r in range(codes.shape[0]):
        flat[:] = cast(0)
        count = _active(codes, words, r, index)
        for e in range(count):
            i = index[e]
            value, kernel = cast(codes[r, i]), taps[which[i]]
            for k in range(tall):
                start = places[i] + k * line
                into, a = flat[start : start + broad], kernel[k]
                for n in range(broad):
                    into[n] = cast(into[n] + value * cast(a[n]))
        for y in range(sums.shape[1]):
            from_, to = acc[above + y], sums[r, y]
            for n in range(len(to)):
                to[n] = _I32(from_[beside + n])


_unit_rows, _scaled_rows = compiled(_unit_rows), compiled(_scaled_rows)
_sparse_rows, _scatter = compiled(_sparse_rows), compiled(_scatter)
