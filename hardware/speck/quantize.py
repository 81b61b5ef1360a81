"""`Lowered` -> `SpeckProgram`: one scale per layer for weights, bias, threshold and lower bound.

As sinabs 3.1.3 discretises (`backend/dynapcnn/discretize.py`), in float32 like it, so that the
integers are the same to the last bit::

    scale     = min(fit8(weights), fit8(bias), fit16(lower bound and threshold))
    integer   = round(scale * real), half to even
    fit_n(x)  = the factor that brings the larger end of x to -2^(n-1) or 2^(n-1) - 1

The memory of a core has 8 bits a weight. Fewer, n of 4 to 8, are our own rule: weights lie on every
2^(8-n)th integer, so that bias, threshold and state keep the resolution that they have::

    step      = 2^(8-n)
    scale     = min(step fit_n(weights), fit8(bias), fit16(lower bound and threshold))
    weight    = step round(scale / step * real)

The trap in it: a neuron without a lower bound counts as one with -32768, in the units of the float
model. That takes all 16 bits of the state, the scale becomes 1 and the weights round to 0; sinabs
says nothing and still calls the network compatible. Here the lower bound is the one of the layer's
rule, else the lowest that leaves the scale alone, and a bound of None is an error that names what
it would do.

The chip compares with >=, whatever a rule says. Reset and spikes per step are those of the rule of
each layer. Convolutions and the sum pools in front of a layer stay what they are (`rules`);
the weights behind an average pool have to hold its 1 / area already.

`dequantize_speck` is the way back. Where the threshold is only compared with (reset to zero, one
spike), v >= T on integers is v > (T - 1/2) unit on real numbers; else the twin has the threshold
T unit itself, with >= and a unit of 24 bits, whose multiples are exact (see `dequantize`).
"""

import math
from typing import Final, Literal

import nir
import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.loihi.dequantize import short_unit
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer, lower
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.speck.program import (
    ARITHMETIC,
    STATE_BITS,
    STATE_MIN,
    WEIGHT_BITS,
    LimitedBy,
    SpeckLayer,
    SpeckLoss,
    SpeckProgram,
)
from neurozsl.hardware.speck.rules import check_speck

# One above the end of the 16 bits: rounding of the bound itself can then never set the scale.
LOWEST: Final = STATE_MIN + 1
FEWEST_BITS: Final = 4  # of weights, as on Loihi
F32 = npt.NDArray[np.float32]
LowerBound = float | Literal["lowest", "rule"] | None


def quantize_speck(
    network: nir.NIRGraph | Lowered,
    chip: Chip | str = "speck2f",
    *,
    bits: int = WEIGHT_BITS,
    lower_bound: LowerBound = "rule",
) -> SpeckProgram:
    """The integers that Speck runs for an integrate-and-fire network.

    Arguments as in `arithmetic.quantize`. bits: of the weights, 4..8, which take 8 on the chip.
    lower_bound: of the membrane, real and at most 0; "lowest" is -32767 LSB; "rule" is the bound of
    each layer's rule, "lowest" where it has none. None is refused.

    Returns:
        SpeckProgram with one `SpeckLoss` per layer.

    Raises:
        BadInput: what `check_speck` names (a leak, a loop, an input that is not binary, ...), bits
            outside of 4..8, a lower bound that zeroes the weights.
        DoesNotFit: a layer that no core holds.
    """
    lowered = network if isinstance(network, Lowered) else lower(network)
    chip = load_chip(chip) if isinstance(chip, str) else chip
    if chip.arithmetic != ARITHMETIC:
        raise BadInput(f"chip '{chip.key}': has {chip.arithmetic or 'figures of energy only'}")
    if not FEWEST_BITS <= bits <= WEIGHT_BITS:
        raise BadInput(
            f"weight bits: {bits}, {chip.key} stores {WEIGHT_BITS}, of which {FEWEST_BITS} to "
            f"{WEIGHT_BITS} are used; use --bits 8"
        )
    check_speck(lowered, chip)
    made = [
        _quantize_layer(x, lowered.inputs.get(x.source), lower_bound, bits) for x in lowered.layers
    ]
    return SpeckProgram.of(lowered, chip.key, made)


def dequantize_speck(program: SpeckProgram) -> Lowered:
    """The float network that computes what the integers compute, away from the state's 16 bits."""
    return program.twin(_float_twin(x, program.inputs.get(x.source)) for x in program.layers)


def fit_scale(values: npt.ArrayLike, bits: int) -> np.float32:
    """The float32 factor that brings the larger end of `values` to the end of `bits`.

    Inf where all are 0: nothing limits the scale then.

    >>> float(fit_scale([0.5, -0.25], 8))
    254.0
    """
    array = np.asarray(values, np.float32)
    top, bottom = array.max(), array.min()
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    use_top = abs(bottom) <= abs(top) * np.float32(abs(low / high))
    end, real = (high, top) if use_top else (low, bottom)
    if real == 0:
        return np.float32(np.inf)
    # torch divides a number by a tensor as reciprocal x number, with two roundings.
    return np.float32(abs(np.float32(1) / real * np.float32(end)))


def _quantize_layer(
    layer: LoweredLayer, code: InputCode | None, lower_bound: LowerBound, bits: int
) -> tuple[SpeckLayer, SpeckLoss]:
    """Integers of one layer, with the reset and the spikes per step of its rule."""
    weight = np.asarray(layer.weight * (1.0 if code is None else code.scale), np.float32)
    bias, theta = np.asarray(layer.bias, np.float32), np.float32(layer.threshold[0])
    if lower_bound == "rule":
        lower_bound = "lowest" if layer.rule.low is None else layer.rule.low
    bound = _bound(layer.name, lower_bound)
    state = fit_scale(np.array([bound, theta], np.float32), STATE_BITS)
    step = np.float32(2 ** (WEIGHT_BITS - bits))  # a power of two: products with it are exact
    fits: dict[LimitedBy, np.float32] = {
        "weights": fit_scale(weight, bits) * step,
        "bias": fit_scale(bias, WEIGHT_BITS),
        "lower bound" if -bound > theta else "threshold": state,
    }
    limited_by = min(fits, key=lambda key: fits[key])
    scale = fits[limited_by]
    integers = _round(weight, scale / step) * np.int16(step)
    if lower_bound is None or (weight.any() and not integers.any()):
        raise BadInput(_zeroing(layer, weight, integers, float(scale), limited_by, bound))
    made = SpeckLayer(
        name=layer.name,
        source=layer.source,
        weight=integers,
        bias=_round(bias, scale),
        threshold=int(np.rint(theta * scale)),
        low=LOWEST if lower_bound == "lowest" else int(np.rint(np.float32(bound) * scale)),
        unit=1.0 / float(scale),
        reset=layer.rule.reset,
        max_spikes=layer.rule.max_spikes,
        link=layer.link,
    )
    return made, _loss(layer, made, weight, limited_by, bits)


def _bound(name: str, lower_bound: float | Literal["lowest"] | None) -> float:
    """The bound as a real number; 0 leaves the scale alone, -32768 is sinabs' reading of None."""
    if lower_bound is None:
        return float(STATE_MIN)
    if lower_bound == "lowest":
        return 0.0
    if not (math.isfinite(lower_bound) and lower_bound <= 0):
        raise BadInput(f"layer '{name}': lower bound {lower_bound}, expected a number up to 0")
    return lower_bound


def _zeroing(
    layer: LoweredLayer,
    weight: F32,
    integers: npt.NDArray[np.int16],
    scale: float,
    limited_by: str,
    bound: float,
) -> str:
    """The diagnosis of the silent-zeroing trap."""
    zeroed = np.count_nonzero((integers == 0) & (weight != 0)) / weight.size
    best = float(fit_scale(weight, WEIGHT_BITS))
    return (
        f"layer '{layer.name}': its {limited_by} ({bound:g} in the units of the model) limits the "
        f"scale to {scale:.3g}, where the weights alone allow {best:.3g}: {zeroed:.0%} of the "
        f"weights become 0 and the layer falls silent; give a lower bound of "
        f"{STATE_MIN / best:.4g} or nearer to 0, or 'lowest'"
    )


def _round(values: F32, scale: np.float32) -> npt.NDArray[np.int16]:
    integers: npt.NDArray[np.int16] = np.rint(values * scale).astype(np.int16)
    return integers


def _loss(
    layer: LoweredLayer, made: SpeckLayer, weight: F32, limited_by: LimitedBy, bits: int
) -> SpeckLoss:
    real = weight.astype(np.float64)
    error, rms = real - made.weight * made.unit, math.sqrt(float(np.mean(real**2)))
    theta = float(layer.threshold[0])
    return SpeckLoss(
        name=layer.name,
        weight_bits=bits,
        limited_by=limited_by,
        effective_bits=math.log2(2 * (int(np.abs(made.weight).max()) >> (WEIGHT_BITS - bits)) + 1),
        weight_zeroed=int(np.count_nonzero((made.weight == 0) & (weight != 0))),
        weight_rms_error=math.sqrt(float(np.mean(error**2))) / rms if rms else 0.0,
        bias_max_error=float(np.abs(layer.bias - made.bias * made.unit).max() / theta),
        threshold_error=(theta - made.threshold * made.unit) / theta,
    )


def _float_twin(layer: SpeckLayer, code: InputCode | None) -> LoweredLayer:
    compares = layer.reset == "zero" and layer.max_spikes == 1
    unit = layer.unit if compares else short_unit(layer.unit)
    # The lowest bound stands for none.
    low = None if layer.low <= LOWEST else layer.low * unit
    return LoweredLayer(
        name=layer.name,
        source=layer.source,
        weight=layer.weight.astype(np.float64) * (unit / (1.0 if code is None else code.scale)),
        bias=layer.bias.astype(np.float64) * unit,
        leak=np.zeros(layer.size),
        syn_leak=np.ones(layer.size),
        threshold=np.full(layer.size, (layer.threshold - 0.5 * compares) * unit),
        link=layer.link,
        rule=NeuronRule(layer.reset, layer.max_spikes, ">" if compares else ">=", low),
    )
