"""The spiking motion branch: per modality, Linear - BatchNorm - Norse neuron blocks over time.

A pathway may begin with convolutions on maps (`pixel_layer`).

In: `ChipInput`; out: `Trace` with the spikes of every layer. The neurons are those of
`models.neurons`, whose leak kappa = decay_u12 / 4096 is a number that a chip with 12-bit decays
holds too. What it shares with the other branch is in `pathways`.

`override` puts another forward in the place of Norse's, for example the integers of a chip
(`training.qat`); this module knows none of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Protocol

from torch import Tensor

from neurozsl.core.signals import ChipInput, InputCode, Policy, Trace
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.pathways import PathwayBranch
from neurozsl.models.pixel_layer import MapEncoder
from neurozsl.models.pooling import in_every_step, over_time
from neurozsl.models.spiking_layer import DrivenLayer

_LIF = NeuronConfig()
_NO_MAPS: Final[Mapping[str, MapEncoder]] = MappingProxyType({})


class Override(Protocol):
    """A forward pass in the place of the branch's own."""

    def __call__(self, branch: "SpikingBranch", chip_input: ChipInput, /) -> Trace:
        """Spikes of every layer."""

    def program_of(self, branch: "SpikingBranch", /) -> ChipProgram:
        """The integers that it runs."""


class SpikingBranch(PathwayBranch[DrivenLayer]):
    """Pathways of linear layers, some behind convolutions.

    codes, steps, dt_s: as of `PathwayBranch`. widths: neurons per layer of the chain, the same for
    every pathway. taps: names of further layers, as wide as the end of the chain, which they read.
    neuron, norm: of every layer. dynamic: the thresholds come with the input (`ChipInput.theta`).
    pool_time: one pass over the mean of the steps (`pooling`); only neurons without a state can.
    maps: inputs that are maps, with the convolutions on them; the last width alone follows those.
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
        maps: Mapping[str, MapEncoder] = _NO_MAPS,
    ) -> None:
        def layers(name: str, code: InputCode) -> Iterator[DrivenLayer]:
            sizes = list(pairwise((code.size, *widths)))
            if name in maps:
                yield from maps[name].layers(widths[-1:], neuron, norm=norm)
                sizes = []
            for inputs, outputs in [*sizes, *((widths[-1], widths[-1]) for _ in taps)]:
                yield SpikingLayer(inputs, outputs, neuron, norm=norm)

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

        def spikes_of(name: str, layer: DrivenLayer, x: Tensor) -> Tensor:
            spikes: Tensor = layer(x, mask, None if theta is None else theta[name])
            return spikes

        return self._walk(chip_input, spikes_of)
