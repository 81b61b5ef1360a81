"""What every spiking layer has: a synapse, an optional BatchNorm, and Norse's neurons behind it.

In: spikes or codes over the steps of a sample; out: the layer as it is deployed, with BatchNorm
folded into weight and bias.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import FloatArray, LayerSpec
from neurozsl.models.blocks import RowNorm
from neurozsl.models.neurons import NeuronConfig


class NeuronLayer(nn.Module):
    """Base of the layers; `config` is the neuron as it is now (`freeze` changes its threshold)."""

    norm: RowNorm | None

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def synapse(self) -> nn.Linear | nn.Conv1d:
        """The module that holds weight and bias."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Number of neurons."""
        raise NotImplementedError

    def freeze(self, theta: float) -> None:
        """Give the neurons one constant threshold."""
        self.config = replace(self.config, theta=theta)

    def folded(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Weight and bias of the synapse with BatchNorm folded in, rounded to float32.

        Raises:
            BadInput: a folded value is not finite.
        """
        assert self.synapse.bias is not None
        weight = self.synapse.weight.detach().double().cpu()
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
