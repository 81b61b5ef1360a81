"""NIR linear nodes: table type -> one more linear map behind a `Chain`.

    Affine, Linear   W x (+ b)            Conv1d, Conv2d   cross-correlation (+ b)
    Scale            s x                  SumPool2d        sums of windows
    Flatten          only the shape       AvgPool2d        sums / (height width), padding counted
    Delay            x(t - d dt), a whole number of steps

Delays that differ between elements make one chain each. Biases are no part of a chain, since a node
that two paths pass has one bias: `constants` adds them up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.hardware.lower.chain import Chain, compose, per_channel, scaled, weighted
from neurozsl.hardware.lower.parameters import Shape, broadcast, finite
from neurozsl.hardware.network.lowered import Floats
from neurozsl.hardware.network.synapse import (
    Conv,
    Link,
    MapShape,
    Pool,
    Synapse,
    check_synapse,
    pooled,
    weigh,
)

Named = tuple[str, Any]  # name and node
_MOST_DELAYS: Final = 64  # different delays of one node
_WHOLE: Final = 1e-4  # distance of delay / dt from a whole number


def follow(source: str, shape: Shape, nodes: Sequence[Named], dt_s: float) -> list[Chain]:
    """The chains that a path of nodes makes; more than one where a Delay has several delays.

    shape: of the source at its start, without batch. dt_s: length of a step, for delays.

    Raises:
        BadInput: shapes that do not fit, values that are not finite, delays between two steps.
    """
    chains = [Chain(source, shape)]
    for name, node in nodes:
        convert = LINEAR[type(node).__name__]
        chains = [made for chain in chains for made in convert(chain, name, node, dt_s)]
    return chains


def constants(paths: Sequence[tuple[Shape, Sequence[Named]]], size: int, dt_s: float) -> Floats:
    """What the biases on all paths into one population of this size add up to, `(size,)`.

    paths: shape of the source, and the nodes; a bias counts once for every different way from its
    node on, however many paths lead to the node.

    Raises:
        BadInput: a bias that is delayed.
    """
    total, seen = np.zeros(size), set[tuple[str, ...]]()
    for shape, nodes in paths:
        for i, (name, node) in enumerate(nodes):
            way = tuple(after for after, _ in nodes[i:])
            if way in seen or not _has_bias(node):
                continue
            seen.add(way)
            made = follow(name, shape, nodes[: i + 1], dt_s)[0].shape
            bias = finite(name, "bias", node.bias)
            channels = broadcast(name, "bias", bias, made[0])
            value = np.repeat(channels, math.prod(made[1:]))
            total += _constant(name, value, follow(name, made, nodes[i + 1 :], dt_s))
    return total


def _has_bias(node: Any) -> bool:
    bias = getattr(node, "bias", None)
    return bias is not None and bool(np.any(np.asarray(bias)))


def _constant(name: str, value: Floats, chains: Sequence[Chain]) -> Floats:
    """A value that never changes, at the end of its way."""
    if len(chains) > 1 or chains[0].delay:
        raise BadInput(
            f"NIR node '{name}': its bias is delayed and would start in the middle of a sample; "
            "put the Delay before the node"
        )
    chain = weighted(chains[0], name)
    through: Floats = weigh(chain.synapse, pooled(chain.synapse.link, value[None]))[0]
    return through


def _affine(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    weight = finite(name, "weight", node.weight)
    if weight.ndim != 2 or weight.shape[1] != chain.size:
        raise BadInput(
            f"NIR node '{name}': weight has shape {weight.shape}, expected (out, "
            f"{chain.size}) after '{chain.source}'"
        )
    if getattr(node, "bias", None) is not None:
        broadcast(name, "bias", finite(name, "bias", node.bias), len(weight))
    return [compose(chain, name, lambda rows: rows @ weight.T, (len(weight),), weight)]


def _conv2d(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    weight = finite(name, "weight", node.weight)
    if weight.ndim != 4:
        raise BadInput(f"NIR node '{name}': weight has shape {weight.shape}, expected OIHW")
    shape = _map(chain, name)
    return [_convolve(chain, name, node, weight, shape, (0, 1))]


def _conv1d(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    weight = finite(name, "weight", node.weight)
    if weight.ndim != 3 or len(chain.shape) != 2:
        raise BadInput(
            f"NIR node '{name}': weight {weight.shape} on a value {chain.shape}, expected (out, "
            "in, length) on (channels, length)"
        )
    shape = (chain.shape[0], 1, chain.shape[1])
    made = _convolve(chain, name, node, weight[:, :, None], shape, (1,))
    return [replace(made, shape=(made.shape[0], made.shape[2]))]


def _convolve(
    chain: Chain, name: str, node: Any, weight: Floats, shape: MapShape, axes: tuple[int, ...]
) -> Chain:
    def pair(key: str, other: int) -> tuple[int, int]:
        values = np.broadcast_to(np.asarray(getattr(node, key)).ravel(), (len(axes),))
        found = {axis: int(v) for axis, v in zip(axes, values, strict=True)}
        return found.get(0, other), found.get(1, other)

    dilation = pair("dilation", 1)
    if isinstance(node.padding, str):
        spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        if node.padding not in ("same", "valid"):
            raise BadInput(f"NIR node '{name}': padding {node.padding!r}, expected same or valid")
        # As torch pads: the odd zero comes last.
        sides = [(s // 2, s - s // 2) if node.padding == "same" else (0, 0) for s in spans]
    else:
        sides = [(p, p) for p in pair("padding", 0)]
    padding = (*sides[0], *sides[1])
    conv = Conv(shape, pair("stride", 1), padding, dilation, int(node.groups))
    probe = Synapse(chain.source, weight, Link(conv))
    check_synapse(f"NIR node '{name}'", probe)
    out = conv.out_shape(weight.shape)
    if getattr(node, "bias", None) is not None:
        broadcast(name, "bias", finite(name, "bias", node.bias), out[0])
    return compose(chain, name, lambda rows: weigh(probe, rows), out, weight, conv)


def _sum_pool(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    return [_pool(chain, name, node)[0]]


def _avg_pool(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    made, pool = _pool(chain, name, node)
    return [scaled(made, np.full(made.size, 1.0 / math.prod(pool.kernel)), name)]


def _pool(chain: Chain, name: str, node: Any) -> tuple[Chain, Pool]:
    shape = _map(chain, name)
    kernel, stride, padding = (
        _pair(getattr(node, key)) for key in ("kernel_size", "stride", "padding")
    )
    pool = Pool(shape, kernel, stride, padding)
    link = Link(None, (pool,))
    columns = max(math.prod(pool.out_shape), 1)
    check_synapse(f"NIR node '{name}'", Synapse(chain.source, np.zeros((1, columns)), link))
    if chain.weight is None:
        factor = None if chain.before is None else per_channel(chain.before, shape)
        if chain.before is None or factor is not None:
            area = pool.out_shape[1] * pool.out_shape[2]
            return replace(
                chain,
                shape=pool.out_shape,
                pools=(*chain.pools, pool),
                before=None if factor is None else np.repeat(factor, area),
            ), pool
    return compose(chain, name, lambda rows: pooled(link, rows), pool.out_shape), pool


def _flatten(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    rank = len(chain.shape)
    start, end = int(node.start_dim) % rank, int(node.end_dim) % rank
    if start > end:
        raise BadInput(
            f"NIR node '{name}': flattens {node.start_dim}..{node.end_dim} of {chain.shape}; "
            "dimensions count without a batch"
        )
    joined = math.prod(chain.shape[start : end + 1])
    return [replace(chain, shape=(*chain.shape[:start], joined, *chain.shape[end + 1 :]))]


def _scale(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    factor = broadcast(name, "scale", finite(name, "scale", node.scale), chain.size, chain.shape)
    return [scaled(chain, factor, name)]


def _delay(chain: Chain, name: str, node: Any, dt_s: float) -> list[Chain]:
    seconds = finite(name, "delay", node.delay)
    steps = broadcast(name, "delay", seconds, chain.size, chain.shape) / dt_s
    whole = np.rint(steps)
    if np.any(whole < 0) or np.any(np.abs(steps - whole) > _WHOLE * np.maximum(whole, 1)):
        wrong = steps[np.argmax(np.abs(steps - whole) - np.minimum(steps, 0))]
        raise BadInput(
            f"NIR node '{name}': a delay of {wrong:g} steps of {dt_s:g} s, expected whole steps "
            "from 0 up; choose another dt or round the delays"
        )
    different = np.unique(whole)
    if len(different) == 1:
        return [replace(chain, delay=chain.delay + int(different[0]))]
    if len(different) > _MOST_DELAYS:
        raise BadInput(
            f"NIR node '{name}': {len(different)} different delays, at most {_MOST_DELAYS}; round "
            "them to fewer"
        )
    note = f"'{name}': {len(different)} different delays, one synapse each"
    return [
        replace(
            scaled(chain, (whole == steps_late).astype(np.float64), name),
            delay=chain.delay + int(steps_late),
            notes=(*chain.notes, note),
        )
        for steps_late in different
    ]


def _map(chain: Chain, name: str) -> MapShape:
    if len(chain.shape) != 3:
        raise BadInput(
            f"NIR node '{name}': reads a value of shape {chain.shape} from '{chain.source}', "
            "expected (channels, height, width)"
        )
    return chain.shape[0], chain.shape[1], chain.shape[2]


def _pair(value: Any) -> tuple[int, int]:
    """Along rows and columns; one number stands for both."""
    rows, columns = np.broadcast_to(np.asarray(value).ravel(), (2,))
    return int(rows), int(columns)


LINEAR: Final[Mapping[str, Callable[[Chain, str, Any, float], list[Chain]]]] = {
    "Affine": _affine,
    "Linear": _affine,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _sum_pool,
    "AvgPool2d": _avg_pool,
    "Flatten": _flatten,
    "Scale": _scale,
    "Delay": _delay,
}
