"""What joins the fused features of both modalities in STFT: its transformer, or a Spikformer.

In: Y_a, Y_v `(batch, time, E)`; out: Z_av `(batch, E)`. Both directions share their weights and are
averaged over modalities and time::

    Q = MHCA(Y_a, Y_v);   Z = MLP(LN(Q)) + Q                                   (Eq. 14)

Readings: LN(Q_i) is LN(Q_av). `depth` is that of the "stack of standard transformer layers": a
further layer takes the outputs of both directions for Y_a and Y_v, with weights of its own.

The Spikformer is Table VI's "full-spike" row, of which the paper says no more: a linear LIF layer
turns Y into spikes, and the spiking attention of MDST++ (`spiking_attention`) stands where Eq. 14
attends, queries of one modality, keys and values of the other, the steps as tokens.
"""

import torch
from torch import Tensor, nn

from neurozsl.models.blocks import Attention, CrossLayer, FeedForward, masked_mean
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.spiking_attention import AttentionConfig, Projections, SpikingBlock, real_only


class CrossModalTransformer(nn.Module):
    """Eq. 14: attention blocks whose weights both directions share."""

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        head_width: int,
        hidden: int,
        dropout: float,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.attend = Attention(width, heads, head_width)
        self.feed = FeedForward(width, hidden, dropout)
        self.deeper = nn.ModuleList(
            CrossLayer(width, heads=heads, head_width=head_width, hidden=hidden, dropout=dropout)
            for _ in range(depth - 1)
        )

    def forward(self, audio: Tensor, video: Tensor, mask: Tensor | None) -> Tensor:
        """Y_a, Y_v `(batch, time, E)` -> Z_av `(batch, E)`."""
        heard: Tensor = self.feed(self.attend(audio, video, mask))
        seen: Tensor = self.feed(self.attend(video, audio, mask))
        for layer in self.deeper:
            heard, seen = layer(heard, seen, mask), layer(seen, heard, mask)
        return masked_mean((heard + seen) / 2, mask)


class SpikingCross(nn.Module):
    """A Spikformer block in the place of the transformer, after Table VI.

    heads: they cut the width. ratio: neurons of the block's MLP, in widths. neuron: of every layer;
    each has a BatchNorm, deployed or not, because it stays on the host.
    """

    def __init__(self, width: int, *, heads: int, ratio: int, neuron: NeuronConfig) -> None:
        super().__init__()
        config = AttentionConfig(width, heads=heads, tokens="time")
        self.enter = SpikingLayer(width, width, neuron, norm=True)
        self.project = nn.ModuleList(
            SpikingLayer(width, width, neuron, norm=True) for _ in Projections._fields
        )
        self.block = SpikingBlock(config, ratio=ratio, projected=True, neuron=neuron, norm=True)

    def forward(self, audio: Tensor, video: Tensor, mask: Tensor | None) -> Tensor:
        """Y_a, Y_v `(batch, time, E)` -> spike rates `(batch, E)`."""
        entered = [real_only(self.enter(y, mask, None), mask) for y in (audio, video)]
        to_query, to_key, to_value = self.project
        both: list[Tensor] = []
        for query, key in (entered, entered[::-1]):
            read = (to_query(query, mask, None), to_key(key, mask, None), to_value(key, mask, None))
            both.append(self.block(query, mask, None, Projections(*read)))
        return masked_mean(torch.stack(both).mean(0), mask)
