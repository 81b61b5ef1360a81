"""`Lowered` -> `Program`: the integers of Loihi's neuron, one layer after the other.

Per layer, with the effects E = W x input scale of all its synapses (a layer has one accumulator
and one threshold, so its synapses share one unit)::

    weight = step * round(E / (unit step)),   step = 2^(9 - bits) or a smaller power of two
    unit   = top / (step (2^(bits-1) - 1)), larger where the accumulator demands it
    top    = max|E|, or less with clipping (`scales`)
    vth    = round(theta / unit)                    17 bits; the largest where nothing spikes
    bias   = round(64 b / unit) = bias_mant << bias_exp
    dv     = round(4096 kappa),  at most 4095;      du = round(4096 syn_leak) - 1  (1 -> 4095)
    low    = round(64 low / unit), a lower bound in state LSBs

Guarantee: for every value that inputs and layers can send, |sum of weight x value| < 2^17, so the
current of a neuron without synaptic memory never wraps. Values are codes in their range, spike
counts up to `max_spikes`, and sums of them over pooling windows; a layer that may send 255 spikes a
step therefore leaves few levels to the weights that read it. A threshold far above the weights has
to fit its 17 bits too. First a finer weight step buys the room (no loss), then a larger unit (fewer
levels, see `LayerLoss.effective_bits`).
Rules: lava-nc 0.10.0 and `fixedpoint`.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.loss import layer_loss
from neurozsl.hardware.loihi.program import LayerLoss, ProgramLayer, threshold_codes
from neurozsl.hardware.loihi.scales import ScaleRule, top_weight
from neurozsl.hardware.lower.lower import Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.ranges import Range, value_ranges, worst_sums
from neurozsl.hardware.network.synapse import Synapse

# As errors call what a layer has one of; the decays come from time constants.
_NAMED: Final = {
    "leak": "leak (dt / tau)",
    "syn_leak": "syn_leak (dt / tau_syn)",
    "threshold": "threshold",
}
_GROWTH: Final = 1.002  # smallest enlargement of the unit when rounding keeps a sum at the bound


def quantize_layer(
    layer: LoweredLayer, lowered: Lowered, bits: int, scale: ScaleRule
) -> tuple[ProgramLayer, LayerLoss]:
    """Integers of one layer, and what they lost.

    The layer is one of `lowered`, or a changed copy; the network gives the values that its sources
    send, and the length of a threshold table.

    Raises:
        BadInput: decays or thresholds that differ inside the layer, a threshold that is not
            positive or beyond 17 bits, sums that no weight keeps below 2^17.
    """
    leak = _constant(layer, "leak", layer.leak)
    syn_leak = _constant(layer, "syn_leak", layer.syn_leak)
    theta = _threshold(layer)
    reach = value_ranges(lowered.inputs, lowered.layers)
    effects = real_effects(layer, lowered.inputs)
    (weight, *others), step, unit, growth = _fit_weights(layer, effects, theta, reach, bits, scale)
    mantissa, exponent, clipped = _fit_bias(layer, unit)
    dv = min(round(fp.DECAY_UNITY * leak), fp.DECAY_MAX)
    du = min(max(round(fp.DECAY_UNITY * syn_leak) - 1, 0), fp.DECAY_MAX)
    draft = ProgramLayer(
        name=layer.name,
        source=layer.source,
        weight=weight.weight,
        # The bits that a chip has to store for this grid; more than asked where the step shrank.
        weight_bits=fp.WEIGHT_BITS + 1 - step.bit_length() + 1,
        weight_exp=0,
        bias_mant=mantissa.astype(np.int32),
        bias_exp=exponent,
        du=du,
        dv=dv,
        vth=fp.THRESHOLD_MAX,
        unit=unit,
        bias_to=layer.bias_to,
        link=layer.link,
        also=tuple(others),
        rule=_integer_rule(layer.rule, unit),
    )
    vth = fp.THRESHOLD_MAX if theta is None else int(threshold_codes(draft, theta))
    made = replace(draft, vth=vth, vth_table=_threshold_table(layer, draft, lowered))
    loss = layer_loss(
        layer,
        made,
        effects,
        bits=bits,
        unit_growth=growth,
        bias_clipped=clipped,
        scale_rule=scale,
        reach=reach,
    )
    return made, loss


def real_effects(layer: LoweredLayer, inputs: Mapping[str, InputCode]) -> list[Floats]:
    """Per synapse, the weights as real values per code unit of the source."""
    return [
        s.weight * (inputs[s.source].scale if s.source in inputs else 1.0) for s in layer.synapses
    ]


def _fit_weights(
    layer: LoweredLayer,
    effects: list[Floats],
    theta: float | None,
    reach: Mapping[str, Range],
    bits: int,
    scale: ScaleRule,
) -> tuple[tuple[Synapse, ...], int, float, float]:
    """Integer synapses, their step, the unit, and how much the accumulator made the unit grow."""
    levels = (1 << (bits - 1)) - 1
    every = np.concatenate([effect.ravel() for effect in effects])
    largest = float(np.abs(every).max())
    top = top_weight(every, levels, scale) if largest > 0 else _top_of_zeros(layer, theta, levels)
    step = fp.weight_step(bits)
    lsb = top / levels  # real value of one weight level
    highest = _highest_threshold(layer, theta)
    while True:
        drawn = tuple(
            Synapse(s.source, step * _levels(effect, lsb, levels), s.link)
            for s, effect in zip(layer.synapses, effects, strict=True)
        )
        worst = int((worst_sums(drawn, reach) + _current_units(layer, lsb / step)).max())
        alive = any(s.weight.any() for s in drawn)
        # Both count in units of lsb / step.
        summed, tall = worst / fp.ACCUMULATOR_LIMIT, highest * step / lsb / fp.THRESHOLD_MAX
        if summed < 1 and tall <= 1 and (alive or not largest):
            return drawn, step, lsb / step, lsb * levels / top
        if step > fp.weight_step(fp.WEIGHT_BITS):
            step //= 2
            continue
        if not alive:
            inputs = sum(math.prod(effect.shape[1:]) for effect in effects)
            raise BadInput(
                f"layer '{layer.name}': no weight above 0 keeps the worst sum of {inputs} inputs "
                f"(and a bias into the current) below {fp.ACCUMULATOR_LIMIT} and the threshold "
                f"{highest:g} below {fp.THRESHOLD_MAX}; use fewer inputs, fewer bits of the input "
                "code, fewer spikes a step, a smaller bias or threshold"
            )
        lsb *= max(summed, tall, _GROWTH)


def _highest_threshold(layer: LoweredLayer, theta: float | None) -> float:
    """Of the constant and the table; 0 where nothing spikes."""
    if theta is None:
        return 0.0
    return theta if layer.theta_table is None else max(theta, float(layer.theta_table.max()))


def _levels(effect: Floats, lsb: float, levels: int) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(effect / lsb), -levels, levels).astype(np.int16)


def _top_of_zeros(layer: LoweredLayer, theta: float | None, levels: int) -> float:
    """A layer of zeros has no scale of its own; its threshold (or bias) becomes 2^12 units."""
    reference = theta or float(np.abs(layer.bias).max()) or 1.0
    return reference / 4096 * levels * 2


def _current_units(layer: LoweredLayer, unit: float) -> fp.Ints:
    """|bias| in weight units where it joins the weighted sum, else 0."""
    if layer.bias_to == "membrane":
        return np.zeros(len(layer.bias), np.int64)
    units: fp.Ints = 2 * np.abs(np.rint(layer.bias / unit / 2)).astype(np.int64)
    return units


def _fit_bias(layer: LoweredLayer, unit: float) -> tuple[fp.Ints, int, int]:
    """Mantissas, shared exponent, number of clipped mantissas."""
    lsbs = layer.bias / unit * (1 << fp.ALIGN_BITS)
    # A bias of the current is an input that is always one, so it lies on the weight grid of 2.
    return fp.split_mantissa_exponent(lsbs, 0 if layer.bias_to == "membrane" else fp.EXPONENT_MAX)


def _threshold(layer: LoweredLayer) -> float | None:
    """The one threshold of the layer; None where it sends no spikes."""
    if not layer.rule.spiking:
        return None
    theta = _constant(layer, "threshold", layer.threshold)
    if theta <= 0:
        raise BadInput(f"layer '{layer.name}': threshold {theta:g}, the chip needs one above 0")
    return theta


def _threshold_table(
    layer: LoweredLayer, draft: ProgramLayer, lowered: Lowered
) -> npt.NDArray[np.int32] | None:
    if not layer.rule.spiking:
        # A program of this policy has a table in every layer.
        silent = np.full(lowered.steps, fp.THRESHOLD_MAX, np.int32)
        return silent if lowered.policy == "table" else None
    return None if layer.theta_table is None else threshold_codes(draft, layer.theta_table)


def _integer_rule(rule: NeuronRule, unit: float) -> NeuronRule:
    """The rule with its lower bound in state LSBs, at most the 24 bits of the state away."""
    if rule.low is None:
        return rule
    low = round(max(rule.low / unit * (1 << fp.ALIGN_BITS), -fp.STATE_LIMIT))
    return replace(rule, low=float(low))


def _constant(layer: LoweredLayer, key: str, values: Floats) -> float:
    """The one value of a layer; Loihi's process models take no vector of it."""
    if np.any(values != values[0]):
        raise BadInput(
            f"layer '{layer.name}': {_NAMED[key]} differs between neurons ({values.min():g}.."
            f"{values.max():g}), the chip program holds one per layer; train one per layer"
        )
    return float(values[0])
