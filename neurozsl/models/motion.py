"""The spiking motion branch: per modality, Linear - BatchNorm - Norse neuron blocks over time.

In: `ChipInput`; out: `Trace` with the spikes of every layer. The neurons are those of
`models.neurons`, whose leak kappa = decay_u12 / 4096 is a number that a chip with 12-bit decays
holds too. The membrane is carried over the steps of a sample and starts at 0 for the next one
(MDFT section 3.2, "reset after processing all the information pairs"). `spec()` describes the
branch with BatchNorm folded.

A pathway is a chain of layers; `taps` are further layers that all read the end of the chain (the
queries, keys and values of a spiking attention, whose product is the host's).

`override` puts another forward in the place of Norse's, for example the integers of a chip
(`neurozsl.training.qat`); this module knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import (
    BranchSpec,
    ChipInput,
    FloatArray,
    InputCode,
    LayerSpec,
    Policy,
    Trace,
)
from neurozsl.models.blocks import RowNorm
from neurozsl.models.neurons import Neuron, NeuronConfig, Surrogate, fire


class SpikingLayer(nn.Module):
    """Linear, optional BatchNorm, and Norse's neurons over the steps of a sample."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        decay_u12: int,
        theta: float,
        surrogate: Surrogate,
        slope: float,
        norm: bool,
        neuron: Neuron,
    ) -> None:
        super().__init__()
        self.decay_u12, self.theta, self.neuron = decay_u12, theta, neuron
        self.surrogate, self.slope = surrogate, slope
        self.linear = nn.Linear(inputs, outputs)
        # This gain starts what reaches the membrane at a standard deviation of one threshold.
        self.norm = RowNorm(outputs, gain=self.config.unit) if norm else None

    @property
    def config(self) -> NeuronConfig:
        """The neuron as it is now (`SpikingBranch.freeze` changes its threshold)."""
        return NeuronConfig(self.neuron, self.decay_u12, self.theta, self.surrogate, self.slope)

    @property
    def kappa(self) -> float:
        """Fraction of the membrane that is lost per step; 0 without a leak."""
        return self.config.kappa

    def drive(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What reaches the neurons: `x` (batch, time, inputs) -> (batch, time, outputs)."""
        drive: Tensor = self.linear(x)
        return drive if self.norm is None else self.norm(drive, mask)

    def forward(self, x: Tensor, mask: Tensor | None, theta: Tensor | None) -> Tensor:
        """`x` (batch, time, inputs) -> (batch, time, outputs); `theta` (batch, time) or None."""
        return fire(self.drive(x, mask), self.config, theta)

    def folded(self) -> tuple[FloatArray, FloatArray]:
        """Weight `(out, in)` and bias `(out,)` with BatchNorm folded in, rounded to float32.

        Raises:
            BadInput: a folded value is not finite.
        """
        weight = self.linear.weight.detach().double().cpu()
        bias = self.linear.bias.detach().double().cpu()
        if self.norm is not None:
            norm = self.norm.norm
            assert norm.running_var is not None and norm.running_mean is not None
            scale = norm.weight.detach().double().cpu() / torch.sqrt(
                norm.running_var.double().cpu() + norm.eps
            )
            weight = weight * scale[:, None]
            bias = (bias - norm.running_mean.double().cpu()) * scale
            bias = bias + norm.bias.detach().double().cpu()
        w, b = weight.float().numpy(), bias.float().numpy()
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            bad = int((~np.isfinite(w)).sum() + (~np.isfinite(b)).sum())
            raise BadInput(
                f"motion layer {tuple(w.shape)}: {bad} folded weights are NaN or infinite, "
                "expected finite numbers; train again with a lower learning rate"
            )
        return w, b


# A forward pass in the place of the branch's own: (branch, input) -> spikes of every layer.
Override = Callable[["SpikingBranch", ChipInput], Trace]


class SpikingBranch(nn.Module):
    """Named pathways (one per modality), each a chain of spiking layers, and taps at its end.

    Args:
        codes: input name -> `InputCode`; the pathways have the inputs' names.
        widths: neurons per layer of the chain, the same for every pathway.
        taps: names of further layers, as wide as the end of the chain, which they read.
        steps: T of a sample.
        dt_s: length of a chip step in seconds, for export and energy.
    """

    def __init__(
        self,
        codes: Mapping[str, InputCode],
        widths: Sequence[int],
        *,
        steps: int,
        dt_s: float = 1e-3,
        decay_u12: int = 2048,
        theta: float = 1.0,
        surrogate: Surrogate = "tanh",
        slope: float = 1.0,
        norm: bool = True,
        neuron: Neuron = "lif",
        dynamic: bool = False,
        taps: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.codes = dict(codes)
        self.steps, self.dt_s, self.neuron, self.dynamic = steps, dt_s, neuron, dynamic
        self.frozen_theta: dict[str, float] = {}  # layer -> constant, once `freeze` was called
        self.override: Override | None = None
        self.pathways = nn.ModuleDict()
        for name, code in self.codes.items():
            sizes = [*pairwise([code.size, *widths]), *((widths[-1], widths[-1]) for _ in taps)]
            self.pathways[name] = nn.ModuleList(
                SpikingLayer(
                    i,
                    o,
                    decay_u12=decay_u12,
                    theta=theta,
                    surrogate=surrogate,
                    slope=slope,
                    norm=norm,
                    neuron=neuron,
                )
                for i, o in sizes
            )

    def set_code(self, name: str, code: InputCode) -> None:
        """Replace the code of input `name` (calibration chose another scale)."""
        if code.size != self.codes[name].size:
            raise BadInput(
                f"motion input '{name}': code of size {code.size}, expected {self.codes[name].size}"
            )
        self.codes[name] = code

    def layer_names(self, pathway: str) -> list[str]:
        """Names of a pathway's layers: `audio.0`, `audio.1`, ..., then taps such as `audio.q`."""
        chain = len(self._layers(pathway)) - len(self.taps)
        return [f"{pathway}.{i}" for i in (*range(chain), *self.taps)]

    def chain_end(self, pathway: str) -> str:
        """Name of the layer that the taps read, and without taps the last one."""
        return self.layer_names(pathway)[len(self._layers(pathway)) - len(self.taps) - 1]

    def named_layers(self) -> dict[str, SpikingLayer]:
        """Layers by name, in the order of `spec`."""
        return {
            name: layer
            for pathway in self.codes
            for name, layer in zip(self.layer_names(pathway), self._layers(pathway), strict=True)
        }

    def freeze(self, theta: Mapping[str, float]) -> None:
        """Give every layer one constant threshold; the policy is then `frozen`.

        Raises:
            BadInput: the names are not those of the layers.
        """
        layers = self.named_layers()
        if set(theta) != set(layers):
            raise BadInput(
                f"motion branch: thresholds for {sorted(theta)}, the layers are {sorted(layers)}"
            )
        for name, layer in layers.items():
            layer.theta = float(theta[name])
        self.frozen_theta = {name: float(theta[name]) for name in layers}
        self.dynamic = False

    def load_folded(self, other: SpikingBranch) -> None:
        """Take over the weights of a branch of the same shape, its BatchNorm folded in.

        Raises:
            BadInput: this branch has a BatchNorm of its own.
        """
        sources = other.named_layers()
        for name, layer in self.named_layers().items():
            if layer.norm is not None:
                raise BadInput(f"motion layer '{name}': has a BatchNorm, folding needs norm=false")
            weight, bias = sources[name].folded()
            with torch.no_grad():
                layer.linear.weight.copy_(torch.from_numpy(weight))
                layer.linear.bias.copy_(torch.from_numpy(bias))

    def _layers(self, pathway: str) -> list[SpikingLayer]:
        module = self.pathways[pathway]
        assert isinstance(module, nn.ModuleList)
        return [layer for layer in module if isinstance(layer, SpikingLayer)]

    def forward(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        """Run every pathway with Norse's neuron; spikes `(batch, time, neuron)` per layer."""
        if self.override is not None:
            return self.override(self, chip_input)
        spikes: dict[str, Tensor] = {}
        for name in self.codes:
            spikes[name] = chip_input.codes[name] * chip_input.code[name].scale
            for layer_name, source, layer in self._wired(name):
                theta = None if chip_input.theta is None else chip_input.theta[layer_name]
                spikes[layer_name] = layer(spikes[source], mask, theta)
            del spikes[name]
        return Trace(spikes)

    def _wired(self, pathway: str) -> list[tuple[str, str, SpikingLayer]]:
        """Name, source and layer, in the order of `spec`."""
        names, end = self.layer_names(pathway), self.chain_end(pathway)
        chain = names[: names.index(end) + 1]
        sources = [pathway, *chain[:-1], *(end for _ in self.taps)]
        return list(zip(names, sources, self._layers(pathway), strict=True))

    def spec(self) -> BranchSpec:
        """Describe the branch as deployed: BatchNorm folded, vectors of layer size, float32.

        Raises:
            BadInput: the branch is the MLP ablation, which has nothing to export.
        """
        if self.neuron == "mlp":
            raise BadInput(
                "motion branch: neuron 'mlp' does not spike; train with neuron=lif or neuron=if to "
                "export it"
            )
        layers = []
        for name in self.codes:
            for layer_name, source, layer in self._wired(name):
                weight, bias = layer.folded()
                full = np.ones(len(bias))
                layers.append(
                    LayerSpec(
                        layer_name, source, weight, bias, full * layer.kappa, full * layer.theta
                    )
                )
        outputs = tuple(
            layer
            for name in self.codes
            for layer in (self.chain_end(name), *(f"{name}.{tap}" for tap in self.taps))
        )
        constant: Policy = "frozen" if self.frozen_theta else "fixed"
        policy: Policy = "dynamic" if self.dynamic else constant
        return BranchSpec(dict(self.codes), tuple(layers), outputs, self.dt_s, self.steps, policy)
