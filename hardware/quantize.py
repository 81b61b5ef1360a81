"""`Lowered` -> `Program`: integers for one chip, and what the integers lost.

Per layer, with W (gain folded), theta, kappa and the input scale of a first layer (else 1)::

    weight = step * round(W scale / (unit step)),   step = 2^(9 - bits) or a smaller power of two
    unit   = top / (step (2^(bits-1) - 1)), larger where the accumulator demands it
    top    = max|W scale|, or less with clipping (`scales`)
    vth    = round(theta / unit)                    17 bits
    bias   = round(64 b / unit) = bias_mant << bias_exp
    dv     = round(4096 kappa),  at most 4095;      du = round(4096 syn_leak) - 1  (1 -> 4095)

Guarantee: for every input inside its code range |sum of weight x code| < 2^17, so the current of
a neuron without synaptic memory never wraps. First a finer weight step buys the room (no loss),
then a larger unit (fewer levels, see `LayerLoss.effective_bits`). Rules: lava-nc 0.10.0 and
`fixedpoint`.

With `correct_bias`, b takes in what rounding changed in the mean drive of each neuron on the
calibration input, layer after layer: b' = b + mean(W x) - mean(W_q x_q), where x_q are the spikes
of the rounded layers before (empirical bias correction, Nagel et al. 2019, arXiv:1906.04721).

`dequantize` is the way back: the float network that computes what the integers compute, with the
threshold half a state LSB up, (vth + 1/128) unit, so that ties cannot flip.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, overload

import nir
import numpy as np
import numpy.typing as npt

from neurozsl.errors import BadInput
from neurozsl.hardware import fixedpoint as fp
from neurozsl.hardware.chip import Chip, load_chip
from neurozsl.hardware.floatsim import layer_thresholds, run_neurons, simulate
from neurozsl.hardware.lower import Floats, Lowered, LoweredLayer, lower
from neurozsl.hardware.program import (
    LayerLoss,
    Program,
    ProgramLayer,
    Range,
    accumulator_bound,
    check_input,
    threshold_codes,
    worst_sums,
)
from neurozsl.hardware.scales import ScaleRule, top_weight
from neurozsl.hardware.speck import ARITHMETIC as SPECK
from neurozsl.hardware.speck import AnyProgram, SpeckProgram
from neurozsl.hardware.speck_quantize import quantize_speck
from neurozsl.hardware.synapse import Synapse
from neurozsl.signals import ChipInput, InputCode

ARITHMETIC: Final = "loihi_cuba"
MIN_BITS: Final = 4
# A state LSB is 1/64 of a unit; half of one lifts the float threshold off the reachable grid.
HALF_STATE_LSB: Final = 0.5 / (1 << fp.ALIGN_BITS)
_GROWTH: Final = 1.002  # smallest enlargement of the unit when rounding keeps a sum at the bound


@overload
def quantize(
    network: nir.NIRGraph | Lowered,
    chip: Literal["loihi1", "loihi2"],
    *,
    bits: int = fp.WEIGHT_BITS,
    calibration: ChipInput | None = None,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
) -> Program: ...
@overload
def quantize(
    network: nir.NIRGraph | Lowered,
    chip: Literal["speck2f"],
    *,
    bits: int = fp.WEIGHT_BITS,
    calibration: ChipInput | None = None,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
) -> SpeckProgram: ...
@overload
def quantize(
    network: nir.NIRGraph | Lowered,
    chip: Chip | str,
    *,
    bits: int = fp.WEIGHT_BITS,
    calibration: ChipInput | None = None,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
) -> AnyProgram: ...
def quantize(
    network: nir.NIRGraph | Lowered,
    chip: Chip | str,
    *,
    bits: int = fp.WEIGHT_BITS,
    calibration: ChipInput | None = None,
    scale: ScaleRule = "max",
    correct_bias: bool = False,
) -> AnyProgram:
    """The integers that `chip` runs for the network.

    Args:
        network: a NIR graph with our metadata, or the result of `lower`.
        chip: with the arithmetic `loihi_cuba` or `speck_if`, or its key.
        bits: weight bits, 4..8 (Speck: 8).
        calibration: input on which the loss report compares spikes with the float network.
        scale: how the largest weight of a layer is chosen, see `scales`.
        correct_bias: fold the mean change of each neuron's drive on `calibration` into its bias.

    Returns:
        Program with one `LayerLoss` per layer, or a SpeckProgram (see `speck_quantize`).

    Raises:
        BadInput: another arithmetic, an input code that the chip cannot carry, decays or
            thresholds that differ inside a layer, a threshold beyond 17 bits, a correction
            without calibration input.
    """
    lowered = network if isinstance(network, Lowered) else lower(network)
    chip = load_chip(chip) if isinstance(chip, str) else chip
    if chip.arithmetic == SPECK:
        if scale != "max" or correct_bias:
            raise BadInput(
                f"chip '{chip.key}': scale {scale!r}, correct_bias {correct_bias}; its one scale a "
                "layer follows sinabs and takes neither, use scale='max' without correction"
            )
        return quantize_speck(lowered, chip, bits=bits, calibration=calibration)
    _check_chip(lowered, chip, bits)
    if not correct_bias:
        made = [_quantize_layer(x, lowered, bits, scale) for x in lowered.layers]
    elif calibration is None:
        raise BadInput("quantise: correct_bias needs calibration input; pass calibration=")
    else:
        made = _quantize_corrected(lowered, calibration, bits, scale)
    layers, losses = tuple(a for a, _ in made), tuple(b for _, b in made)
    program = Program(
        chip=chip.key,
        inputs=lowered.inputs,
        layers=layers,
        outputs=lowered.outputs,
        steps=lowered.steps,
        dt_s=lowered.dt_s,
        policy=lowered.policy,
        loss=losses,
    )
    return program if calibration is None else with_agreement(program, lowered, calibration)


def with_agreement(program: Program, lowered: Lowered, calibration: ChipInput) -> Program:
    """The program with `spike_agreement` filled: float network against its rounded twin."""
    before = simulate(lowered, calibration).spikes
    after = simulate(dequantize(program), dequantize_input(program, calibration)).spikes
    agree = {name: float(np.mean(before[name] == after[name])) for name in before}
    return replace(
        program, loss=tuple(replace(x, spike_agreement=agree[x.name]) for x in program.loss)
    )


def dequantize(program: Program) -> Lowered:
    """The float twin: weights * unit, kappa = dv / 4096, theta = (vth + 1/128) unit.

    For the policy dynamic, thresholds of the input go through `dequantize_input`.
    """
    return Lowered(
        inputs=program.inputs,
        layers=tuple(_float_twin(x, program.inputs.get(x.source)) for x in program.layers),
        outputs=program.outputs,
        dt_s=program.dt_s,
        steps=program.steps,
        policy=program.policy,
    )


def dequantize_input(program: Program, chip_input: ChipInput) -> ChipInput:
    """The input whose thresholds are those of the integers, (round(theta / unit) + 1/128) unit."""
    checked = check_input(program.inputs, program.layers, program.steps, program.policy, chip_input)
    if checked.theta is None:
        return checked
    theta = {x.name: _real(x, threshold_codes(x, checked.theta[x.name])) for x in program.layers}
    return ChipInput(checked.codes, checked.code, theta)


def _float_twin(layer: ProgramLayer, code: InputCode | None) -> LoweredLayer:
    size = layer.weight.shape[0]
    lsb = layer.unit * 2.0**layer.weight_exp / (1.0 if code is None else code.scale)
    table = None if layer.vth_table is None else _real(layer, layer.vth_table)
    return LoweredLayer(
        name=layer.name,
        source=layer.source,
        weight=layer.weight.astype(np.float64) * lsb,
        bias=layer.bias.astype(np.float64) * (layer.unit / (1 << fp.ALIGN_BITS)),
        leak=np.full(size, layer.dv / fp.DECAY_UNITY),
        syn_leak=np.full(size, (layer.du + 1) / fp.DECAY_UNITY),
        threshold=np.full(size, float(_real(layer, layer.vth))),
        theta_table=table,
        bias_to=layer.bias_to,
    )


def _real(layer: ProgramLayer, vth: npt.ArrayLike) -> Floats:
    real: Floats = (np.asarray(vth, np.float64) + HALF_STATE_LSB) * layer.unit
    return real


# --- one layer -------------------------------------------------------------------------------


def _quantize_corrected(
    lowered: Lowered, calibration: ChipInput, bits: int, scale: ScaleRule
) -> list[tuple[ProgramLayer, LayerLoss]]:
    """Every layer twice: rounded, then again with the bias that its rounding and those before ask.

    `exact` are the values that the float network's layers read, `rounded` those of the integers.
    """
    checked = check_input(
        lowered.inputs, lowered.layers, lowered.steps, lowered.policy, calibration
    )
    real = {name: checked.codes[name] * code.scale for name, code in lowered.inputs.items()}
    exact: dict[str, Any] = {**real, **simulate(lowered, checked).spikes}
    rounded: dict[str, Any] = dict(real)
    made = []
    for layer in lowered.layers:
        code = lowered.inputs.get(layer.source)
        draft = _float_twin(_quantize_layer(layer, lowered, bits, scale)[0], code)
        wanted = layer.bias + _mean_drive(layer, exact) - _mean_drive(draft, rounded)
        corrected, loss = _quantize_layer(replace(layer, bias=wanted), lowered, bits, scale)
        change = float(np.abs(wanted - layer.bias).max() / layer.threshold[0])
        made.append((corrected, replace(loss, bias_correction=change)))
        twin = _float_twin(corrected, code)
        theta = layer_thresholds(lowered.policy, layer, checked)
        theta = _real(corrected, threshold_codes(corrected, theta))
        drive = np.asarray(rounded[layer.source], np.float64) @ twin.weight.T
        rounded[layer.name], _ = run_neurons(twin, drive, theta, keep_membrane=False)
    return made


def _mean_drive(layer: LoweredLayer, values: Mapping[str, Any]) -> Floats:
    """Mean of W x over samples and steps, `(out,)`."""
    mean: Floats = layer.weight @ np.mean(values[layer.source], axis=(0, 1), dtype=np.float64)
    return mean


def _quantize_layer(
    layer: LoweredLayer, lowered: Lowered, bits: int, scale: ScaleRule
) -> tuple[ProgramLayer, LayerLoss]:
    code = lowered.inputs.get(layer.source)
    theta = _constant(layer, "threshold", layer.threshold)
    leak = _constant(layer, "leak", layer.leak)
    syn_leak = _constant(layer, "syn_leak", layer.syn_leak)
    if theta <= 0:
        raise BadInput(f"layer '{layer.name}': threshold {theta:g}, the chip needs one above 0")
    effect = layer.weight * (1.0 if code is None else code.scale)  # real value per code unit
    weight, step, unit, growth = _fit_weights(layer, effect, theta, code, bits, scale)
    mantissa, exponent, clipped = _fit_bias(layer, unit)
    dv = min(round(fp.DECAY_UNITY * leak), fp.DECAY_MAX)
    du = min(max(round(fp.DECAY_UNITY * syn_leak) - 1, 0), fp.DECAY_MAX)
    draft = ProgramLayer(
        name=layer.name,
        source=layer.source,
        weight=weight.astype(np.int16),
        # The bits that a chip has to store for this grid; more than asked where the step shrank.
        weight_bits=fp.WEIGHT_BITS + 1 - step.bit_length() + 1,
        weight_exp=0,
        bias_mant=mantissa.astype(np.int32),
        bias_exp=exponent,
        du=du,
        dv=dv,
        vth=0,
        unit=unit,
        bias_to=layer.bias_to,
    )
    table = layer.theta_table
    made = replace(
        draft,
        vth=int(threshold_codes(draft, theta)),
        vth_table=None if table is None else threshold_codes(draft, table),
    )
    loss = _loss(layer, made, effect, code, bits, growth, clipped, (theta, leak, syn_leak))
    return made, replace(loss, scale_rule=scale)


def _fit_weights(
    layer: LoweredLayer,
    effect: Floats,
    theta: float,
    code: InputCode | None,
    bits: int,
    scale: ScaleRule,
) -> tuple[fp.Ints, int, float, float]:
    """Integer weights, their step, the unit, and how much the accumulator made the unit grow."""
    levels = (1 << (bits - 1)) - 1
    largest = float(np.abs(effect).max())
    # A layer of zeros has no scale of its own; its threshold becomes 2^12 units.
    top = top_weight(effect, levels, scale) if largest > 0 else theta / 4096 * levels * 2
    step = fp.weight_step(bits)
    reach = _reach(layer.source, code)
    lsb = top / levels  # real value of one weight level
    while True:
        weight = step * np.clip(np.rint(effect / lsb), -levels, levels).astype(np.int64)
        drawn = Synapse(layer.source, weight, layer.link)
        worst = int((worst_sums((drawn,), reach) + _current_units(layer, lsb / step)).max())
        if worst < fp.ACCUMULATOR_LIMIT and (weight.any() or not largest):
            return weight, step, lsb / step, lsb * levels / top
        if step > fp.weight_step(fp.WEIGHT_BITS):
            step //= 2
            continue
        if not weight.any():
            raise BadInput(
                f"layer '{layer.name}': no weight above 0 keeps the worst sum of "
                f"{effect.shape[1]} inputs (and a bias into the current) below "
                f"{fp.ACCUMULATOR_LIMIT}; use fewer inputs, fewer bits of the input code or a "
                "smaller bias"
            )
        lsb *= max(worst / fp.ACCUMULATOR_LIMIT, _GROWTH)


def _reach(source: str, code: InputCode | None) -> dict[str, Range]:
    return {} if code is None else {source: (code.low, code.high)}


def _current_units(layer: LoweredLayer, unit: float) -> fp.Ints:
    """|bias| in weight units where it joins the weighted sum, else 0."""
    if layer.bias_to == "membrane":
        return np.zeros(len(layer.bias), np.int64)
    units: fp.Ints = 2 * np.abs(np.rint(layer.bias / unit / 2)).astype(np.int64)
    return units


def _fit_bias(layer: LoweredLayer, unit: float) -> tuple[fp.Ints, int, int]:
    """Mantissas, shared exponent, number of clipped mantissas."""
    lsbs = layer.bias / unit * (1 << fp.ALIGN_BITS)
    if layer.bias_to == "membrane":
        return fp.split_mantissa_exponent(lsbs)
    # A bias of the current is an input that is always one, so it lies on the weight grid of 2.
    mantissa = np.rint(lsbs / (1 << fp.EXPONENT_MAX))
    clipped = np.clip(mantissa, fp.MANTISSA_MIN, fp.MANTISSA_MAX)
    count = int(np.count_nonzero(clipped != mantissa))
    return clipped.astype(np.int64), fp.EXPONENT_MAX, count


def _constant(layer: LoweredLayer, key: str, values: Floats) -> float:
    """The one value of a layer; Loihi's process models take no vector of it."""
    if np.any(values != values[0]):
        raise BadInput(
            f"layer '{layer.name}': {key} differs between neurons ({values.min():g}.."
            f"{values.max():g}), the chip program holds one per layer; train one per layer"
        )
    return float(values[0])


def _loss(
    layer: LoweredLayer,
    made: ProgramLayer,
    effect: Floats,
    code: InputCode | None,
    bits: int,
    growth: float,
    bias_clipped: int,
    real: tuple[float, float, float],
) -> LayerLoss:
    theta, leak, syn_leak = real
    error = effect - made.weight * made.unit
    rms = math.sqrt(float(np.mean(effect**2)))
    step = fp.weight_step(made.weight_bits)
    grid = int(np.abs(made.weight).max()) // step
    beyond = np.abs(np.rint(effect / (step * made.unit))) >= 1 << (bits - 1)
    bias_error = np.abs(layer.bias - made.bias * made.unit / (1 << fp.ALIGN_BITS)).max()
    return LayerLoss(
        name=layer.name,
        weight_bits=bits,
        effective_bits=math.log2(2 * grid + 1),
        unit_growth=growth,
        weight_clipped=int(np.count_nonzero(beyond)),
        weight_zeroed=int(np.count_nonzero((made.weight == 0) & (effect != 0))),
        weight_rms_error=math.sqrt(float(np.mean(error**2))) / rms if rms else 0.0,
        bias_clipped=bias_clipped,
        bias_max_error=float(bias_error / theta),
        threshold_error=(theta - made.vth * made.unit) / theta,
        kappa_error=_relative(leak, made.dv / fp.DECAY_UNITY),
        syn_kappa_error=_relative(syn_leak, (made.du + 1) / fp.DECAY_UNITY),
        accumulator_bound=accumulator_bound(made, _reach(layer.source, code)),
        accumulator_limit=fp.ACCUMULATOR_LIMIT,
    )


def _relative(real: float, integer: float) -> float:
    return 0.0 if real == integer else (real - integer) / real


def _check_chip(lowered: Lowered, chip: Chip, bits: int) -> None:
    if chip.arithmetic != ARITHMETIC:
        raise BadInput(
            f"chip '{chip.key}': runs {chip.arithmetic or 'no spiking neurons'}, programs are made "
            f"for {ARITHMETIC} and {SPECK}; choose loihi1, loihi2 or speck2f"
        )
    if (
        isinstance(bits, bool)
        or not isinstance(bits, int)
        or not MIN_BITS <= bits <= fp.WEIGHT_BITS
    ):
        raise BadInput(f"weight bits: {bits!r}, expected {MIN_BITS}..{fp.WEIGHT_BITS}")
    payload = chip.limit.get("spike_payload_bits")
    for name, code in lowered.inputs.items():
        needed = 0 if code.kind == "binary" else code.bits + int(code.low < 0)
        if needed and payload is None:
            raise BadInput(
                f"input '{name}': {code.kind} codes need spikes with a payload, chip '{chip.key}' "
                "has binary spikes; encode it as two binary channels (ON, OFF) or use loihi2"
            )
        if payload is not None and needed > payload.value:
            raise BadInput(
                f"input '{name}': {needed} bits a spike, chip '{chip.key}' carries "
                f"{payload.value:g}; use fewer bits"
            )
