"""What the caller says about a `.nir` file that the file may not say itself; see `foreign`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from neurozsl.export.nir.dialects.words import Discretisation, IfGain
from neurozsl.hardware.network.neuron import Compare, Reset

if TYPE_CHECKING:
    from neurozsl.core.signals import InputCode

TauUnit = Literal["s", "ms", "us"]
SECONDS: Final[Mapping[TauUnit, float]] = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True)
class Said:
    """What the caller says about a file; None says nothing.

    dt_s: seconds. tau_unit: of every time in the file. reset, compare, max_spikes, low: `neuron`.
    steps: T of a sample. inputs: codes of inputs, binary spikes where not given. dialect: a word of
    `dialects.registry`, for all that the others leave open. if_gain: r of an IF is the gain of a
    step, or times dt. discretisation: a decay of dt / tau a step, or of 1 - exp(-dt / tau).
    """

    dt_s: float | None = None
    tau_unit: TauUnit | None = None
    reset: Reset | None = None
    compare: Compare | None = None
    max_spikes: int | None = None
    low: float | None = None
    steps: int | None = None
    inputs: "Mapping[str, InputCode] | None" = None
    dialect: str | None = None
    if_gain: IfGain | None = None
    discretisation: Discretisation | None = None


class Saying(TypedDict, total=False):
    """The fields of `Said` as keyword arguments."""

    dt_s: float
    tau_unit: TauUnit
    reset: Reset
    compare: Compare
    max_spikes: int
    low: float
    steps: int
    inputs: "Mapping[str, InputCode]"
    dialect: str
    if_gain: IfGain
    discretisation: Discretisation
