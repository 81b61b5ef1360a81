"""The convolutional spiking branch of STFT: per modality, Conv - BatchNorm - LIF blocks over time.

In: `ChipInput`; out: `Trace` with the spikes of every layer. A block (Eq. 5, 6)::

    I = BN(Conv1d(x));   I^ = GLP(I) where `shaped` (Eq. 7);   Norse's LIF box or IAF neuron on I^

The paper does not say what the convolution runs over. `axis="feature"`: over the features of a
step, `(channels, features)`, one channel in; the code's levels are channels where it has several.
`axis="time"`: over the steps of every feature, kernel causal, features as channels.

With `loop` other than "fixed" the threshold follows the layer's own spikes of the step before
(`closed_loop`); it moves step by step with the neurons, in training and in evaluation.

What can be deployed: kernels over features with a constant threshold (`freeze`). The closed loop
is frozen to its mean at export; GLP inside a block squashes currents, which no chip here does; a
kernel over time is three delayed synapses, which a `BranchSpec` does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, Conv, InputCode, LayerSpec, Policy, Trace
from neurozsl.models.closed_loop import ClosedLoop
from neurozsl.models.conv_layer import Axis, ConvSpikingLayer, Map
from neurozsl.models.neurons import Neuron, Surrogate


class ConvSpikingBranch(nn.Module):
    """Named pathways (one per modality), each a chain of convolutional blocks.

    Args:
        codes: input name -> `InputCode`; the pathways have the inputs' names.
        channels: of every block, the same for every pathway.
        strides: of every block.
        steps: T of a sample.
        dt_s: length of a chip step in seconds, for export and energy.
        block: the other arguments of `ConvSpikingLayer`.
    """

    def __init__(
        self,
        codes: Mapping[str, InputCode],
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        steps: int,
        dt_s: float = 1e-3,
        axis: Axis = "feature",
        kernel: int = 3,
        decay_u12: int = 2048,
        theta: float = 1.0,
        surrogate: Surrogate = "tanh",
        slope: float = 1.0,
        norm: bool = True,
        neuron: Neuron = "lif",
        shaped: bool = False,
        loop: ClosedLoop = "fixed",
        detach: bool = False,
    ) -> None:
        super().__init__()
        self.codes = dict(codes)
        self.steps, self.dt_s, self.neuron, self.axis = steps, dt_s, neuron, axis
        self.loop, self.shaped = loop, shaped
        self.frozen_theta: dict[str, float] = {}  # layer -> constant, once `freeze` was called
        self.override = None  # training in a chip's integers has no convolution yet
        self.pathways = nn.ModuleDict()
        for name, code in self.codes.items():
            shape: Map = (code.levels, code.size // code.levels)
            if axis == "time":
                shape = (code.size, 1)
            layers = nn.ModuleList()
            for count, stride in zip(channels, strides, strict=True):
                layer = ConvSpikingLayer(
                    shape,
                    count,
                    axis=axis,
                    kernel=kernel,
                    stride=stride,
                    decay_u12=decay_u12,
                    theta=theta,
                    surrogate=surrogate,
                    slope=slope,
                    norm=norm,
                    neuron=neuron,
                    shaped=shaped,
                    loop=loop,
                    detach=detach,
                )
                layers.append(layer)
                shape = layer.out
            self.pathways[name] = layers

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

    def named_layers(self) -> dict[str, ConvSpikingLayer]:
        """Layers by name, in the order of `spec`."""
        return {
            name: layer
            for pathway in self.codes
            for name, layer in zip(self.layer_names(pathway), self._layers(pathway), strict=True)
        }

    def output_size(self, pathway: str) -> int:
        """Neurons of a pathway's last layer."""
        return self._layers(pathway)[-1].size

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
            layer.theta, layer.loop = float(theta[name]), "fixed"
        self.frozen_theta = {name: float(theta[name]) for name in layers}
        self.loop = "fixed"

    def load_folded(self, other: ConvSpikingBranch) -> None:
        """Take over the weights of a branch of the same shape, its BatchNorm folded in.

        Raises:
            BadInput: this branch has a BatchNorm of its own.
        """
        sources = other.named_layers()
        for name, layer in self.named_layers().items():
            if layer.norm is not None:
                raise BadInput(f"motion layer '{name}': has a BatchNorm, folding needs norm=false")
            weight, bias = sources[name].folded()
            assert layer.conv.bias is not None
            with torch.no_grad():
                layer.conv.weight.copy_(torch.from_numpy(weight[:, :, 0]))
                layer.conv.bias.copy_(torch.from_numpy(bias))
                if layer.pooling is not None:
                    pooling = sources[name].pooling
                    assert pooling is not None
                    layer.pooling.raw_beta.copy_(pooling.raw_beta)

    def forward(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        """Run every pathway with Norse's neuron; spikes `(batch, time, neuron)` per layer."""
        return Trace({name: found[0] for name, found in self._run(chip_input, mask).items()})

    def thresholds(self, chip_input: ChipInput, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The thresholds `(batch, time)` that every layer used on this input."""
        return {name: found[1] for name, found in self._run(chip_input, mask).items()}

    def _run(self, chip_input: ChipInput, mask: Tensor | None) -> dict[str, tuple[Tensor, Tensor]]:
        """Spikes and thresholds of every layer."""
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for name in self.codes:
            x = chip_input.codes[name] * chip_input.code[name].scale
            for layer_name, layer in zip(self.layer_names(name), self._layers(name), strict=True):
                found[layer_name] = layer(x, mask)
                x = found[layer_name][0]
        return found

    def spec(self) -> BranchSpec:
        """Describe the branch as deployed: BatchNorm folded, kernels in float32.

        Raises:
            BadInput: an option that no chip here can do; the message says what to train instead.
        """
        self._check_deployable()
        layers = []
        for name in self.codes:
            source = name
            for layer_name, layer in zip(self.layer_names(name), self._layers(name), strict=True):
                weight, bias = layer.folded()
                pad = layer.kernel // 2
                conv = Conv(
                    (layer.shape[0], 1, layer.shape[1]),
                    stride=(1, layer.stride),
                    padding=(0, 0, pad, pad),
                )
                full = np.ones(layer.size)
                layers.append(
                    LayerSpec(
                        layer_name,
                        source,
                        weight,
                        bias,
                        full * layer.kappa,
                        full * layer.theta,
                        conv=conv,
                    )
                )
                source = layer_name
        outputs = tuple(self.layer_names(name)[-1] for name in self.codes)
        constant: Policy = "frozen" if self.frozen_theta else "fixed"
        policy: Policy = constant if self.loop == "fixed" else "closed"
        return BranchSpec(dict(self.codes), tuple(layers), outputs, self.dt_s, self.steps, policy)

    def _check_deployable(self) -> None:
        reasons = {
            "neuron 'mlp' does not spike; train with neuron=lif or neuron=if": (
                self.neuron == "mlp"
            ),
            "GLP inside the blocks (glp=blocks, Eq. 7) squashes currents, which no chip here "
            "does; train with glp=input, which shapes the input on the host": self.shaped,
            "a kernel over time (conv_axis=time) needs delayed synapses, which a branch cannot "
            "describe; train with conv_axis=feature": self.axis == "time",
        }
        found = [reason for reason, holds in reasons.items() if holds]
        if found:
            raise BadInput("motion branch: cannot be exported: " + "; ".join(found))

    def _layers(self, pathway: str) -> list[ConvSpikingLayer]:
        module = self.pathways[pathway]
        assert isinstance(module, nn.ModuleList)
        return [layer for layer in module if isinstance(layer, ConvSpikingLayer)]
