"""What rounding to Loihi's integers lost: the float layer and its integers in, `LayerLoss` out.

    weight error   rms(E - weight unit) / rms(E), over the effects E of all synapses of the layer
    bias error     max|b - bias unit / 64| / theta
    decay error    (kappa - dv / 4096) / kappa

A read-out that sends no spikes has no threshold: its bias is measured by its largest effect, its
threshold error is 0, and it has no share of equal spikes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.program import LayerLoss, ProgramLayer, accumulator_bound
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.lower.lower import Floats, LoweredLayer
from neurozsl.hardware.network.ranges import Range


def layer_loss(
    layer: LoweredLayer,
    made: ProgramLayer,
    effects: Sequence[Floats],
    *,
    bits: int,
    unit_growth: float,
    bias_clipped: int,
    scale_rule: ScaleRule,
    reach: Mapping[str, Range],
) -> LayerLoss:
    """The report of one layer.

    Args:
        layer: float, with the bias that was rounded.
        made: its integers.
        effects: per synapse, weights as real values per code unit.
        bits: weight bits that were asked for.
        unit_growth: factor by which the accumulator made the unit grow.
        bias_clipped: mantissas at the end of their 13 bits.
        scale_rule: how the largest weight was chosen.
        reach: smallest and largest value of every source.
    """
    real = np.concatenate([effect.ravel() for effect in effects])
    integers = np.concatenate([s.weight.ravel() for s in made.synapses])
    error, rms = real - integers * made.unit, math.sqrt(float(np.mean(real**2)))
    step = fp.weight_step(made.weight_bits)
    grid = int(np.abs(integers).max()) // step
    beyond = np.abs(np.rint(real / (step * made.unit))) >= 1 << (bits - 1)
    bias_error = np.abs(layer.bias - made.bias * made.unit / (1 << fp.ALIGN_BITS)).max()
    theta, scale = _reference(layer, real)
    return LayerLoss(
        name=layer.name,
        weight_bits=bits,
        effective_bits=math.log2(2 * grid + 1),
        unit_growth=unit_growth,
        weight_clipped=int(np.count_nonzero(beyond)),
        weight_zeroed=int(np.count_nonzero((integers == 0) & (real != 0))),
        weight_rms_error=math.sqrt(float(np.mean(error**2))) / rms if rms else 0.0,
        bias_clipped=bias_clipped,
        bias_max_error=float(bias_error / scale),
        threshold_error=0.0 if theta is None else (theta - made.vth * made.unit) / theta,
        kappa_error=_relative(float(layer.leak[0]), made.dv / fp.DECAY_UNITY),
        syn_kappa_error=_relative(float(layer.syn_leak[0]), (made.du + 1) / fp.DECAY_UNITY),
        accumulator_bound=accumulator_bound(made, reach),
        accumulator_limit=fp.ACCUMULATOR_LIMIT,
        scale_rule=scale_rule,
    )


def bias_scale(layer: LoweredLayer, effects: Sequence[Floats]) -> float:
    """What errors and changes of a bias are measured by."""
    return _reference(layer, np.concatenate([effect.ravel() for effect in effects]))[1]


def _reference(layer: LoweredLayer, effects: Floats) -> tuple[float | None, float]:
    """The threshold (None without spikes), and what a bias is measured by."""
    if layer.rule.spiking:
        theta = float(layer.threshold[0])
        return theta, theta
    return None, float(np.abs(effects).max()) or 1.0


def _relative(real: float, integer: float) -> float:
    return 0.0 if real == integer else (real - integer) / real
