"""What every spiking layer has: a synapse, an optional BatchNorm, and Norse's neurons behind it.

In: spikes or codes over the steps of a sample; out: the layer as it is deployed, with BatchNorm
folded into weight and bias.

While a layer is pruned in training it holds two masks (`training.sparsity` sets them): weights that
are not `kept` and neurons that are not `alive` count as 0 in every forward pass and in what is
deployed, yet their gradient is that of a weight that is used, so that they can come back.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import FloatArray, LayerSpec
from neurozsl.models.blocks import RowNorm
from neurozsl.models.neurons import NeuronConfig, fire


class NeuronLayer(nn.Module):
    """Base of the layers; `config` is the neuron as it is now (`freeze` changes its threshold).

    kept: of the weights, in their shape; alive: of the output channels, each with its neurons. None
    where nothing is pruned. They follow from the weights, so no checkpoint holds them.
    """

    norm: RowNorm | None
    kept: Tensor | None
    alive: Tensor | None

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("kept", None, persistent=False)
        self.register_buffer("alive", None, persistent=False)

    @property
    def synapse(self) -> nn.Linear | nn.Conv1d | nn.Conv2d:
        """The module that holds weight and bias."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Number of neurons."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """The weights that are used: 0 where pruned, with a gradient for all (straight-through)."""
        return _masked(self.synapse.weight, self.kept)

    def prune(self, kept: Tensor | None, alive: Tensor | None = None) -> None:
        """Use these weights and output channels alone from now on; None: all of them."""
        self.kept, self.alive = kept, alive

    def settle(self) -> None:
        """Write the zeros of the masks into the weights, and lift the masks.

        A channel that is not alive gets a drive of 0: weights, bias and BatchNorm's shift are 0.
        """
        with torch.no_grad():
            self.synapse.weight.copy_(self.weight)
            if self.alive is not None:
                assert self.synapse.bias is not None
                dead = ~self.alive
                self.synapse.weight[dead] = 0
                self.synapse.bias[dead] = 0
                if self.norm is not None:
                    self.norm.norm.weight[dead] = 0
                    self.norm.norm.bias[dead] = 0
        self.prune(None)

    def fan_out(self) -> Tensor:
        """Nonzero weights that an event of each source value goes through, `(inputs,)`."""
        raise NotImplementedError

    @property
    def connections(self) -> int:
        """Weights that events on every source value would go through, none pruned."""
        raise NotImplementedError

    def living(self, drive: Tensor) -> Tensor:
        """The drive `(batch, time, neuron)`, 0 for neurons that are not alive."""
        if self.alive is None:
            return drive
        return _masked(drive, self.alive.repeat_interleave(self.size // len(self.alive)))

    def freeze(self, theta: float) -> None:
        """Give the neurons one constant threshold."""
        self.config = replace(self.config, theta=theta)

    def folded(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Weight and bias of the synapse with BatchNorm folded in, rounded to float32.

        Raises:
            BadInput: a folded value is not finite.
        """
        assert self.synapse.bias is not None
        weight = self.weight.detach().double().cpu()
        bias = self.synapse.bias.detach().double().cpu()
        if self.norm is not None:
            norm = self.norm.norm
            assert norm.running_var is not None and norm.running_mean is not None
            scale = norm.weight.detach().double().cpu() / torch.sqrt(
                norm.running_var.double().cpu() + norm.eps
            )
            weight = weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))
            bias = (bias - norm.running_mean.double().cpu()) * scale
            bias = bias + norm.bias.detach().double().cpu()
        if self.alive is not None:
            weight[~self.alive.cpu()], bias[~self.alive.cpu()] = 0.0, 0.0
        w, b = weight.float().numpy(), bias.float().numpy()
        bad = int((~np.isfinite(w)).sum() + (~np.isfinite(b)).sum())
        if bad:
            raise BadInput(
                f"motion layer '{name}' {tuple(w.shape)}: {bad} folded weights are NaN or "
                "infinite, expected finite numbers; train again with a lower learning rate"
            )
        return w, b

    def load_folded(self, name: str, weight: FloatArray, bias: FloatArray) -> None:
        """Take over what `folded` gave.

        Raises:
            BadInput: this layer has a BatchNorm of its own.
        """
        if self.norm is not None:
            raise BadInput(f"motion layer '{name}': has a BatchNorm, folding needs norm=false")
        assert self.synapse.bias is not None
        with torch.no_grad():
            self.synapse.weight.copy_(torch.from_numpy(weight))
            self.synapse.bias.copy_(torch.from_numpy(bias))

    def spec(self, name: str, source: str) -> LayerSpec:
        """The layer as deployed, with vectors of its size.

        Raises:
            BadInput: a folded value is not finite.
        """
        weight, bias = self.folded(name)
        full = np.ones(self.size)
        kappa, theta = full * self.config.kappa, full * self.config.theta
        return LayerSpec(name, source, weight, bias, kappa, theta)


class DrivenLayer(NeuronLayer):
    """A layer whose drive of all steps is known before the first neuron moves."""

    def drive(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What reaches the neurons: `x` (batch, time, inputs) -> (batch, time, neurons)."""
        raise NotImplementedError

    def forward(self, x: Tensor, mask: Tensor | None, theta: Tensor | None) -> Tensor:
        """`x` (batch, time, inputs) -> (batch, time, neurons); `theta` (batch, time) or None."""
        return fire(self.drive(x, mask), self.config, theta)


def _masked(values: Tensor, kept: Tensor | None) -> Tensor:
    """0 where not kept; the gradient is that of `values` everywhere."""
    return values if kept is None else values - values.detach().masked_fill(kept, 0.0)
