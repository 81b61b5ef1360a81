"""Spiking self-attention: queries, keys and values are spikes, and no softmax stands between.

In: spikes x `(batch, time, width)` in {0, 1}; out: the same. One block, after Spikformer (Zhou et
al., ICLR 2023) with the residual in front of the neuron (Spikingformer, arXiv 2304.11954), so that
every activation stays binary::

    Q, K, V = LIF(BN(W x))                        in {0, 1}
    A = LIF(s Q K^T V)                            a count times s, a power of two
    y = LIF(BN(W A) + r x)                        a residual spike alone fires
    z = LIF(BN(W LIF(BN(W y))) + r y)             the MLP of a transformer block

Counts times a power of two are exact in float32 whatever the order of the sums.

Tokens: benchmark features are one vector per step and hold no patches, and over a single token
attention only gates V by the overlap of Q and K. So the features of a step are cut into `slots`
chunks (a dense layer made them, so that it can learn what belongs together) and attention mixes
the chunks of one step, causal like the neurons around it: `tokens="slots"`. `tokens="time"` takes
the steps as tokens instead; every step then waits for the last one.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.neurons import NeuronConfig, fire

Tokens = Literal["slots", "time"]


class Projections(NamedTuple):
    """Spikes Q, K and V, each `(batch, time, width)`."""

    query: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class AttentionConfig:
    """Shape of the product: width = slots x heads x channels of a head.

    scale: s, a power of two. theta: threshold of the neurons that read the product, in its units.
    """

    width: int
    slots: int = 8
    heads: int = 1
    scale: float = 1.0
    theta: float = 0.5
    tokens: Tokens = "slots"

    def __post_init__(self) -> None:
        cut = self.heads * (self.slots if self.tokens == "slots" else 1)
        if self.width % cut:
            raise BadInput(
                f"spiking attention: width {self.width} is not a multiple of {cut} (slots "
                f"{self.slots} x heads {self.heads}, tokens={self.tokens})"
            )
        if self.scale <= 0 or math.frexp(self.scale)[0] != 0.5:
            raise BadInput(
                f"spiking attention: scale {self.scale}, expected a power of two such as 0.125 "
                "(a shift on a chip, exact in float)"
            )


def attention(qkv: Projections, config: AttentionConfig) -> Tensor:
    """Product s Q K^T V over the tokens, `(batch, time, width)`; multiples of s, not negative."""
    q, k, v = (_tokens(x, config) for x in qkv)
    mixed = (q @ k.transpose(-1, -2)) @ v * config.scale
    if config.tokens == "slots":
        return mixed.transpose(2, 3).flatten(2)
    return mixed.transpose(1, 2).flatten(2)


def _tokens(x: Tensor, config: AttentionConfig) -> Tensor:
    """`(batch, time, head, slot, channel)`; time as tokens: `(batch, head, time, channel)`."""
    if config.tokens == "slots":
        return x.reshape(*x.shape[:2], config.slots, config.heads, -1).transpose(2, 3)
    return x.reshape(*x.shape[:2], config.heads, -1).transpose(1, 2)


def real_only(x: Tensor, mask: Tensor | None) -> Tensor:
    """The spikes of the real steps; padded steps are silent."""
    return x if mask is None else x * mask.unsqueeze(-1).to(x.dtype)


class SpikingProduct(nn.Module):
    """A = LIF(s Q K^T V): the neurons that read the product, with a threshold in its units.

    No weights. Dynamic thresholds leave it alone, because its input is a count.
    """

    def __init__(self, config: AttentionConfig, neuron: NeuronConfig) -> None:
        super().__init__()
        self.config, self.neuron = config, replace(neuron, theta=config.theta)

    def forward(self, qkv: Projections) -> Tensor:
        """Spikes `(batch, time, width)`."""
        return fire(attention(qkv, self.config), self.neuron)


class SpikingBlock(nn.Module):
    """Attention and MLP of one transformer block; `neuron` and `norm` are those of its layers.

    ratio: neurons of the MLP's hidden layer, in widths. projected: Q, K and V come from elsewhere
    (they are on the chip), no layers for them here.
    """

    def __init__(
        self,
        config: AttentionConfig,
        *,
        ratio: int,
        projected: bool,
        neuron: NeuronConfig,
        norm: bool,
    ) -> None:
        super().__init__()
        width = config.width
        self.project: nn.ModuleList | None = None
        if not projected:
            own = (SpikingLayer(width, width, neuron, norm=norm) for _ in Projections._fields)
            self.project = nn.ModuleList(own)
        self.out = _reading_residual(width, width, neuron, norm)
        self.product = SpikingProduct(config, self.out.config)
        self.up = SpikingLayer(width, ratio * width, neuron, norm=norm)
        self.down = _reading_residual(ratio * width, width, neuron, norm)

    def forward(
        self, x: Tensor, mask: Tensor | None, theta: Tensor | None, qkv: Projections | None = None
    ) -> Tensor:
        """`x` `(batch, time, width)` -> the same; `qkv` where they come from elsewhere."""
        if qkv is None:
            assert self.project is not None
            qkv = Projections(*(layer(x, mask, theta) for layer in self.project))
        qkv = Projections(*(real_only(spikes, mask) for spikes in qkv))
        x = _add(self.out, self.product(qkv), x, mask, theta)
        return _add(self.down, self.up(x, mask, theta), x, mask, theta)


class PlainBlock(nn.Module):
    """What stands in where attention is ablated: two spiking layers, no residual."""

    def __init__(self, width: int, *, ratio: int, neuron: NeuronConfig, norm: bool) -> None:
        super().__init__()
        self.up = SpikingLayer(width, ratio * width, neuron, norm=norm)
        self.down = SpikingLayer(ratio * width, width, neuron, norm=norm)

    def forward(
        self, x: Tensor, mask: Tensor | None, theta: Tensor | None, qkv: Projections | None = None
    ) -> Tensor:
        """Same contract as `SpikingBlock.forward`; there is nothing to attend with."""
        spikes: Tensor = self.down(self.up(x, mask, theta), mask, theta)
        return spikes


RESIDUAL = 2.0  # thresholds that a residual spike lifts the membrane by
_START = 0.5  # thresholds that the other addend starts at, as a standard deviation


def _reading_residual(inputs: int, outputs: int, neuron: NeuronConfig, norm: bool) -> SpikingLayer:
    """A layer whose input is added to a residual; a block starts near the identity."""
    layer = SpikingLayer(inputs, outputs, neuron, norm=norm)
    if layer.norm is not None:
        nn.init.constant_(layer.norm.norm.weight, _START * layer.config.unit)
    return layer


def _add(
    layer: SpikingLayer, x: Tensor, residual: Tensor, mask: Tensor | None, theta: Tensor | None
) -> Tensor:
    """LIF(BN(W x) + r residual), r the drive of `RESIDUAL` thresholds.

    With 1 and a full start the block forgets half of the residual spikes (one seed of the
    synthetic set, ten epochs: HM of the motion head 40 against 55).
    """
    drive = layer.drive(x, mask) + RESIDUAL * layer.config.unit * residual
    return fire(drive, layer.config, theta)
