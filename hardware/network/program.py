"""What the integers of a network are to everybody but their own chip: `ChipProgram`.

Counters, the placer, motion backends and bundles ask these words of a program and of its layers,
and no others, so that one of any arithmetic works everywhere. What an arithmetic has beside them,
and how it is made and run, is its entry in `hardware.arithmetic`. The layers of the float network
(`lowered`) answer the questions of counters too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, Self

import numpy.typing as npt

from neurozsl.core.signals import ChipInput, InputCode, Policy
from neurozsl.hardware.network import archive
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.program_file import read_program, write_program
from neurozsl.hardware.network.synapse import HasSynapses

# The fewest weight bits that a quantiser makes, and that a change which would fit proposes.
MIN_BITS: Final = 4


class NetworkLayer(HasSynapses, Protocol):
    """A layer in float or in integers.

    shape: of the neurons, `(n,)` or `(C, H, W)`. bias: added in every step, `(size,)`. leaky: a
    membrane or current decays. membrane_threshold: in the unit of a recorded membrane, the mean
    where neurons differ. threshold_bits: of one that the host sends. state_bits: of a membrane that
    the host reads.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def size(self) -> int: ...
    @property
    def bias(self) -> npt.NDArray[Any]: ...
    @property
    def rule(self) -> NeuronRule: ...
    @property
    def leaky(self) -> bool: ...
    @property
    def membrane_threshold(self) -> float: ...
    @property
    def threshold_bits(self) -> int: ...
    @property
    def state_bits(self) -> int: ...


class ChipLayer(NetworkLayer, Protocol):
    """A layer in integers.

    weight_bits, bias_bits: as they are stored. constant_axons: inputs beside the sources that
    always spike. state_unit: real value of one unit of a recorded membrane.
    """

    @property
    def weight_bits(self) -> int: ...
    @property
    def bias_bits(self) -> int: ...
    @property
    def constant_axons(self) -> int: ...
    @property
    def state_unit(self) -> float: ...


@dataclass(frozen=True, eq=False)
class ChipProgram:
    """All layers of a network as integers for one chip, each after its sources.

    arithmetic: key of its entry in `hardware.arithmetic`. Of its file (`program_file`): the kind,
    the schemas that are read (the last is written), which fields of a layer are arrays, and what
    layers and losses are; a loss is a dataclass with `name`, `weight_bits` and `spike_agreement`.
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
    kind: ClassVar[str]
    schemas: ClassVar[tuple[int, ...]]
    arrays: ClassVar[tuple[str, ...]]
    layer_type: ClassVar[type]
    loss_type: ClassVar[type]

    @classmethod
    def of(cls, lowered: Lowered, chip: str, made: Iterable[tuple[Any, Any]]) -> Self:
        """The integers of a network, made of its layers and what each of them lost."""
        layers, loss = zip(*made, strict=True)
        shared = (lowered.outputs, lowered.steps, lowered.dt_s, lowered.policy)
        return cls(chip, lowered.inputs, layers, *shared, loss)

    def twin(self, layers: Iterable[LoweredLayer]) -> Lowered:
        """The float network of these layers, one for each of the program's."""
        shared = (self.outputs, self.dt_s, self.steps, self.policy)
        return Lowered(self.inputs, tuple(layers), *shared)

    def check(self, chip_input: ChipInput) -> ChipInput:
        """The input as int16 codes and float64 thresholds, refused where the chip cannot take it.

        Raises:
            BadInput: as `check_input` says.
        """
        return check_input(self.inputs, self.layers, self.steps, self.policy, chip_input)

    def save(self, path: Path) -> None:
        """Write `program.npz` in one step: a file that exists is complete."""
        write_program(path, self)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a `program.npz`; nothing in it is executed.

        Raises:
            BadInput: not a file of this kind, another schema, or integers out of range.
        """
        header, arrays = archive.read(Path(path))
        with archive.named(path):
            return cls(**read_program(header, arrays, cls))
