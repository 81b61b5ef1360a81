"""The spiking motion branch: per modality, Linear - BatchNorm - Norse LIF blocks over time.

In: `ChipInput`; out: `Trace` with the spikes of every layer. Neuron of MDFT Eq. 8 and 9 in Norse's
form, one step per feature step, with dt = 1 so that dt * tau_mem_inv is kappa exactly::

    lif  v* = v + kappa (W x + b - v);  z = v* > theta;  v = 0 on z
    if   v* = v + W x + b, the rest alike (Norse's IAFCell; chips without a leak)

The comparison is strict (the paper prints "reaches", >=): every simulator here can do that one.

kappa = decay_u12 / 4096, so that a chip with 12-bit decays holds the same number. The membrane is
carried over the steps of a sample and starts at 0 for the next one (section 3.2, "reset after
processing all the information pairs"). `spec()` describes the branch with BatchNorm folded.

`override` puts another forward in the place of Norse's, for example the integers of a chip
(`neurozsl.qat`); this module knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.errors import BadInput
from neurozsl.models.blocks import RowNorm
from neurozsl.norse_cells import (
    IAFFeedForwardState,
    IAFParameters,
    LIFBoxFeedForwardState,
    LIFBoxParameters,
    iaf_feed_forward_step,
    lif_box_feed_forward_step,
)
from neurozsl.signals import BranchSpec, ChipInput, FloatArray, InputCode, LayerSpec, Policy, Trace

DECAY_UNIT = 4096  # Loihi's decays have 12 bits
Neuron = Literal["lif", "if", "mlp"]
# Norse's names. In norse 1.1.0 "super" ignores its slope: the gradient is 1 / (|x| + 1)^2 for every
# alpha (measured), so a slope needs one of the others: tanh is 1 - tanh(slope x)^2.
Surrogate = Literal["tanh", "heavi_erfc", "super"]


class SpikingLayer(nn.Module):
    """Linear, optional BatchNorm, and a Norse LIF box or IAF neuron over the steps of a sample."""

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
        # A LIF neuron multiplies its input by kappa; these gains start what reaches the membrane
        # at a standard deviation of one threshold.
        gains = {"lif": theta * DECAY_UNIT / decay_u12, "if": theta, "mlp": 1.0}
        gain = gains[neuron]
        self.norm = RowNorm(outputs, gain=gain) if norm else None

    @property
    def kappa(self) -> float:
        """Fraction of the membrane that is lost per step; 0 without a leak."""
        return 0.0 if self.neuron == "if" else self.decay_u12 / DECAY_UNIT

    def forward(self, x: Tensor, mask: Tensor | None, theta: Tensor | None) -> Tensor:
        """`x` (batch, time, inputs) -> (batch, time, outputs); `theta` (batch, time) or None."""
        drive = self.linear(x)
        if self.norm is not None:
            drive = self.norm(drive, mask)
        if self.neuron == "mlp":
            return torch.relu(drive)
        if self.neuron == "if":
            return self._integrate(drive, theta)
        p = LIFBoxParameters(
            tau_mem_inv=drive.new_tensor(self.kappa),
            v_leak=drive.new_tensor(0.0),
            v_th=drive.new_tensor(self.theta),
            v_reset=drive.new_tensor(0.0),
            method=self.surrogate,
            alpha=drive.new_tensor(self.slope),
        )
        state = LIFBoxFeedForwardState(v=torch.zeros_like(drive[:, 0]))
        spikes = []
        for t in range(drive.shape[1]):
            if theta is not None:
                p = p._replace(v_th=theta[:, t, None])  # (batch, 1), one threshold per sample
            z, state = lif_box_feed_forward_step(drive[:, t], state, p, dt=1.0)
            spikes.append(z)
        return torch.stack(spikes, 1)

    def _integrate(self, drive: Tensor, theta: Tensor | None) -> Tensor:
        """Integrate and fire: `drive` `(batch, time, outputs)` enters the membrane with gain 1."""
        p = IAFParameters(
            v_th=drive.new_tensor(self.theta),
            v_reset=drive.new_tensor(0.0),
            method=self.surrogate,
            alpha=drive.new_tensor(self.slope),
        )
        state = IAFFeedForwardState(v=torch.zeros_like(drive[:, 0]))
        spikes = []
        for t in range(drive.shape[1]):
            if theta is not None:
                p = p._replace(v_th=theta[:, t, None])
            z, state = iaf_feed_forward_step(drive[:, t], state, p)
            spikes.append(z)
        return torch.stack(spikes, 1)

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
    """Named pathways (one per modality), each a chain of spiking layers.

    Args:
        codes: input name -> `InputCode`; the pathways have the inputs' names.
        widths: neurons per layer, the same for every pathway.
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
    ) -> None:
        super().__init__()
        self.codes = dict(codes)
        self.steps, self.dt_s, self.neuron, self.dynamic = steps, dt_s, neuron, dynamic
        self.frozen_theta: dict[str, float] = {}  # layer -> constant, once `freeze` was called
        self.override: Override | None = None
        self.pathways = nn.ModuleDict()
        for name, code in self.codes.items():
            sizes = [code.size, *widths]
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
                for i, o in pairwise(sizes)
            )

    def set_code(self, name: str, code: InputCode) -> None:
        """Replace the code of input `name` (calibration chose another scale)."""
        if code.size != self.codes[name].size:
            raise BadInput(
                f"motion input '{name}': code of size {code.size}, expected {self.codes[name].size}"
            )
        self.codes[name] = code

    def layer_names(self, pathway: str) -> list[str]:
        """Names of a pathway's layers, first to last: `audio.0`, `audio.1`, ..."""
        return [f"{pathway}.{i}" for i in range(len(self._layers(pathway)))]

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
            x = chip_input.codes[name] * chip_input.code[name].scale
            for layer_name, layer in zip(self.layer_names(name), self._layers(name), strict=True):
                theta = None if chip_input.theta is None else chip_input.theta[layer_name]
                x = layer(x, mask, theta)
                spikes[layer_name] = x
        return Trace(spikes)

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
            source = name
            for layer_name, layer in zip(self.layer_names(name), self._layers(name), strict=True):
                weight, bias = layer.folded()
                full = np.ones(len(bias))
                layers.append(
                    LayerSpec(
                        layer_name, source, weight, bias, full * layer.kappa, full * layer.theta
                    )
                )
                source = layer_name
        outputs = tuple(self.layer_names(name)[-1] for name in self.codes)
        constant: Policy = "frozen" if self.frozen_theta else "fixed"
        policy: Policy = "dynamic" if self.dynamic else constant
        return BranchSpec(dict(self.codes), tuple(layers), outputs, self.dt_s, self.steps, policy)
