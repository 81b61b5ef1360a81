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

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from neurozsl.core.signals import ChipInput, InputCode, Policy, Trace
from neurozsl.models.closed_loop import ClosedLoop
from neurozsl.models.conv_layer import Axis, ConvSpikingLayer, Map
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.pathways import PathwayBranch


class ConvSpikingBranch(PathwayBranch[ConvSpikingLayer]):
    """Pathways of convolutional blocks, one channel count and stride for each block of a pathway.

    codes, steps, dt_s: as of `PathwayBranch`. The others: of every block, as of `ConvSpikingLayer`.
    """

    def __init__(
        self,
        codes: Mapping[str, InputCode],
        channels: Sequence[int],
        strides: Sequence[int],
        neuron: NeuronConfig,
        *,
        steps: int,
        dt_s: float = 1e-3,
        axis: Axis = "feature",
        kernel: int = 3,
        norm: bool = True,
        shaped: bool = False,
        loop: ClosedLoop = "fixed",
        detach: bool = False,
    ) -> None:
        def layers(name: str, code: InputCode) -> Iterator[ConvSpikingLayer]:
            shape: Map = (code.levels, code.size // code.levels)
            if axis == "time":
                shape = (code.size, 1)
            for count, stride in zip(channels, strides, strict=True):
                layer = ConvSpikingLayer(
                    shape,
                    count,
                    neuron,
                    axis=axis,
                    kernel=kernel,
                    stride=stride,
                    norm=norm,
                    shaped=shaped,
                    loop=loop,
                    detach=detach,
                )
                yield layer
                shape = layer.out

        policy: Policy = "fixed" if loop == "fixed" else "closed"
        super().__init__(codes, layers, steps=steps, dt_s=dt_s, policy=policy)
        self.axis, self.shaped = axis, shaped

    def output_size(self, pathway: str) -> int:
        """Neurons of a pathway's last layer."""
        return self._layers(pathway)[-1].size

    def load_folded(self, other: PathwayBranch[ConvSpikingLayer]) -> None:
        """As every branch; the pooling that moves or shapes is taken over as it is."""
        super().load_folded(other)
        sources = other.named_layers()
        for name, layer in self.named_layers().items():
            if layer.pooling is not None:
                pooling = sources[name].pooling
                assert pooling is not None
                layer.pooling.load_state_dict(pooling.state_dict())

    def forward(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        """Run every pathway with Norse's neuron; spikes `(batch, time, neuron)` per layer."""
        return self._run(chip_input, mask)[0]

    def thresholds(self, chip_input: ChipInput, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The thresholds `(batch, time)` that every layer used on this input."""
        return self._run(chip_input, mask)[1]

    def _run(self, chip_input: ChipInput, mask: Tensor | None) -> tuple[Trace, dict[str, Tensor]]:
        """Spikes and thresholds of every layer."""
        thetas: dict[str, Tensor] = {}

        def spikes_of(name: str, layer: ConvSpikingLayer, x: Tensor) -> Tensor:
            spikes: Tensor
            spikes, thetas[name] = layer(x, mask)
            return spikes

        return self._walk(chip_input, spikes_of), thetas

    def refusals(self) -> list[str]:
        """As of every branch, and the options that no chip here can do."""
        reasons = {
            "GLP inside the blocks (glp=blocks, Eq. 7) squashes currents, which no chip here "
            "does; train with glp=input, which shapes the input on the host": self.shaped,
            "a kernel over time (conv_axis=time) needs delayed synapses, which a branch cannot "
            "describe; train with conv_axis=feature": self.axis == "time",
        }
        return super().refusals() + [reason for reason, holds in reasons.items() if holds]
