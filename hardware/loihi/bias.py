"""Biases that make up for rounding: the mean drive of every neuron, on a calibration input.

    b' = b + mean(W x) - mean(W_q x_q)

summed over the synapses of the layer, layer after layer, where x are the values of the float
network and x_q those of the rounded layers before, as the synapse sees them: delayed and pooled
(empirical bias correction, Nagel et al. 2019, arXiv:1906.04721). Each neuron of a convolution
gets a bias of its own.

A layer in a loop is refused: x_q would be what the corrected layer itself sends, so the equation
would have to be solved for b', and its solution is a property of the loop, not of the rounding.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi.dequantize import float_twin, real_threshold
from neurozsl.hardware.loihi.loss import bias_scale
from neurozsl.hardware.loihi.program import LayerLoss, ProgramLayer, threshold_codes
from neurozsl.hardware.loihi.quantize import quantize_layer, real_effects
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.lower.lower import Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.neuron import MAX_SPIKES
from neurozsl.hardware.network.synapse import pooled, shifted, weigh
from neurozsl.hardware.network.wiring import is_recurrent

# Spike counts of a layer, as the input of a network of one layer.
_COUNT_BITS: Final = MAX_SPIKES.bit_length()


def quantize_corrected(
    lowered: Lowered, calibration: ChipInput, bits: int, scale: ScaleRule
) -> list[tuple[ProgramLayer, LayerLoss]]:
    """Every layer twice: rounded, then again with the bias that its rounding and those before ask.

    `exact` are the values that the float network's layers read, `rounded` those of the integers.

    Raises:
        BadInput: a recurrent network, or what `quantize_layer` refuses.
    """
    if is_recurrent(lowered.layers):
        raise BadInput(
            "quantise: correct_bias on a recurrent network; a bias in a loop changes the drive "
            "that it is computed from. Quantise without correct_bias"
        )
    checked = check_input(
        lowered.inputs, lowered.layers, lowered.steps, lowered.policy, calibration
    )
    exact: dict[str, Any] = {**checked.codes, **simulate(lowered, checked).spikes}
    rounded: dict[str, Any] = dict(checked.codes)
    made = []
    for layer in lowered.layers:
        draft = float_twin(quantize_layer(layer, lowered, bits, scale)[0], lowered.inputs)
        drive = _mean_drive(layer, exact, lowered)
        wanted = layer.bias + drive - _mean_drive(draft, rounded, lowered)
        corrected, loss = quantize_layer(replace(layer, bias=wanted), lowered, bits, scale)
        unit = bias_scale(layer, real_effects(layer, lowered.inputs))
        change = float(np.abs(wanted - layer.bias).max() / unit)
        made.append((corrected, replace(loss, bias_correction=change)))
        rounded[layer.name] = _spikes(corrected, rounded, lowered, checked)
    return made


def _mean_drive(layer: LoweredLayer, values: Mapping[str, Any], lowered: Lowered) -> Floats:
    """Mean of the weighted sums over samples and steps, `(size,)`."""
    drive: Floats = np.zeros(layer.size)
    for synapse in layer.synapses:
        code = lowered.inputs.get(synapse.source)
        seen = shifted(values[synapse.source], synapse.link.delay)
        mean: Floats = np.mean(seen.reshape(-1, synapse.size_in), axis=0, dtype=np.float64)
        mean = mean[None] * (1.0 if code is None else code.scale)
        drive = drive + weigh(synapse, pooled(synapse.link, mean))[0]
    return drive


def _spikes(
    layer: ProgramLayer, values: Mapping[str, Any], lowered: Lowered, checked: ChipInput
) -> Any:
    """What the rounded layer sends, `(batch, time, size)`: its twin, alone, on its sources."""
    twin = float_twin(layer, lowered.inputs)
    names = dict.fromkeys(synapse.source for synapse in twin.synapses)
    codes = {
        name: lowered.inputs.get(name)
        or InputCode(values[name].shape[2], "graded", _COUNT_BITS, False, 1.0)
        for name in names
    }
    theta = checked.theta
    if theta is not None:
        theta = {layer.name: real_threshold(layer, threshold_codes(layer, theta[layer.name]))}
    alone = replace(lowered, inputs=codes, layers=(twin,), outputs=(layer.name,))
    given = ChipInput({name: values[name] for name in names}, codes, theta)
    return simulate(alone, given).spikes[layer.name]
