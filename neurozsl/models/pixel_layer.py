"""Spiking layers on maps: convolutions of two dimensions, and sums over windows in front of them.

In: spikes or codes `(batch, time, values)`, the values of a step flat in the order of `(C, H, W)`;
out: spikes `(batch, time, neuron)` in the same order. A layer is

    drive = BN(W * sums(x))       W: a kernel (`PixelLayer`), or a matrix (`PooledLayer`)

with sums over windows side by side, where it has any: what a core of Speck sums behind its neurons,
and what other chips take as connections of equal weight. A sum of spikes is no mean: nothing is
rounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from neurozsl.core.maps import Conv, MapShape, Pool
from neurozsl.core.signals import LayerSpec
from neurozsl.models.blocks import RowNorm
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.spiking_layer import DrivenLayer


@dataclass(frozen=True)
class MapEncoder:
    """The convolutions that a pathway begins with.

    shape: map that is read. channels: of the blocks. kernel: side, odd; the map keeps its size.
    window: side of the sums in front of every layer but the first.
    """

    shape: MapShape
    channels: tuple[int, ...]
    kernel: int = 3
    window: int = 2

    def layers(
        self, widths: Sequence[int], neuron: NeuronConfig, *, norm: bool
    ) -> Iterator[DrivenLayer]:
        """Its blocks, and behind them dense layers of these widths."""
        shape, pool = self.shape, None
        for count in self.channels:
            layer = PixelLayer(shape, count, neuron, kernel=self.kernel, norm=norm, pool=pool)
            yield layer
            pool = Pool(layer.out, *((self.window, self.window),) * 2)
            shape = pool.out_shape
        assert pool is not None
        yield PooledLayer(pool, widths[0], neuron, norm=norm)
        for inputs, outputs in pairwise(widths):
            yield SpikingLayer(inputs, outputs, neuron, norm=norm)


class PixelLayer(DrivenLayer):
    """[sums -] Conv2d - BatchNorm - neuron.

    shape: map that the kernel reads. pool: sums that make it, None where the source has it.
    """

    def __init__(
        self,
        shape: MapShape,
        channels: int,
        config: NeuronConfig,
        *,
        kernel: int,
        norm: bool,
        pool: Pool | None = None,
    ) -> None:
        super().__init__(config)
        self.shape, self.pool = shape, pool
        self.conv = nn.Conv2d(shape[0], channels, kernel, padding=kernel // 2)
        self.out: MapShape = (channels, *shape[1:])
        # As of dense layers: what reaches the membrane starts with a deviation of one threshold.
        self.norm = RowNorm(channels, gain=config.unit) if norm else None

    @property
    def synapse(self) -> nn.Conv2d:
        """Kernel `(out, in, height, width)`."""
        return self.conv

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.out[0] * self.out[1] * self.out[2]

    def spec(self, name: str, source: str) -> LayerSpec:
        """The layer as deployed."""
        high, wide = (side // 2 for side in self.conv.kernel_size)
        conv = Conv(self.shape, padding=(high, high, wide, wide))
        return replace(super().spec(name, source), conv=conv, pools=_each(self.pool))

    def drive(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What reaches the neurons: `x` (batch, time, values) -> (batch, time, neurons)."""
        maps = _sums(self.pool, x).reshape(-1, *self.shape)  # (batch x time, C, H, W)
        # The module itself where it can be, for the hooks of those who watch it.
        maps = (
            self.conv(maps)
            if self.kept is None
            else nn.functional.conv2d(
                maps, self.weight, self.conv.bias, padding=self.conv.kernel_size[0] // 2
            )
        )
        return self.living(self._normed(maps, mask).reshape(*x.shape[:2], -1))

    def _normed(self, maps: Tensor, mask: Tensor | None) -> Tensor:
        """BatchNorm over all places of the real steps; steps that are not become 0."""
        if self.norm is None:
            return maps
        flat, norm = maps.flatten(2), self.norm.norm
        if mask is None or bool(mask.all()):
            normed: Tensor = norm(flat)
            return normed
        real, out = mask.reshape(-1), torch.zeros_like(flat)
        out[real] = norm(flat[real]).to(out.dtype)
        return out

    def fan_out(self) -> Tensor:
        """Nonzero weights behind each value of the source."""
        return self._behind((self.weight != 0).double())

    @property
    def connections(self) -> int:
        """Every pair of value and neuron that a weight joins."""
        return int(self._behind(torch.ones_like(self.conv.weight, dtype=torch.float64)).sum())

    def _behind(self, used: Tensor) -> Tensor:
        """Weights behind each value: ones sent back through the kernel and the sums."""
        every, side = used.new_ones(1, *self.out), self.conv.kernel_size[0] // 2
        back = nn.functional.conv_transpose2d(every, used, padding=side)
        return _before(self.pool, back.reshape(-1).round().long())


class PooledLayer(SpikingLayer):
    """Sums, then a dense layer on them; pool: the sums."""

    def __init__(self, pool: Pool, outputs: int, config: NeuronConfig, *, norm: bool) -> None:
        channels, high, wide = pool.out_shape
        super().__init__(channels * high * wide, outputs, config, norm=norm)
        self.pool = pool

    def spec(self, name: str, source: str) -> LayerSpec:
        """The layer as deployed."""
        return replace(super().spec(name, source), pools=(self.pool,))

    def drive(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What reaches the neurons: `x` (batch, time, values) -> (batch, time, outputs)."""
        return super().drive(_sums(self.pool, x), mask)

    def fan_out(self) -> Tensor:
        """Nonzero weights behind each value of the source."""
        return _before(self.pool, super().fan_out())

    @property
    def connections(self) -> int:
        """Every pair of value and neuron that a weight joins."""
        every = torch.full((self.linear.in_features,), self.linear.out_features)
        return int(_before(self.pool, every).sum())


def _each(pool: Pool | None) -> tuple[Pool, ...]:
    return () if pool is None else (pool,)


def _sums(pool: Pool | None, x: Tensor) -> Tensor:
    """Window sums of every step: `(batch, time, values)` -> `(batch, time, cells)`."""
    if pool is None:
        return x
    maps = x.reshape(-1, *pool.shape)
    sums = nn.functional.avg_pool2d(maps, pool.kernel, pool.stride, divisor_override=1)
    return sums.reshape(*x.shape[:2], -1)


def _before(pool: Pool | None, behind: Tensor) -> Tensor:
    """What is behind each value `(values,)`, from what is behind each sum `(cells,)`."""
    if pool is None:
        return behind
    (high, wide), cells = pool.kernel, behind.reshape(pool.out_shape)
    whole = cells.repeat_interleave(high, 1).repeat_interleave(wide, 2)
    every = behind.new_zeros(pool.shape)  # values that no window reaches lead nowhere
    every[:, : whole.shape[1], : whole.shape[2]] = whole
    return every.reshape(-1)
