"""What the integers of a network are to everybody but their own chip: `ChipProgram`.

Counters, the placer, motion backends and bundles ask these words of a program and of its layers,
and no others, so that one of any arithmetic works everywhere. What an arithmetic has beside them,
and how it is made and run, is its entry in `hardware.arithmetic`. The layers of the float network
(`lowered`) answer the questions of counters too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import numpy.typing as npt

from neurozsl.core.signals import ChipInput, InputCode, Policy
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import HasSynapses

# The fewest weight bits that a quantiser makes, and that a change which would fit proposes.
MIN_BITS: Final = 4


class NetworkLayer(HasSynapses, Protocol):
    """A layer in float or in integers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the neurons, `(n,)` or `(C, H, W)`."""

    @property
    def size(self) -> int:
        """Number of neurons."""

    @property
    def bias(self) -> npt.NDArray[Any]:
        """What is added in every step, `(size,)`."""

    @property
    def rule(self) -> NeuronRule:
        """What happens at the threshold."""

    @property
    def leaky(self) -> bool:
        """True where a membrane or current decays."""

    @property
    def membrane_threshold(self) -> float:
        """Threshold in the unit of a recorded membrane, the mean where neurons differ."""

    @property
    def threshold_bits(self) -> int:
        """Bits of a threshold that the host sends."""

    @property
    def state_bits(self) -> int:
        """Bits of a membrane that the host reads."""


class ChipLayer(NetworkLayer, Protocol):
    """A layer in integers."""

    @property
    def weight_bits(self) -> int:
        """Bits of a weight as it is stored."""

    @property
    def bias_bits(self) -> int:
        """Bits of a bias as it is stored."""

    @property
    def constant_axons(self) -> int:
        """Inputs beside the sources that always spike."""

    @property
    def state_unit(self) -> float:
        """Real value of one unit of a recorded membrane."""


@dataclass(frozen=True, eq=False)
class ChipProgram(ABC):
    """All layers of a network as integers for one chip, each after its sources.

    arithmetic: key of its entry in `hardware.arithmetic`. loss: one dataclass a layer, with `name`,
    `weight_bits` and `spike_agreement` at least.
    """

    chip: str
    inputs: Mapping[str, InputCode]
    layers: tuple[ChipLayer, ...]
    outputs: tuple[str, ...]
    steps: int
    dt_s: float
    policy: Policy
    loss: tuple[Any, ...] = ()
    arithmetic: ClassVar[str]

    def check(self, chip_input: ChipInput) -> ChipInput:
        """The input as int16 codes and float64 thresholds, refused where the chip cannot take it.

        Raises:
            BadInput: an input is missing, has another size, scale or number of samples or steps,
                holds a code out of range, or the policy is dynamic and theta is missing.
        """
        return check_input(self.inputs, self.layers, self.steps, self.policy, chip_input)

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write `program.npz` in one step: a file that exists is complete."""
