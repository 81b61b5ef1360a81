"""`SpeckProgram`: the integers of a dense branch on Speck (DYNAP-CNN), one layer per core.

The chip has no time step. Every arriving spike adds one 8-bit weight per neuron to a 16-bit state,
compares with one threshold per layer (>=), and a neuron that reached it sends one spike and is
reset, to zero or by the threshold; the state never falls below a lower bound; the bias is added at
every tick of a slow clock (sinabs docs/speck, overview and tips_for_training; nothing more is
published). So spikes inside a step depend on the order of events, and a neuron may spike more than
once in it; `event_driven` runs a program that way.

A program is defined step by step instead, as sinabs simulates the chip: all events of a step are
summed, the bias is added once (one tick of the slow clock per step), then one comparison::

    v = sat16(v + sum(weight * code) + bias)
    z = min(v // threshold, max_spikes) where v >= threshold else 0
    v = 0 where z (reset "zero")   or   v - z * threshold (reset "subtract")
    v = max(v, low)

`max_spikes` 1 and reset "zero" is what our branches are trained with. On the chip this is exact
only where no neuron crosses its threshold before the last event of a step.

File `program.npz` (no pickle): `json` holds everything but the arrays `<name>/weight` and
`<name>/bias`.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.hardware.network.integers import check_integers
from neurozsl.hardware.network.neuron import MAX_SPIKES, NeuronRule, Reset
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.network.synapse import PLAIN, LayerLinks, Link, Synapse, check_synapse
from neurozsl.hardware.network.wiring import check_parts

ARITHMETIC: Final = "speck_if"
RESETS: Final[tuple[Reset, ...]] = ("zero", "subtract")
WEIGHT_BITS: Final = 8
STATE_BITS: Final = 16
WEIGHT_MIN, WEIGHT_MAX = -128, 127  # biases have the same 8 bits
STATE_MIN, STATE_MAX = -32768, 32767
LimitedBy = Literal["weights", "bias", "threshold", "lower bound"]


@dataclass(frozen=True, eq=False)
class SpeckLayer(LayerLinks):
    """Integers of one layer; equations in the module docstring.

    weight: int16 `(out, in)`, or a kernel where `link` says so, holding -128..127.
    bias: int16 `(size,)`, the same range and unit; one value per output channel.
    threshold: 1..32767. low: -32768..0, the lower bound of the state. max_spikes: 1..255 a step.
    unit: real value of one LSB of weight, bias, threshold and state.
    """

    name: str
    source: str
    weight: npt.NDArray[np.int16]
    bias: npt.NDArray[np.int16]
    threshold: int
    low: int
    unit: float
    reset: Reset = "zero"
    max_spikes: int = 1
    link: Link = PLAIN
    also: tuple[Synapse, ...] = ()

    def __post_init__(self) -> None:
        """Check every integer; arrays are stored in their declared type."""
        where = f"Speck layer '{self.name}'"
        if not self.name or "/" in self.name:
            raise BadInput(f"{where}: the name is empty or holds '/', which files cannot keep")
        weight = check_integers(f"{where}: weight", self.weight, WEIGHT_MIN, WEIGHT_MAX)
        bias = check_integers(f"{where}: bias", self.bias, WEIGHT_MIN, WEIGHT_MAX)
        check_synapse(where, Synapse(self.source, weight, self.link))
        if self.also:
            raise BadInput(
                f"{where}: reads {', '.join(s.source for s in self.also)} beside '{self.source}'; "
                "a layer here has one source"
            )
        if self.link.delay:
            raise BadInput(f"{where}: delay {self.link.delay} steps, a core sees spikes at once")
        if bias.shape != (self.size,):
            raise BadInput(f"{where}: bias has shape {bias.shape}, expected {(self.size,)}")
        limits = {"threshold": (1, STATE_MAX), "low": (STATE_MIN, 0), "max_spikes": (1, MAX_SPIKES)}
        for key, (least, most) in limits.items():
            value = check_integers(f"{where}: {key}", getattr(self, key), least, most)
            object.__setattr__(self, key, int(value))
        if self.reset not in RESETS:
            raise BadInput(f"{where}: reset {self.reset!r}, expected {' or '.join(RESETS)}")
        if not (isinstance(self.unit, float) and 0 < self.unit < float("inf")):
            raise BadInput(f"{where}: unit is {self.unit!r}, expected a positive float")
        object.__setattr__(self, "weight", weight.astype(np.int16))
        object.__setattr__(self, "bias", bias.astype(np.int16))

    @property
    def rule(self) -> NeuronRule:
        """What every neuron of the chip does at its threshold; `low` in LSBs of the state."""
        return NeuronRule(self.reset, self.max_spikes, ">=", float(self.low))

    @property
    def membrane_threshold(self) -> float:
        """In LSBs of the state."""
        return float(self.threshold)

    @property
    def state_unit(self) -> float:
        """Real value of one LSB of the state."""
        return self.unit

    weight_bits: ClassVar[int] = WEIGHT_BITS
    bias_bits: ClassVar[int] = WEIGHT_BITS
    threshold_bits: ClassVar[int] = STATE_BITS
    state_bits: ClassVar[int] = STATE_BITS
    constant_axons: ClassVar[int] = 0
    leaky: ClassVar[bool] = False


@dataclass(frozen=True)
class SpeckLoss:
    """What the integers of one layer lost; errors are real minus integer.

    weight_bits: of the weights, 4..8; they take 8 on the chip. limited_by: what set the one scale
    of the layer. effective_bits: log2 of the weight levels in use, below `weight_bits` where
    something else than the weights set the scale. weight_zeroed: weights that became 0.
    weight_rms_error: relative to the rms weight. bias_max_error, threshold_error: relative to the
    threshold. spike_agreement: share of equal spikes between the float layer and the integers on
    the calibration input, None without one.
    """

    name: str
    weight_bits: int
    limited_by: LimitedBy
    effective_bits: float
    weight_zeroed: int
    weight_rms_error: float
    bias_max_error: float
    threshold_error: float
    spike_agreement: float | None = None


@dataclass(frozen=True, eq=False)
class SpeckProgram(ChipProgram):
    """All layers of a branch as integers for Speck, in topological order."""

    layers: tuple[SpeckLayer, ...]
    loss: tuple[SpeckLoss, ...] = ()
    arithmetic: ClassVar[str] = ARITHMETIC
    kind: ClassVar[str] = "speck"
    schemas: ClassVar[tuple[int, ...]] = (1, 2)  # 2 added links; schema 1 is read without them
    arrays: ClassVar[tuple[str, ...]] = ("weight", "bias")
    layer_type: ClassVar[type] = SpeckLayer
    loss_type: ClassVar[type] = SpeckLoss

    def __post_init__(self) -> None:
        """Check that inputs, sources and sizes fit together."""
        check_parts("Speck program", self.inputs, self.layers, self.outputs)
        if self.policy not in ("fixed", "frozen"):
            raise BadInput(
                f"Speck program: policy '{self.policy}', the chip has one constant threshold per "
                "layer; export with --threshold frozen"
            )
        for name, code in self.inputs.items():
            if code.kind != "binary":
                raise BadInput(f"Speck program: input '{name}' is {code.kind}, expected binary")
