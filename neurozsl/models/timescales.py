"""Spiking stages of one modality on ever fewer time steps, T_1 > T_2 > ... > T_m.

In: spikes of the embedding layers `(batch, T, width)`, which ran on the chip, and the Q, K, V of
the first block where these ran there too. Out: the spikes of every stage `(batch, T_i, width)`::

    stage 1       blocks
    stage i > 1   shrink T_{i-1} -> T_i;  x = LIF(BN(W mean));  blocks

The membrane starts at 0 in every stage. What the shrinkage gives are means, not spikes; only the
entry layer of the stage reads them, so that the blocks and residuals see spikes alone.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.shrinkage import Shrinkage, groups, pool, pool_mask
from neurozsl.models.spiking_attention import (
    AttentionConfig,
    PlainBlock,
    Projections,
    SpikingBlock,
    real_only,
)


class Timescales(nn.Module):
    """All stages of one modality.

    config: attention of every block; None for plain blocks, whose first stage is on the chip.
    width: neurons of every stage. lengths: T_1, ..., T_m. depth: blocks per stage. ratio: neurons
    of a block's hidden layer, in widths. learnt: weights of the shrinkage. projected: Q, K, V of
    the first block are given to `forward`. neuron, norm: of every layer.
    """

    def __init__(
        self,
        config: AttentionConfig | None,
        *,
        width: int,
        lengths: Sequence[int],
        depth: int,
        ratio: int,
        learnt: bool,
        projected: bool,
        neuron: NeuronConfig,
        norm: bool,
    ) -> None:
        super().__init__()
        self.shrink = nn.ModuleList()
        self.enter = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for stage, length in enumerate(lengths):
            if stage:
                self.shrink.append(Shrinkage(lengths[stage - 1], length, learnt=learnt))
                self.enter.append(SpikingLayer(width, width, neuron, norm=norm))
            blocks: list[nn.Module] = []
            for number in range(depth):
                if config is not None:
                    given = projected and not stage and not number
                    blocks.append(
                        SpikingBlock(config, ratio=ratio, projected=given, neuron=neuron, norm=norm)
                    )
                elif stage:
                    blocks.append(PlainBlock(width, ratio=ratio, neuron=neuron, norm=norm))
            self.blocks.append(nn.ModuleList(blocks))

    def forward(
        self, x: Tensor, qkv: Projections | None, mask: Tensor, theta: Tensor | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Spikes and mask of every stage; `theta` `(batch, T)` are the dynamic thresholds."""
        x = real_only(x, mask)
        stages = []
        for number, blocks in enumerate(self.blocks):
            if number:
                shrink, enter = self.shrink[number - 1], self.enter[number - 1]
                assert isinstance(shrink, Shrinkage)
                x = shrink(x, mask)
                if theta is not None:
                    member = groups(shrink.before, shrink.after).to(theta)
                    theta = pool(theta.unsqueeze(-1), member, mask).squeeze(-1)
                mask = pool_mask(mask, shrink.after)
                x = enter(x, mask, theta)
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x, qkv = block(x, mask, theta, qkv), None
            x = real_only(x, mask)
            stages.append((x, mask))
        return stages
