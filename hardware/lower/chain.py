"""A path of linear maps, from one population to the next, folded into one `Synapse`.

A path keeps its structure where a `Synapse` has it: delay, then pools, then one matrix or kernel.
Factors fold into the weights. What does not fit (two kernels in a row, a pool behind a kernel, a
factor that varies within a channel) is multiplied out into one matrix, and a note says so. A path
without weights is an identity. Which NIR node is which map is the table of `linear`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.hardware.lower.parameters import Shape
from neurozsl.hardware.network.lowered import Floats
from neurozsl.hardware.network.synapse import Conv, Link, MapShape, Pool, Synapse, matrix

_LARGEST_IDENTITY: Final = 4096  # wider ones are kernels of 1 x 1
_SAME: Final = 2**-22  # two steps of float32, relative


@dataclass(frozen=True)
class Chain:
    """A path on its way from the source.

    shape: of the value now. pools, before, weight, conv: sums, then a factor per element, then
    weights. notes: what was rewritten. Biases are not part of it (`linear.constants`): a node that
    two paths pass has one bias.
    """

    source: str
    shape: Shape
    delay: int = 0
    pools: tuple[Pool, ...] = ()
    before: Floats | None = None
    weight: Floats | None = None
    conv: Conv | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def synapse(self) -> Synapse:
        """The weights so far; call `weighted` first."""
        assert self.weight is not None
        return Synapse(self.source, self.weight, Link(self.conv, self.pools, self.delay))


def finish(chain: Chain, gain: Floats, name: str) -> tuple[Synapse, tuple[str, ...]]:
    """Synapse into neurons called `name` with this input gain `(size,)`, and notes."""
    if chain.weight is None:
        kind = "pooling" if chain.pools else "nothing"
        note = f"'{name}': {kind} between it and '{chain.source}'; weights of 1 were written"
        factor = "" if chain.before is None else " times the Scale"
        chain = replace(chain, notes=(*chain.notes, note + factor))
    chain = scaled(weighted(chain, name), gain, name)
    return chain.synapse, chain.notes


def compose(
    chain: Chain,
    name: str,
    act: Callable[[Floats], Floats],
    shape: Shape,
    weight: Floats | None = None,
    conv: Conv | None = None,
) -> Chain:
    """The chain with one more linear map behind it.

    act: the map on rows `(rows, size)`. weight, conv: its weights, None of a pool.
    """
    if chain.weight is None and weight is not None:
        made = replace(chain, shape=shape, weight=weight, conv=conv)
        folded = _columns(made)
        if folded is not None:
            return folded
    whole = _as_matrix(chain, name)
    assert whole.weight is not None
    product = np.ascontiguousarray(act(np.ascontiguousarray(whole.weight.T)).T)
    return _noted(replace(whole, shape=shape, weight=product), name)


def _columns(chain: Chain) -> Chain | None:
    """The factor of the source folded into the weights; None where a kernel cannot hold it."""
    factor, weight, conv = chain.before, chain.weight, chain.conv
    assert weight is not None
    if factor is None:
        return chain
    if conv is None:
        return replace(chain, weight=weight * factor, before=None)
    channels = per_channel(factor, conv.shape)
    if channels is None:
        return None
    groups = channels.reshape(conv.groups, -1)  # input channels of each group
    rows = np.repeat(groups, len(weight) // conv.groups, axis=0)
    return replace(chain, weight=weight * rows[:, :, None, None], before=None)


def scaled(chain: Chain, factor: Floats, name: str) -> Chain:
    """The chain times a factor `(size,)`."""
    if chain.weight is None:
        before = factor if chain.before is None else chain.before * factor
        return replace(chain, before=None if np.all(before == 1) else before)
    if np.all(factor == 1):
        return chain
    if chain.conv is not None:
        channels = per_channel(factor, chain.conv.out_shape(chain.weight.shape))
        if channels is not None:
            return replace(chain, weight=chain.weight * channels[:, None, None, None])
        chain = _noted(_as_matrix(chain, name), name)
    assert chain.weight is not None
    return replace(chain, weight=factor[:, None] * chain.weight)


def weighted(chain: Chain, name: str) -> Chain:
    """The chain with weights: an identity, times the factor of the source, where it has none."""
    if chain.weight is not None:
        return chain
    shape: MapShape
    if chain.pools:
        shape = chain.pools[-1].out_shape
    elif len(chain.shape) == 3:
        shape = (chain.shape[0], chain.shape[1], chain.shape[2])
    else:
        shape = (chain.size, 1, 1)
    factor = np.ones(chain.size) if chain.before is None else chain.before
    channels = per_channel(factor, shape)
    if channels is None or (shape[1:] == (1, 1) and shape[0] <= _LARGEST_IDENTITY):
        if chain.size > _LARGEST_IDENTITY:
            raise BadInput(
                f"NIR node '{name}': a factor for each of {chain.size} values and no weights; at "
                f"most {_LARGEST_IDENTITY}, or one factor per channel"
            )
        return replace(chain, weight=np.diag(factor), before=None)
    kernel = np.ascontiguousarray(channels[:, None, None, None])
    return replace(chain, weight=kernel, conv=Conv(shape, groups=shape[0]), before=None)


def _as_matrix(chain: Chain, name: str) -> Chain:
    """The chain as one matrix on its source."""
    whole = weighted(chain, name)
    if whole.conv is None and not whole.pools:
        return whole
    return replace(whole, weight=matrix(whole.synapse), conv=None, pools=())


def _noted(chain: Chain, name: str) -> Chain:
    """The chain with a note that `name` became part of a matrix."""
    assert chain.weight is not None
    rows, columns = chain.weight.shape
    note = (
        f"'{name}': with what comes before it, it was multiplied out into one matrix "
        f"{rows} x {columns}"
    )
    return replace(chain, notes=(*chain.notes, note))


def per_channel(factor: Floats, shape: Shape) -> Floats | None:
    """One factor per channel of a map; None where it varies within one by more than float32 does.

    A gain that is computed per neuron from a stored tau differs in its last bit between neurons
    that mean the same; the first of a channel then stands for all.
    """
    rows = factor.reshape(shape[0], -1)
    near = np.abs(rows - rows[:, :1]) <= _SAME * np.abs(rows[:, :1])
    return rows[:, 0].copy() if np.all(near) else None
