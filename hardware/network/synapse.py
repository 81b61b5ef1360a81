"""A `Synapse`: weights from one source into a layer, and how they reach its neurons.

    x (size,)  ->  delayed by `delay` steps  ->  summed over windows (`pools`)  ->  W

W is a matrix `(out, in)`, or with `conv` a kernel `(C_out, C_in / groups, height, width)` on a map
`(C, H, W)`. Values are flat, `(batch, time, size)`, in the order of a `(C, H, W)` array, so Flatten
costs nothing. One-dimensional maps are `(C, 1, L)`.

Delay: 0 means that the layer sees the spikes of this step. A synapse from the layer itself or from
a later one has a delay of 1 or more: what a neuron sent can reach it again in the next step.

`LayerLinks` are the fields that every kind of layer shares (float, Loihi, Speck). `apply` is the
float64 reference, and works on integers too; `matrix` writes a synapse as one matrix.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.maps import Conv as Conv
from neurozsl.core.maps import MapShape as MapShape
from neurozsl.core.maps import Pool as Pool
from neurozsl.core.reading import Kind, checked_object

Array = npt.NDArray[Any]
# A matrix of this many entries takes half a GB in float64.
LARGEST_MATRIX: Final = 1 << 26
# Neurons of a layer, and values of a padded map: a hostile padding must not fill the memory.
LARGEST_MAP: Final = 1 << 24


@dataclass(frozen=True)
class Link:
    """How a weight is applied; the default is a matrix on the spikes of this step."""

    conv: Conv | None = None
    pools: tuple[Pool, ...] = ()
    delay: int = 0

    @property
    def is_plain(self) -> bool:
        """True for a matrix without pooling or delay."""
        return self == PLAIN

    def as_json(self) -> dict[str, Any]:
        """Plain values; `link_from_json` is the way back."""
        return {**asdict(self), "pools": [asdict(pool) for pool in self.pools]}


PLAIN: Final = Link()


@dataclass(frozen=True, eq=False)
class Synapse:
    """One source of a layer; see the module docstring."""

    source: str
    weight: Array
    link: Link = PLAIN

    @property
    def size_in(self) -> int:
        """Width of the source."""
        if self.link.pools:
            return math.prod(self.link.pools[0].shape)
        if self.link.conv is not None:
            return math.prod(self.link.conv.shape)
        return int(self.weight.shape[1])

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the neurons that it reaches: `(n,)` or `(C, H, W)`."""
        if self.link.conv is None:
            return (int(self.weight.shape[0]),)
        return self.link.conv.out_shape(self.weight.shape)

    @property
    def size_out(self) -> int:
        """Number of neurons that it reaches."""
        return math.prod(self.out_shape)


class HasSynapses(Protocol):
    """A layer of any kind: what wiring, counting and placing need to know of it."""

    @property
    def name(self) -> str: ...
    @property
    def synapses(self) -> tuple[Synapse, ...]: ...


class LayerLinks:
    """Mixin of layers with `source`, `weight`, `link` (the first synapse) and `also` (others).

    per_neuron: fields that are arrays with one value a neuron.
    """

    per_neuron: ClassVar[tuple[str, ...]] = ("bias",)
    source: str
    weight: Array
    link: Link
    also: tuple[Synapse, ...]

    @property
    def synapses(self) -> tuple[Synapse, ...]:
        """Everything that arrives, the first synapse first."""
        return (Synapse(self.source, self.weight, self.link), *self.also)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the neurons, `(n,)` or `(C, H, W)`."""
        return Synapse(self.source, self.weight, self.link).out_shape

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def is_dense(self) -> bool:
        """True where one plain matrix is all that arrives."""
        return self.link.is_plain and not self.also


def check_synapse(where: str, synapse: Synapse) -> None:
    """Geometry that fits together.

    Raises:
        BadInput: names what does not.
    """
    link, shape = synapse.link, np.shape(synapse.weight)
    if link.delay < 0:
        raise BadInput(f"{where}: delay {link.delay} steps, expected 0 or more")
    last: tuple[int, ...] | None = None
    for pool in link.pools:
        if last is not None and pool.shape != last:
            raise BadInput(f"{where}: a pool reads a map {pool.shape}, the one before makes {last}")
        if min(*pool.kernel, *pool.stride) < 1 or min(pool.padding) < 0 or min(pool.out_shape) < 1:
            raise BadInput(
                f"{where}: pool {pool.kernel} with stride {pool.stride} and padding "
                f"{pool.padding} leaves nothing of a map {pool.shape}"
            )
        _check_map(where, pool.shape, (*2 * (pool.padding[0],), *2 * (pool.padding[1],)))
        last = pool.out_shape
    if link.conv is None:
        if len(shape) != 2 or 0 in shape:
            raise BadInput(f"{where}: weight has shape {shape}, expected (out, in)")
        if last is not None and math.prod(last) != shape[1]:
            raise BadInput(f"{where}: {shape[1]} columns, the pool before makes {last}")
        return
    conv = link.conv
    if len(shape) != 4 or 0 in shape:
        raise BadInput(f"{where}: kernel has shape {shape}, expected (out, in, height, width)")
    if last is not None and last != conv.shape:
        raise BadInput(f"{where}: the kernel reads a map {conv.shape}, the pool makes {last}")
    if min(*conv.stride, *conv.dilation, conv.groups) < 1 or min(conv.padding) < 0:
        raise BadInput(f"{where}: {conv}: stride, dilation and groups are at least 1, padding 0")
    if shape[0] % conv.groups or shape[1] * conv.groups != conv.shape[0]:
        raise BadInput(
            f"{where}: kernel {shape} in {conv.groups} groups on {conv.shape[0]} channels; "
            f"expected {conv.shape[0] // conv.groups} input channels a kernel, and outputs "
            "that the groups divide"
        )
    if min(conv.out_shape(shape)) < 1:
        raise BadInput(f"{where}: kernel {shape[2:]} leaves nothing of a map {conv.shape}")
    _check_map(where, conv.shape, conv.padding)
    _check_map(where, conv.out_shape(shape), (0, 0, 0, 0))


def _check_map(where: str, shape: MapShape, padding: tuple[int, ...]) -> None:
    channels, high, wide = shape
    values = channels * (high + padding[0] + padding[1]) * (wide + padding[2] + padding[3])
    if values > LARGEST_MAP:
        raise BadInput(
            f"{where}: a map {shape} with padding {padding} has {values:,} values, at most "
            f"{LARGEST_MAP:,}; use a smaller map"
        )


# --- what a synapse computes ------------------------------------------------------------------


def apply(synapse: Synapse, values: Array) -> Array:
    """Weighted sums over time, in the type that values and weights promote to: integers too.

    values: `(batch, time, size_in)`, from the first step of the sample.
    """
    batch, steps = values.shape[:2]
    rows = shifted(values, synapse.link.delay).reshape(batch * steps, -1)
    return weigh(synapse, pooled(synapse.link, rows)).reshape(batch, steps, -1)


def shifted(values: Array, delay: int) -> Array:
    """Values `(batch, time, size)` as they are seen `delay` steps later; zeros before that."""
    if not delay:
        return values
    late = np.zeros_like(values)
    late[:, delay:] = values[:, : max(values.shape[1] - delay, 0)]
    return late


def pooled(link: Link, rows: Array) -> Array:
    """The window sums of a link, one row a step: `(rows, size_in)` to `(rows, size)`."""
    for pool in link.pools:
        maps = rows.reshape(-1, *pool.shape)
        (top, left), (high, wide) = pool.padding, pool.kernel
        maps = np.pad(maps, ((0, 0), (0, 0), (top, top), (left, left)))
        windows = np.lib.stride_tricks.sliding_window_view(maps, (high, wide), axis=(2, 3))
        sums = windows[:, :, :: pool.stride[0], :: pool.stride[1]].sum(axis=(-2, -1))
        rows = sums.reshape(len(rows), -1)
    return rows


def weigh(synapse: Synapse, rows: Array) -> Array:
    """The weights on rows that are delayed and pooled: `(rows, size)` to `(rows, size_out)`."""
    conv, weight = synapse.link.conv, synapse.weight
    if conv is None:
        product: Array = rows @ weight.T
        return product
    columns = patches(conv, weight.shape, rows)
    channels, groups = weight.shape[0] // conv.groups, []
    for g in range(conv.groups):
        kernel = weight[g * channels : (g + 1) * channels].reshape(channels, -1)
        groups.append(np.moveaxis(columns[:, g] @ kernel.T, -1, 1))
    return np.concatenate(groups, axis=1).reshape(len(rows), -1)


def patches(conv: Conv, weight_shape: Sequence[int], rows: Array) -> Array:
    """What every output position of a convolution reads.

    `(rows, size)` to `(rows, groups, positions, in / groups x height x width)`.
    """
    top, bottom, left, right = conv.padding
    maps = np.pad(rows.reshape(-1, *conv.shape), ((0, 0), (0, 0), (top, bottom), (left, right)))
    _, high, wide = conv.out_shape(weight_shape)
    size = [(k - 1) * d + 1 for k, d in zip(weight_shape[2:], conv.dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(maps, size, axis=(2, 3))
    windows = windows[
        :, :, :: conv.stride[0], :: conv.stride[1], :: conv.dilation[0], :: conv.dilation[1]
    ]
    grouped = windows.reshape(
        len(rows), conv.groups, -1, *windows.shape[2:]
    )  # (rows, g, C/g, H, W, kh, kw)
    moved = np.moveaxis(grouped, 2, 4)  # (rows, g, H, W, C/g, kh, kw)
    return moved.reshape(len(rows), conv.groups, high * wide, -1)


def matrix(synapse: Synapse) -> Array:
    """The synapse without its delay as one matrix `(size_out, size_in)`.

    Raises:
        BadInput: the matrix would have more than 2^26 entries.
    """
    if synapse.link.conv is None and not synapse.link.pools:
        return synapse.weight
    entries = synapse.size_in * synapse.size_out
    if entries > LARGEST_MATRIX:
        raise BadInput(
            f"synapse from '{synapse.source}': written as a matrix {synapse.size_out} x "
            f"{synapse.size_in} it has {entries:,} entries, at most {LARGEST_MATRIX:,}; use a "
            "smaller map"
        )
    made = np.empty((synapse.size_out, synapse.size_in), synapse.weight.dtype)
    for start in range(0, synapse.size_in, 256):
        rows = np.eye(
            min(256, synapse.size_in - start), synapse.size_in, start, dtype=synapse.weight.dtype
        )
        made[:, start : start + 256] = weigh(synapse, pooled(synapse.link, rows)).T
    return made


def sum_range(synapse: Synapse, low: int, high: int) -> tuple[Array, Array]:
    """Per neuron the smallest and largest sum of integer weights over all values in low..high.

    low is 0 or less; int64 `(size_out,)` each.
    """
    reach = pooled(synapse.link, np.ones((1, synapse.size_in), np.int64))
    weight = np.asarray(synapse.weight, np.int64)
    rise = Synapse(synapse.source, np.maximum(weight, 0), synapse.link)
    fall = Synapse(synapse.source, np.minimum(weight, 0), synapse.link)
    up, down = weigh(rise, reach)[0], weigh(fall, reach)[0]
    return up * low + down * high, up * high + down * low


def link_from_json(found: Mapping[str, Any]) -> Link:
    """The `Link` whose `as_json` this is.

    Raises:
        BadInput: a key is missing or holds another type.
    """
    keys: dict[str, Kind] = {"conv": (dict, type(None)), "pools": list, "delay": int}
    checked_object(found, "link", remedy="export again", keys=keys)
    pools = tuple(Pool(**{k: tuple(v) for k, v in pool.items()}) for pool in found["pools"])
    conv: dict[str, Any] | None = found["conv"]
    if conv is None:
        return Link(None, pools, int(found["delay"]))
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in conv.items()}
    return Link(Conv(**fields), pools, int(found["delay"]))
