"""`Program` -> `Lowered`: the float network that computes what Loihi's integers compute.

    W      = weight 2^weight_exp unit / input scale       b = bias unit / 64
    leak   = dv / 4096                                    syn_leak = (du + 1) / 4096
    low    = low unit / 64

Where the threshold is only compared with (one spike, a reset that subtracts nothing), theta lies
half a state LSB off it, (vth + 1/128) unit for ">" and (vth - 1/128) unit for ">=", so that ties
cannot flip.

A neuron that subtracts its threshold, or counts how often it fits, needs theta = vth unit itself.
There `unit` is rounded to a mantissa of 24 bits: a state of 24 bits times it is then exact in
float64, sums of such states too, and a tie of the integers is a tie of the floats. Only spikes
pass from layer to layer, so nothing else depends on the unit of a layer.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.program import Program, ProgramLayer, threshold_codes
from neurozsl.hardware.lower.lower import Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.synapse import Synapse

# A state LSB is 1/64 of a unit; half of one lifts the float threshold off the reachable grid.
HALF_STATE_LSB: Final = 0.5 / (1 << fp.ALIGN_BITS)
_UNIT_BITS: Final = 24


def dequantize(program: Program) -> Lowered:
    """The float twin; equations in the module docstring.

    For the policy dynamic, thresholds of the input go through `dequantize_input`.
    """
    return program.twin(float_twin(layer, program.inputs) for layer in program.layers)


def dequantize_input(program: Program, chip_input: ChipInput) -> ChipInput:
    """The input whose thresholds are those of the integers, as the twin compares with them."""
    checked = program.check(chip_input)
    if checked.theta is None:
        return checked
    theta = {
        x.name: real_threshold(x, threshold_codes(x, checked.theta[x.name])) for x in program.layers
    }
    return replace(checked, theta=theta)


def float_twin(layer: ProgramLayer, inputs: Mapping[str, InputCode]) -> LoweredLayer:
    """One layer of the twin; `inputs` are those of the network."""
    unit, size, rule = _unit(layer), layer.size, layer.rule
    lsb = unit / (1 << fp.ALIGN_BITS)
    first, *others = (
        _real_weights(s, unit * 2.0**layer.weight_exp, inputs) for s in layer.synapses
    )
    return LoweredLayer(
        name=layer.name,
        source=layer.source,
        weight=first.weight,
        bias=layer.bias.astype(np.float64) * lsb,
        leak=np.full(size, layer.dv / fp.DECAY_UNITY),
        syn_leak=np.full(size, (layer.du + 1) / fp.DECAY_UNITY),
        threshold=np.full(size, float(real_threshold(layer, layer.vth))),
        theta_table=None if layer.vth_table is None else real_threshold(layer, layer.vth_table),
        bias_to=layer.bias_to,
        link=layer.link,
        also=tuple(others),
        rule=rule if rule.low is None else replace(rule, low=rule.low * lsb),
    )


def real_threshold(layer: ProgramLayer, vth: npt.ArrayLike) -> Floats:
    """Integer thresholds of any shape as the float twin compares with them."""
    shift = 0.0
    if layer.rule.only_compares:
        shift = HALF_STATE_LSB if layer.rule.compare == ">" else -HALF_STATE_LSB
    real: Floats = (np.asarray(vth, np.float64) + shift) * _unit(layer)
    return real


def short_unit(unit: float) -> float:
    """The unit rounded to 24 bits, so that 24-bit integers times it are exact in float64.

    >>> short_unit(0.375), short_unit(0.1) == 0.1
    (0.375, False)
    """
    mantissa, exponent = math.frexp(unit)
    return math.ldexp(round(math.ldexp(mantissa, _UNIT_BITS)), exponent - _UNIT_BITS)


def _unit(layer: ProgramLayer) -> float:
    return layer.unit if layer.rule.only_compares else short_unit(layer.unit)


def _real_weights(synapse: Synapse, unit: float, inputs: Mapping[str, InputCode]) -> Synapse:
    code = inputs.get(synapse.source)
    lsb = unit / (1.0 if code is None else code.scale)
    return Synapse(synapse.source, synapse.weight.astype(np.float64) * lsb, synapse.link)
