"""`Program`: the integers that one chip runs, with a report of what the integers lost.

Integer neuron of a layer, one step (Loihi arithmetic; widths in `fixedpoint`)::

    a = shift(sum(weight * code), weight_exp)  (+ bias_mant << bias_exp >> 6   if bias_to current)
    u = wrap24(D(u, du + 1) + (a << 6))
    v = sat24(D(v, dv) + u                     +  bias_mant << bias_exp        if bias_to membrane)
    z = v > (vth << 6);   v = 0 where z        (other rules: `neuron`, low in state LSBs)

D(x, d) = x (4096 - d) / 4096, truncated towards zero; wrap24 folds once into (-2^23, 2^23]; sat24
clips at +-(2^23 - 1).

`bias_to = "current"` is what a constant-one channel through the synapse does (a CubaLIF's bias);
its integers are multiples of 2 weight units, the grid of mixed-sign weights.

The sum runs over all synapses of the layer (`synapse`): matrices and convolutions, from earlier
layers and, one or more steps late, from the layer itself.

File `program.npz` (no pickle; the Lava worker reads it too): `json` holds one JSON text with
everything but the arrays; a layer has `<name>/weight`, `<name>/bias_mant`, for a table
`<name>/vth_table`, and `<name>/also/<i>` for the weights of every further synapse.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, get_args

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Policy
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.network.integers import check_integer, check_integers
from neurozsl.hardware.network.lowered import BiasTo
from neurozsl.hardware.network.neuron import PLAIN_RULE, NeuronRule
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.network.ranges import Range, value_ranges, worst_sums
from neurozsl.hardware.network.synapse import PLAIN, LayerLinks, Link, Synapse, check_synapse
from neurozsl.hardware.network.wiring import check_parts

ARITHMETIC: Final = "loihi_cuba"
# The reference shifts the weighted sum by 6 in a 32-bit register.
REGISTER_LIMIT: Final = 1 << (31 - fp.ALIGN_BITS)


@dataclass(frozen=True, eq=False)
class ProgramLayer(LayerLinks):
    """Integers of the synapses of a layer and its neurons; equations in the module docstring.

    weight: int16 `(out, in)`, or a kernel where `link` says so; multiples of 2^(9 - weight_bits)
        in -256..255 (mixed sign), as those of every synapse in `also`.
    bias_mant: int32 `(size,)`, 13 bits signed; bias_exp 0..7, one for the layer.
    du, dv: decay of current and membrane in 1/4096, 0..4095; du 4095 = no synaptic memory.
    vth: 17 bits unsigned; vth_table: int32 `(T,)`, the threshold of each step, or None.
    unit: real value of one LSB of `a`; vth counts in it, a state LSB is unit / 64.
    """

    name: str
    source: str
    weight: npt.NDArray[np.int16]
    weight_bits: int
    weight_exp: int
    bias_mant: npt.NDArray[np.int32]
    bias_exp: int
    du: int
    dv: int
    vth: int
    unit: float
    vth_table: npt.NDArray[np.int32] | None = None
    bias_to: BiasTo = "membrane"
    link: Link = PLAIN
    also: tuple[Synapse, ...] = ()
    rule: NeuronRule = PLAIN_RULE
    per_neuron: ClassVar[tuple[str, ...]] = ("bias_mant",)
    bias_bits: ClassVar[int] = fp.MANTISSA_BITS
    threshold_bits: ClassVar[int] = fp.THRESHOLD_BITS
    state_bits: ClassVar[int] = fp.STATE_BITS

    def __post_init__(self) -> None:
        """Check every integer; arrays are stored in their declared type."""
        where = f"program layer '{self.name}'"
        check_integer(f"{where}: weight_bits", self.weight_bits, 1, fp.WEIGHT_BITS)
        check_integer(f"{where}: weight_exp", self.weight_exp, -8, 7)
        weight, *others = [_weights(where, s, self.weight_bits) for s in self.synapses]
        mantissa = check_integers(
            f"{where}: bias_mant", self.bias_mant, fp.MANTISSA_MIN, fp.MANTISSA_MAX
        )
        if mantissa.shape != (self.size,):
            raise BadInput(
                f"{where}: bias_mant has shape {mantissa.shape}, expected {(self.size,)}"
            )
        check_integer(f"{where}: bias_exp", self.bias_exp, 0, fp.EXPONENT_MAX)
        for key in ("du", "dv"):
            check_integer(f"{where}: {key}", getattr(self, key), 0, fp.DECAY_MAX)
        check_integer(f"{where}: vth", self.vth, 0, fp.THRESHOLD_MAX)
        if self.bias_to not in get_args(BiasTo):
            raise BadInput(f"{where}: bias_to {self.bias_to!r}, expected membrane or current")
        if self.bias_to == "current" and np.any((mantissa.astype(np.int64) << self.bias_exp) % 128):
            raise BadInput(
                f"{where}: a bias into the current must be a multiple of 2 weight units; use "
                "bias_exp 7"
            )
        if not (isinstance(self.unit, float) and math.isfinite(self.unit) and self.unit > 0):
            raise BadInput(f"{where}: unit is {self.unit!r}, expected a positive float")
        for key in ("weight_bits", "weight_exp", "bias_exp", "du", "dv", "vth"):
            object.__setattr__(self, key, int(getattr(self, key)))
        also = tuple(Synapse(s.source, w, s.link) for s, w in zip(self.also, others, strict=True))
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "also", also)
        object.__setattr__(self, "bias_mant", mantissa.astype(np.int32))
        if self.vth_table is not None:
            table = check_integers(f"{where}: vth_table", self.vth_table, 0, fp.THRESHOLD_MAX)
            if table.ndim != 1:
                raise BadInput(f"{where}: vth_table has shape {table.shape}, expected (time,)")
            object.__setattr__(self, "vth_table", table.astype(np.int32))

    @property
    def bias(self) -> fp.Ints:
        """bias_mant << bias_exp, int64 `(out,)`, in state LSBs."""
        return self.bias_mant.astype(np.int64) << self.bias_exp

    @property
    def constant_axons(self) -> int:
        """A bias into the current comes from one input that always spikes."""
        return int(self.bias_to == "current" and bool(np.any(self.bias)))

    @property
    def leaky(self) -> bool:
        """True where a membrane or current decays."""
        return self.dv > 0 or self.du < fp.DECAY_MAX

    @property
    def membrane_threshold(self) -> float:
        """In LSBs of the state."""
        return float(self.vth << fp.ALIGN_BITS)

    @property
    def state_unit(self) -> float:
        """Real value of one LSB of the state."""
        return self.unit / (1 << fp.ALIGN_BITS)


@dataclass(frozen=True)
class LayerLoss:
    """What quantisation of one layer lost; errors are real minus integer, in the stated unit.

    weight_bits: asked for. effective_bits: log2 of the number of levels that are used, lower
    where `unit` had to grow by the factor `unit_growth` to keep the accumulator bound.
    scale_rule: how the scale was chosen (`scales`). weight_clipped: weights beyond the last level.
    weight_zeroed: weights that became 0. weight_rms_error: relative to the rms weight.
    bias_correction: largest change of a bias by the correction of the mean drive, 0 without it.
    bias_max_error: of the (corrected) bias; both relative to the threshold. threshold_error,
    kappa_error, syn_kappa_error: relative. accumulator_bound: largest |a| that any legal input
    can cause; `accumulator_limit` is where the current wraps. spike_agreement: share of equal
    spikes between the float layer and its float twin on the calibration input, None without one.
    """

    name: str
    weight_bits: int
    effective_bits: float
    unit_growth: float
    weight_clipped: int
    weight_zeroed: int
    weight_rms_error: float
    bias_clipped: int
    bias_max_error: float
    threshold_error: float
    kappa_error: float
    syn_kappa_error: float
    accumulator_bound: int
    accumulator_limit: int
    spike_agreement: float | None = None
    scale_rule: str = "max"
    bias_correction: float = 0.0


@dataclass(frozen=True, eq=False)
class Program(ChipProgram):
    """All layers of a branch as integers for Loihi, in topological order."""

    layers: tuple[ProgramLayer, ...]
    loss: tuple[LayerLoss, ...] = ()
    arithmetic: ClassVar[str] = ARITHMETIC
    kind: ClassVar[str] = "fixed"
    # 2 added links, further synapses and rules; a file of schema 1 is read as one without them.
    schemas: ClassVar[tuple[int, ...]] = (1, 2)
    arrays: ClassVar[tuple[str, ...]] = ("weight", "bias_mant", "vth_table")
    layer_type: ClassVar[type] = ProgramLayer
    loss_type: ClassVar[type] = LayerLoss

    def __post_init__(self) -> None:
        """Check that sources, sizes, tables and worst-case sums fit together."""
        check_parts("program", self.inputs, self.layers, self.outputs)
        check_integer("program: steps", self.steps, 1, 2**31 - 1)
        if self.policy not in get_args(Policy):
            raise BadInput(f"program: policy {self.policy!r} is not one of {get_args(Policy)}")
        reach = value_ranges(self.inputs, self.layers)
        for layer in self.layers:
            where = f"program layer '{layer.name}'"
            bound = accumulator_bound(layer, reach)
            raw = int(worst_sums(layer.synapses, reach).max())  # before weight_exp, 32 bits
            if bound >= REGISTER_LIMIT or raw >= 1 << 31:
                raise BadInput(
                    f"{where}: an input can sum to {bound} ({raw} before weight_exp), the adder "
                    f"ends at {REGISTER_LIMIT} ({1 << 31}); "
                    "lower weight_exp or the bits of the input code"
                )
            if self.policy == "table" and (
                layer.vth_table is None or len(layer.vth_table) != self.steps
            ):
                raise BadInput(f"{where}: policy table needs a vth_table of {self.steps} steps")


def accumulator_bound(layer: ProgramLayer, reach: Mapping[str, Range]) -> int:
    """Largest |a| that any legal input can cause in the layer, its current bias included."""
    worst = fp.shift(worst_sums(layer.synapses, reach), layer.weight_exp)
    if layer.weight_exp < 0:  # a right shift rounds negative sums away from zero
        worst = worst + 1
    if layer.bias_to == "current":
        worst = worst + (np.abs(layer.bias) >> fp.ALIGN_BITS)
    return int(worst.max())


def _weights(where: str, synapse: Synapse, bits: int) -> npt.NDArray[np.int16]:
    """Integer weights of a synapse on the grid of the layer."""
    where = f"{where} from '{synapse.source}'"
    weight = check_integers(f"{where}: weight", synapse.weight, fp.WEIGHT_MIN, fp.WEIGHT_MAX)
    check_synapse(where, synapse)
    if not np.array_equal(weight, fp.even_weights(weight, bits)):
        raise BadInput(
            f"{where}: weights are not multiples of {fp.weight_step(bits)}, the grid of "
            f"{bits}-bit mixed-sign weights; the chip would clear their low bits"
        )
    return weight.astype(np.int16)


def threshold_codes(layer: ProgramLayer, theta: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Thresholds of the float model as the integers that the layer compares with.

    round(theta / unit), half to even; theta of any shape (batch, time for the dynamic policy)

    Raises:
        BadInput: a threshold is not finite, negative, or above 17 bits.
    """
    real = np.asarray(theta, dtype=np.float64)
    code = np.rint(real / layer.unit)
    legal = (code >= 0) & (code <= fp.THRESHOLD_MAX)  # false for NaN
    if not legal.all():
        first = tuple(int(i) for i in np.argwhere(~legal)[0])
        raise BadInput(
            f"layer '{layer.name}': threshold {real[first]:g} at {list(first)} is {code[first]:g} "
            f"units of {layer.unit:.3g}, expected 0..{fp.THRESHOLD_MAX}; keep theta inside "
            f"0..{fp.THRESHOLD_MAX * layer.unit:.4g}"
        )
    return code.astype(np.int32)
