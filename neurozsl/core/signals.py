"""The values that cross between host and chip, and the description of a spiking branch.

`ChipInput` goes in (made by `model.prepare`, read by every motion backend), `Trace` comes out
(read by `model.finish`, `verify` and the profiler). `LayerSpec`/`BranchSpec` say what a spiking
branch computes; models make them, `neurozsl.export` reads them. Only numpy is imported here, so
`hardware` stays free of torch; tensors pass through as they are (`Array`). Batches of numpy values
are put end to end by `join`.

Neuron of every layer (Norse `LIFBoxCell`, `facts`: strict compare, reset to zero)::

    v* = v + kappa (W x + b - v);   z = 1 if v* > theta else 0;   v = (1 - z) v*

and with a synaptic current (Norse `LIFCell`), `syn_kappa` set::

    j = i + W x + b;  v* = v + kappa (j - v);  i = (1 - syn_kappa) j

and integrate-and-fire (Norse `IAFCell`), kappa 0 in every neuron: `v* = v + W x + b`, gain 1.

W x is a matrix product, or with `conv` set a cross-correlation on a map `(C, H, W)`; with `pools`
x is summed over windows of a map first (`core.maps`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.maps import Conv as Conv
from neurozsl.core.maps import MapShape as MapShape
from neurozsl.core.maps import Pool as Pool

# A numpy array or a torch tensor; `.to_numpy()` of the values below is the border between the two.
Array = Any
FloatArray = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

# closed: theta follows the layer's own spikes of the step before; Norse alone runs it.
Policy = Literal["fixed", "dynamic", "table", "frozen", "closed"]
MAX_CODE_BITS: Final = 16  # codes travel as int16
# How the host turns its values into codes (`models.coding`); chips see the codes alone.
Encoder = Literal["direct", "on_off", "level", "rate", "change", "delta"]

NO_INTEGERS: Final = (
    "real numbers, which no chip reads (input_bits=none, as in preset paper); train with "
    "`--set input_bits=4`, or with another preset"
)
_CODED: Mapping[Encoder, str] = {
    "direct": "",
    "on_off": "ON and OFF apart",
    "level": "{levels} levels of {step:.3g}",
    "rate": "{levels} levels of {step:.3g}, errors carried on",
    "change": "events of change, threshold {step:.3g}",
    "delta": "events of send on delta, threshold {step:.3g}",
}


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value is not True and 0 < value < math.inf


@dataclass(frozen=True)
class InputCode:
    """How one input of the branch is written as integers.

    real value = code * scale, scale a power of two. `ternary` codes are -1, 0, 1 (one bit and a
    sign); `binary` 0, 1; `graded` 0..2^bits-1, or -(2^(bits-1)-1)..2^(bits-1)-1 when signed.
    `real`: the values themselves, which the model's own branch reads and no chip (`bits` is 1).

    encoder: the spike code by name. `direct` rounds value / scale; `on_off` (+, -), `level` and
        `rate` write binary channels, the last two `levels` of them a value, `step` of it each.
        `change` and `delta` send events: ternary, graded, or binary with ON and OFF (`levels` 2).
    step: of the value, per level; of `change` and `delta` the threshold of an event.
    """

    size: int
    kind: Literal["ternary", "binary", "graded", "real"]
    bits: int
    signed: bool
    scale: float
    encoder: Encoder = "direct"
    levels: int = 1
    step: float = 1.0

    def __post_init__(self) -> None:
        """Check the values: files bring them too."""
        sound = {
            "size": _is_whole(self.size, 2**31),
            "bits": _is_whole(self.bits, MAX_CODE_BITS),
            "levels": _is_whole(self.levels, 2**31),
            "scale": _is_positive(self.scale),
            "step": _is_positive(self.step),
            "kind": self.kind in ("ternary", "binary", "graded", "real"),
            "encoder": self.encoder in get_args(Encoder),
            "signed": isinstance(self.signed, bool),
        }
        if not all(sound.values()):
            odd = ", ".join(f"{k} {getattr(self, k)!r}" for k, good in sound.items() if not good)
            raise BadInput(
                f"input code: {odd}; expected whole numbers above 0, at most {MAX_CODE_BITS} bits, "
                "scale and step above 0, kind ternary, binary, graded or real, an encoder of "
                f"{', '.join(get_args(Encoder))}"
            )

    @property
    def words(self) -> str:
        """The code for people.

        >>> InputCode(64, "graded", 4, False, 0.25).words
        '64 channels, graded, 4 bits without sign'
        >>> InputCode(64, "ternary", 1, True, 1.0, "delta", 1, 0.5).words
        '64 channels, ternary, events of send on delta, threshold 0.5'
        """
        sign = f", {self.bits} bits {'with' if self.signed else 'without'} sign"
        kind = self.kind + (sign if self.kind == "graded" else "")
        how = _CODED[self.encoder].format(levels=self.levels, step=self.step)
        return ", ".join(x for x in (f"{self.size} channels, {kind}", how) if x)

    @property
    def low(self) -> int:
        """Smallest legal code."""
        if self.kind == "ternary":
            return -1
        return -(2 ** (self.bits - 1) - 1) if self.kind == "graded" and self.signed else 0

    @property
    def high(self) -> int:
        """Largest legal code."""
        if self.kind in ("ternary", "binary"):
            return 1
        return 2 ** (self.bits - 1) - 1 if self.signed else int(2**self.bits - 1)


def _numpy(x: Array) -> npt.NDArray[Any]:
    """Numpy view of an array or (detached, copied) tensor."""
    return np.asarray(x.detach().cpu().numpy() if hasattr(x, "detach") else x)


@dataclass(frozen=True)
class ChipInput:
    """What the chip reads for a batch of samples.

    codes: per input name, integers `(batch, time, size)`. During training they are float tensors
        that hold integers (with a straight-through gradient); `to_numpy` gives int16.
    code: per input name, the `InputCode`.
    theta: per layer name, thresholds `(batch, time)` in the units of the float model; None unless
        the policy is dynamic, or closed and the branch's own run was asked for its thresholds.
    lengths: per sample the steps that run, `(batch,)` integers in 1..time; after them the host has
        stopped it, nothing is read, spikes or is updated. None: all steps of all samples.
    """

    codes: Mapping[str, Array]
    code: Mapping[str, InputCode]
    theta: Mapping[str, Array] | None = None
    lengths: Array | None = None

    @property
    def batch(self) -> int:
        """Number of samples."""
        return int(next(iter(self.codes.values())).shape[0])

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return int(next(iter(self.codes.values())).shape[1])

    @property
    def ran(self) -> Ints:
        """Steps that run, `(batch,)`: `lengths`, all steps where there are none.

        Raises:
            BadInput: a length per sample is missing, or one lies outside of 1..time.
        """
        if self.lengths is None:
            return np.full(self.batch, self.steps, np.int64)
        found = _numpy(self.lengths)
        if found.shape != (self.batch,) or found.dtype.kind not in "iu":
            raise BadInput(
                f"chip input: lengths of shape {found.shape} and type {found.dtype}, expected one "
                f"whole number for each of {self.batch} samples"
            )
        if found.size and not (found.min() >= 1 and found.max() <= self.steps):
            raise BadInput(
                f"chip input: lengths {found.min()}..{found.max()}, a sample runs 1..{self.steps} "
                "of the steps that were prepared"
            )
        return found.astype(np.int64)

    def stopped(self, lengths: Array) -> ChipInput:
        """The same samples, each stopped after its number of steps."""
        return replace(self, lengths=lengths)

    def first_steps(self, steps: int) -> ChipInput:
        """Their first steps alone, as samples of that length."""
        theta = None if self.theta is None else {k: v[:, :steps] for k, v in self.theta.items()}
        lengths = None if self.lengths is None else np.minimum(self.ran, steps)
        return ChipInput(
            {k: v[:, :steps] for k, v in self.codes.items()}, self.code, theta, lengths
        )

    def to_numpy(self) -> ChipInput:
        """Same values as int16 (codes), float64 (theta) and int64 (lengths).

        Raises:
            BadInput: a code is not an integer, or outside the range of its `InputCode`.
        """
        real = [name for name in self.codes if self.code[name].kind == "real"]
        if real:
            raise BadInput(f"chip input: {', '.join(real)}: {NO_INTEGERS}")
        codes: dict[str, Array] = {}
        for name, value in self.codes.items():
            array, code = _numpy(value), self.code[name]
            if array.ndim != 3 or array.shape[2] != code.size:
                raise BadInput(
                    f"chip input '{name}': shape {array.shape}, expected (batch, time, {code.size})"
                )
            # Integer types are spared the pass over all values.
            if array.dtype.kind not in "biu" and not np.array_equal(array, np.rint(array)):
                raise BadInput(f"chip input '{name}': holds values that are not integers")
            if array.size and (array.min() < code.low or array.max() > code.high):
                raise BadInput(
                    f"chip input '{name}': codes {array.min():g}..{array.max():g} leave "
                    f"{code.low}..{code.high} ({code.kind}, {code.bits} bits); "
                    "clip them on the host"
                )
            codes[name] = array.astype(np.int16, copy=False)
        theta = None
        if self.theta is not None:
            theta = {k: _numpy(v).astype(np.float64) for k, v in self.theta.items()}
        return ChipInput(codes, self.code, theta, None if self.lengths is None else self.ran)

    def take(self, rows: Array) -> ChipInput:
        """The samples `rows` (a slice or an index array)."""
        theta = None if self.theta is None else {k: v[rows] for k, v in self.theta.items()}
        lengths = None if self.lengths is None else self.ran[rows]
        return ChipInput({k: v[rows] for k, v in self.codes.items()}, self.code, theta, lengths)

    @staticmethod
    def join(parts: Sequence[ChipInput]) -> ChipInput:
        """The samples of at least one input of the same branch, end to end, as numpy.

        Raises:
            BadInput: an input's code differs between the parts, or the layers of their thresholds.
        """
        first = parts[0]
        if any(part.code != first.code for part in parts):
            raise BadInput("chip inputs: their codes differ; join the samples of one model")
        theta = _end_to_end("thresholds", [part.theta or {} for part in parts])
        codes = _end_to_end("codes", [part.codes for part in parts])
        lengths = None
        if any(part.lengths is not None for part in parts):
            lengths = np.concatenate([part.ran for part in parts])
        return ChipInput(codes, first.code, None if first.theta is None else theta, lengths)


@dataclass(frozen=True)
class Trace:
    """What a motion backend returns: spikes `(batch, time, neuron)` per layer, in layer order.

    overflow, saturation: integer backends count, per layer, wraps of the synaptic current and
        clips of the membrane. membrane: `(batch, time, neuron)` after the step, when asked for.
    processes: what computed the synapses of a layer, as "source: Sparse"; Lava alone says it.
    """

    spikes: Mapping[str, Array]
    overflow: Mapping[str, int] = field(default_factory=dict)
    saturation: Mapping[str, int] = field(default_factory=dict)
    membrane: Mapping[str, Array] = field(default_factory=dict)
    processes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_numpy(self) -> Trace:
        """Spikes as uint8 arrays."""
        spikes = {k: _numpy(v).astype(np.uint8) for k, v in self.spikes.items()}
        membrane = {k: _numpy(v) for k, v in self.membrane.items()}
        return Trace(
            spikes, dict(self.overflow), dict(self.saturation), membrane, dict(self.processes)
        )

    def stopped(self, lengths: Array) -> Trace:
        """The trace of the same run, each sample stopped after its number of steps `(batch,)`.

        Nothing spikes after the stop. A step depends on earlier ones alone, so the steps before it
        are those of the run that stops. Wraps and clips stay those of all steps.
        """
        return replace(
            self,
            spikes={k: before(v, lengths) for k, v in self.spikes.items()},
            membrane={k: before(v, lengths) for k, v in self.membrane.items()},
        )

    def rates(self) -> dict[str, float]:
        """Spike rate per layer: spikes / (batch x time x neuron)."""
        return {k: float(np.mean(_numpy(v))) for k, v in self.spikes.items()}

    @staticmethod
    def join(parts: Sequence[Trace]) -> Trace:
        """Traces of different samples, at least one, end to end; wraps and clips are added up.

        Raises:
            BadInput: the layers of the parts differ.
        """
        arrays = [part.to_numpy() for part in parts]
        return Trace(
            _end_to_end("spikes", [part.spikes for part in arrays]),
            _added([part.overflow for part in arrays]),
            _added([part.saturation for part in arrays]),
            _end_to_end("membranes", [part.membrane for part in arrays]),
            arrays[0].processes,
        )


MotionBackend = Callable[[ChipInput], Trace]
"""Whatever runs the branch: Norse, a float simulator, the integers of a chip."""


def before(values: Array, lengths: Array) -> Array:
    """Values `(batch, time, ...)` with 0 in the steps after those that ran, `lengths` `(batch,)`.

    >>> before(np.array([[1, 2, 3], [4, 5, 6]]), np.array([1, 3])).tolist()
    [[1, 0, 0], [4, 5, 6]]
    """
    steps = int(values.shape[1])
    kept = np.arange(steps) < _numpy(lengths)[:, None]  # (batch, time)
    if kept.all():
        return values
    kept = kept.reshape(*kept.shape, *[1] * (values.ndim - 2))
    if hasattr(values, "detach"):
        return values * values.new_tensor(kept, dtype=values.dtype)
    return np.where(kept, values, np.zeros((), values.dtype))


def _end_to_end(what: str, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    names = {", ".join(part) or "nothing" for part in parts}
    if len(names) > 1:
        raise BadInput(f"{what}: of {' and of '.join(sorted(names))}; join those of one branch")
    return {name: np.concatenate([_numpy(part[name]) for part in parts]) for name in parts[0]}


def _added(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(part.get(name, 0) for part in parts) for name in parts[0]}


@dataclass(frozen=True)
class LayerSpec:
    """One Linear or Conv + neuron of a branch, as trained (gain not folded; BatchNorm folded).

    weight `(out, in)`, or with `conv` a kernel `(out, in / groups, height, width)`; bias `(out,)`,
    of a kernel one per channel. kappa, threshold `(size,)`; syn_kappa `(size,)` or None;
    theta_table `(time,)` for the policy `table`. `source` names an input or an earlier layer.
    pools: sums over windows of the source's map, one after the other, that the weights read.
    """

    name: str
    source: str
    weight: FloatArray
    bias: FloatArray
    kappa: FloatArray
    threshold: FloatArray
    syn_kappa: FloatArray | None = None
    theta_table: FloatArray | None = None
    conv: Conv | None = None
    pools: tuple[Pool, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the neurons, `(n,)` or `(C, H, W)`."""
        if self.conv is None:
            return (int(self.weight.shape[0]),)
        return self.conv.out_shape(self.weight.shape)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def size_in(self) -> int:
        """Width of the source."""
        read = self.map_read
        return int(self.weight.shape[1]) if read is None else math.prod(read)

    @property
    def map_read(self) -> MapShape | None:
        """The map that the source has to be; None where a matrix reads plain values."""
        if self.pools:
            return self.pools[0].shape
        return None if self.conv is None else self.conv.shape


@dataclass(frozen=True)
class BranchSpec:
    """A spiking branch: inputs, layers in topological order, and which of them are read.

    dt_s: the physical length of a step in seconds. steps: T of a sample.
    """

    inputs: Mapping[str, InputCode]
    layers: tuple[LayerSpec, ...]
    outputs: tuple[str, ...]
    dt_s: float
    steps: int
    policy: Policy = "fixed"
