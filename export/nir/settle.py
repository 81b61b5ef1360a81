"""What one NIR node does to the shape that feeds it; its parameters brought to that shape.

    Affine, Linear        (in,) -> (out,); another shape of `in` values is flattened, row by row
    Conv1d, Conv2d        (C, n...) -> (out, floor((n + 2 p - d (k - 1) - 1) / s) + 1 ...)
    SumPool2d, AvgPool2d  (C, H, W) -> (C, ...), the same with d = 1
    Flatten               dims start_dim to end_dim become one, in row-major order
    neurons, Scale,       the shape that feeds them
    Threshold, Delay

(the convolution rule is the one of torch.nn.Conv2d, which NIR refers to). No shape has a batch
dimension. A rule returns a new node; it changes a parameter only where the result says the same as
the file, and says so in `notes`.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import nir
import numpy as np

from neurozsl.export.nir.nodes import CubaLI
from neurozsl.export.nir.parameters import (
    Feed,
    Shape,
    absent,
    fitted,
    integers,
    numbers,
    pair,
    shape_of,
    weight_of,
)

Wanted = tuple[int | None, ...]  # None where any size will do


@dataclass(frozen=True)
class Settled:
    """The node with its parameters in full shape, the shape it takes, the shape it gives."""

    node: Any
    takes: Shape
    gives: Shape


_ELEMENTWISE: Final[Mapping[type, tuple[str, ...]]] = {
    nir.LIF: ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    nir.CubaLIF: ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "w_in", "v_reset"),
    CubaLI: ("tau_mem", "tau_syn", "r", "v_leak", "w_in"),
    nir.IF: ("r", "v_threshold", "v_reset"),
    nir.LI: ("tau", "r", "v_leak"),
    nir.I: ("r",),
    nir.Scale: ("scale",),
    nir.Threshold: ("threshold",),
    nir.Delay: ("delay",),
}
_ONE_DIMENSIONAL: Final = (nir.Affine, nir.Linear)
_CONVOLUTIONS: Final = (nir.Conv1d, nir.Conv2d)
SYNAPSES: Final = (*_ONE_DIMENSIONAL, *_CONVOLUTIONS)
_POOLS: Final = (nir.SumPool2d, nir.AvgPool2d)


def settle(node: Any, feed: Feed) -> Settled:
    """Apply the rule of the node's type.

    Raises:
        BadInput: the parameters do not fit the shape, or fit it in several ways.
    """
    return RULES[type(node)](node, feed)


def wanted(name: str, node: Any) -> Wanted | None:
    """The shape that a node can only be fed with, None where its parameters leave it open."""
    if isinstance(node, _ONE_DIMENSIONAL):
        return (weight_of(name, node, 2).shape[1],)
    if isinstance(node, _CONVOLUTIONS):
        space = 1 if isinstance(node, nir.Conv1d) else 2
        weight = weight_of(name, node, space + 2)
        channels = weight.shape[1] * integers(name, "groups", node.groups, 1)[0]
        stored = shape_of(name, "input_shape", node.input_shape)
        if not stored:
            return (channels, *[None] * space)
        return (channels, *(stored * space if len(stored) == 1 else stored[-space:]))
    if isinstance(node, _POOLS):
        return (None, None, None)
    if isinstance(node, nir.Flatten):
        stored = shape_of(name, "input_type", (node.input_type or {}).get("input"))
        return stored or None
    shapes = [np.shape(getattr(node, key, 0)) for key in _ELEMENTWISE.get(type(node), ())]
    full = max(shapes, key=prod, default=())
    return tuple(full) if prod(full) > 1 else None


def unbatched(shape: Shape, want: Wanted) -> Shape | None:
    """`shape` where it is `want`, without its leading time and batch where the rest is; else None.

    Where `want` leaves all sizes open, only leading ones are too many without doubt.
    """
    extra = len(shape) - len(want)
    if extra < 0 or (set(want) == {None} and prod(shape[:extra]) != 1):
        return None
    rest = shape[extra:]
    return rest if fits(rest, want) else None


def fits(shape: Shape, want: Wanted) -> bool:
    return len(shape) == len(want) and all(
        w is None or w == n for w, n in zip(want, shape, strict=True)
    )


def is_proof(name: str, node: Any) -> bool:
    """The node's own parameters ask for a shape: columns, channels, a value per neuron.

    Of labels, the `input_type` of a Flatten counts, which is all that it has.
    """
    return not isinstance(node, _POOLS) and wanted(name, node) is not None


def is_elementwise(node: Any) -> bool:
    return type(node) in _ELEMENTWISE


def keeps_channels(node: Any) -> bool:
    """What it gives has as many channels as what feeds it."""
    return is_elementwise(node) or isinstance(node, _POOLS)


def changed(node: Any, takes: Shape, gives: Shape, **values: Any) -> Settled:
    """A copy of the node with these values and types; the node itself stays as it is."""
    new = copy.copy(node)
    for key, value in values.items():
        setattr(new, key, value)
    new.input_type = {"input": np.array(takes, dtype=np.int64)}
    new.output_type = {"output": np.array(gives, dtype=np.int64)}
    return Settled(new, takes, gives)


# --- rules: node type -> function -------------------------------------------------------------


def _matrix(node: Any, feed: Feed) -> Settled:
    weight = weight_of(feed.name, node, 2)
    out, size = weight.shape
    if prod(feed.shape) != size:
        raise feed.refuse(
            f"weight has shape {weight.shape}, so {size} values must feed it; '{feed.source}' "
            f"gives {feed.shape}, {prod(feed.shape)} values"
        )
    values = fitted(feed, node, ("bias",), (out,)) if isinstance(node, nir.Affine) else {}
    return changed(node, (size,), (out,), weight=weight, **values)


def _convolution(node: Any, feed: Feed) -> Settled:
    space = 1 if isinstance(node, nir.Conv1d) else 2
    weight = weight_of(feed.name, node, space + 2)
    kernel = weight.shape[2:]
    (groups,) = pair(feed, "groups", node.groups, 1, 1)
    if weight.shape[0] % groups:
        raise feed.refuse(f"{weight.shape[0]} output channels cannot form {groups} groups")
    if len(feed.shape) != space + 1 or feed.shape[0] != weight.shape[1] * groups:
        raise feed.refuse(
            f"weight {weight.shape} with {groups} groups takes {weight.shape[1] * groups} channels "
            f"of {space} dimensions; '{feed.source}' gives {feed.shape}"
        )
    stride = pair(feed, "stride", node.stride, space, 1)
    dilation = pair(feed, "dilation", node.dilation, space, 1)
    padding = _padding(node, feed, kernel, stride, dilation)
    size = feed.shape[1:]
    _check_input_shape(node, feed, size)
    gives = (weight.shape[0], *_slide(feed, size, kernel, stride, padding, dilation))
    one = space == 1
    return changed(
        node,
        feed.shape,
        gives,
        weight=weight,
        input_shape=size[0] if one else size,
        stride=stride[0] if one else stride,
        padding=padding[0] if one else padding,
        dilation=dilation[0] if one else dilation,
        groups=groups,
        **fitted(feed, node, ("bias",), gives[:1]),
    )


def _padding(node: Any, feed: Feed, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    text = node.padding
    if not isinstance(text, str):
        return pair(feed, "padding", text, len(kernel))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if text == "valid":
        padding = tuple(0 for _ in reach)
    elif text != "same":
        raise feed.refuse(f"padding is {text[:40]!r}, expected numbers, 'same' or 'valid'")
    elif set(stride) != {1} or any(r % 2 for r in reach):
        raise feed.refuse(
            f"padding 'same' with kernel {kernel}, stride {stride} and dilation {dilation} is not "
            "the same on both sides, and tools differ; store numbers"
        )
    else:
        padding = tuple(r // 2 for r in reach)
    feed.note(f"padding '{text}' is {padding}")
    return padding


def _check_input_shape(node: Any, feed: Feed, size: Shape) -> None:
    """`input_shape` is the size of the feed: by itself, as one number, or behind other dimensions.

    Those are channels, batch or time; weights and feed agree on the channels already.
    """
    stored = shape_of(feed.name, "input_shape", node.input_shape)
    if not stored:
        feed.note(
            f"input_shape was {absent(node.input_shape)}, {_plain(size)} follows from "
            f"'{feed.source}'"
        )
        return
    if stored == size:
        return
    if stored[-len(size) :] == size or stored * len(size) == size:
        feed.note(f"input_shape {_plain(stored)} means {_plain(size)}")
        return
    raise feed.refuse(
        f"input_shape is {_plain(stored)}, but '{feed.source}' gives {feed.shape}; "
        "one of the two is wrong, correct it"
    )


def _slide(
    feed: Feed, size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape
) -> Shape:
    gives = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(gives) < 1:
        raise feed.refuse(
            f"kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation} leave "
            f"{gives} of {size}, expected at least 1"
        )
    return gives


def _pool(node: Any, feed: Feed) -> Settled:
    if len(feed.shape) != 3:
        raise feed.refuse(f"takes (channel, row, column); '{feed.source}' gives {feed.shape}")
    values = {
        key: pair(feed, key, getattr(node, key), 2, lowest)
        for key, lowest in (("kernel_size", 1), ("stride", 1), ("padding", 0))
    }
    kernel, stride, padding = values.values()
    gives = _slide(feed, feed.shape[1:], kernel, stride, padding, (1, 1))
    arrays = {key: np.array(value) for key, value in values.items()}
    return changed(node, feed.shape, (feed.shape[0], *gives), **arrays)


def _flatten(node: Any, feed: Feed) -> Settled:
    (start,) = pair(feed, "start_dim", node.start_dim, 1, -16)
    (end,) = pair(feed, "end_dim", node.end_dim, 1, -16)
    ndim = len(feed.shape)
    declared = (node.input_type or {}).get("input")
    stored = shape_of(feed.name, "input_type", declared)
    if not stored:
        feed.note(f"input_type was {absent(declared)}, {feed.shape} follows from '{feed.source}'")
    elif stored != feed.shape:
        # Its own shape proves that it counts time or batch.
        extra = len(stored) - ndim
        if extra < 1 or stored[extra:] != feed.shape or 0 <= start < extra or 0 <= end < extra:
            raise feed.refuse(
                f"input_type is {stored}, but '{feed.source}' gives {feed.shape}; correct one"
            )
        new = (start - extra if start >= 0 else start, end - extra if end >= 0 else end)
        feed.note(
            f"input_type {stored} has a batch or time dimension {stored[:extra]}; without it, dims "
            f"{start} to {end} are {new[0]} to {new[1]}"
        )
        start, end = new
    if ndim == 1 and start == 1:
        feed.note(f"start_dim 1 of a vector {feed.shape} is 0, it is flat already")
        start = 0
    first, last = (dim + ndim if dim < 0 else dim for dim in (start, end))
    if not 0 <= first <= last < ndim:
        raise feed.refuse(f"dims {start} to {end} do not exist in {feed.shape}")
    gives = (*feed.shape[:first], prod(feed.shape[first : last + 1]), *feed.shape[last + 1 :])
    return changed(node, feed.shape, gives, start_dim=start, end_dim=end)


def _elementwise(node: Any, feed: Feed) -> Settled:
    if isinstance(node, nir.Delay) and np.any(numbers(feed.name, "delay", node.delay) < 0):
        raise feed.refuse("delay is negative, a network cannot look ahead")
    values = fitted(feed, node, _ELEMENTWISE[type(node)], feed.shape)
    return changed(node, feed.shape, feed.shape, **values)


RULES: Final[Mapping[type, Callable[[Any, Feed], Settled]]] = {
    **dict.fromkeys(_ONE_DIMENSIONAL, _matrix),
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    **dict.fromkeys(_POOLS, _pool),
    nir.Flatten: _flatten,
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
}


def _plain(shape: Shape) -> str:
    return str(shape[0]) if len(shape) == 1 else str(shape)
