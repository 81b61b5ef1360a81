"""The spiking motion branch: per modality, Linear - BatchNorm - Norse neuron blocks over time.

In: `ChipInput`; out: `Trace` with the spikes of every layer. The neurons are those of
`models.neurons`, whose leak kappa = decay_u12 / 4096 is a number that a chip with 12-bit decays
holds too. What it shares with the other branch is in `pathways`.

`override` puts another forward in the place of Norse's, for example the integers of a chip
(`training.qat`); this module knows none of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from neurozsl.core.signals import ChipInput, InputCode, Policy, Trace
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.blocks import RowNorm
from neurozsl.models.neurons import NeuronConfig, fire
from neurozsl.models.pathways import PathwayBranch
from neurozsl.models.pooling import in_every_step, over_time
from neurozsl.models.spiking_layer import NeuronLayer


class SpikingLayer(NeuronLayer):
    """Linear, optional BatchNorm, and Norse's neurons over the steps of a sample."""

    def __init__(self, inputs: int, outputs: int, config: NeuronConfig, *, norm: bool) -> None:
        super().__init__(config)
        self.linear = nn.Linear(inputs, outputs)
        # This gain starts what reaches the membrane at a standard deviation of one threshold.
        self.norm = RowNorm(outputs, gain=config.unit) if norm else None

    @property
    def synapse(self) -> nn.Linear:
        """Weight `(out, in)`."""
        return self.linear

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.linear.out_features

    def drive(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What reaches the neurons: `x` (batch, time, inputs) -> (batch, time, outputs)."""
        # The module itself where it can be, for the hooks of those who watch it.
        drive: Tensor = (
            self.linear(x)
            if self.kept is None
            else nn.functional.linear(x, self.weight, self.linear.bias)
        )
        return self.living(drive if self.norm is None else self.norm(drive, mask))

    def fan_out(self) -> Tensor:
        """Nonzero weights behind each input."""
        return torch.count_nonzero(self.weight, 0)

    @property
    def connections(self) -> int:
        """All weights."""
        return self.linear.weight.numel()

    def forward(self, x: Tensor, mask: Tensor | None, theta: Tensor | None) -> Tensor:
        """`x` (batch, time, inputs) -> (batch, time, outputs); `theta` (batch, time) or None."""
        return fire(self.drive(x, mask), self.config, theta)


_LIF = NeuronConfig()


class Override(Protocol):
    """A forward pass in the place of the branch's own."""

    def __call__(self, branch: "SpikingBranch", chip_input: ChipInput, /) -> Trace:
        """Spikes of every layer."""

    def program_of(self, branch: "SpikingBranch", /) -> ChipProgram:
        """The integers that it runs."""


class SpikingBranch(PathwayBranch[SpikingLayer]):
    """Pathways of linear layers.

    codes, steps, dt_s: as of `PathwayBranch`. widths: neurons per layer of the chain, the same for
    every pathway. taps: names of further layers, as wide as the end of the chain, which they read.
    neuron, norm: of every layer. dynamic: the thresholds come with the input (`ChipInput.theta`).
    pool_time: one pass over the mean of the steps (`pooling`); only neurons without a state can.
    """

    def __init__(
        self,
        codes: Mapping[str, InputCode],
        widths: Sequence[int],
        *,
        steps: int,
        dt_s: float = 1e-3,
        neuron: NeuronConfig = _LIF,
        norm: bool = True,
        dynamic: bool = False,
        taps: Sequence[str] = (),
        pool_time: bool = False,
    ) -> None:
        def layers(code: InputCode) -> Iterator[SpikingLayer]:
            sizes = [*pairwise([code.size, *widths]), *((widths[-1], widths[-1]) for _ in taps)]
            return (SpikingLayer(i, o, neuron, norm=norm) for i, o in sizes)

        policy: Policy = "dynamic" if dynamic else "fixed"
        super().__init__(codes, layers, steps=steps, dt_s=dt_s, policy=policy, taps=taps)
        self.override: Override | None = None
        self.pool_time = pool_time

    def integers(self) -> ChipProgram | None:
        """Those of the override."""
        return None if self.override is None else self.override.program_of(self)

    def forward(self, chip_input: ChipInput, mask: Tensor | None = None) -> Trace:
        """Run every pathway with Norse's neuron; spikes `(batch, time, neuron)` per layer."""
        if self.override is not None:
            return self.override(self, chip_input)
        if self.pool_time:
            return in_every_step(self._pass(over_time(chip_input, mask), None), chip_input.steps)
        return self._pass(chip_input, mask)

    def _pass(self, chip_input: ChipInput, mask: Tensor | None) -> Trace:
        theta = chip_input.theta

        def spikes_of(name: str, layer: SpikingLayer, x: Tensor) -> Tensor:
            spikes: Tensor = layer(x, mask, None if theta is None else theta[name])
            return spikes

        return self._walk(chip_input, spikes_of)
