"""`loihi_cuba`: current-based LIF neurons in 24-bit states, Loihi 1 and 2 (`hardware.loihi`)."""

from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.arithmetic.base import Arithmetic, EmulatorOptions, QuantiserOptions
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.bias import quantize_corrected
from neurozsl.hardware.loihi.dequantize import dequantize, dequantize_input
from neurozsl.hardware.loihi.program import ARITHMETIC, Program
from neurozsl.hardware.loihi.quantize import quantize_layer
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.neuron import Reset
from neurozsl.hardware.network.program import MIN_BITS
from neurozsl.hardware.place.delays import check_delays

# At once: what a fixed neuron does, subtraction with a second compartment (the chip's reset_note).
_RESETS: Final[tuple[Reset, ...]] = ("zero", "subtract")


def _quantize(lowered: Lowered, chip: Chip, options: QuantiserOptions) -> Program:
    """Integers per layer, with a `LayerLoss` each.

    Raises:
        BadInput: what `_check` and `quantize_layer` refuse, a correction without calibration input.
        DoesNotFit: see `_check`.
    """
    bits, scale = options.bits, options.scale
    _check(lowered, chip, bits)
    if not options.correct_bias:
        made = [quantize_layer(x, lowered, bits, scale) for x in lowered.layers]
    elif options.calibration is None:
        raise BadInput("quantise: correct_bias needs calibration input; pass calibration=")
    else:
        made = quantize_corrected(lowered, options.calibration, bits, scale)
    return Program.of(lowered, chip.key, made)


def _check(lowered: Lowered, chip: Chip, bits: int) -> None:
    """Widths of weights, values and waits of a spike, neurons of one bias and a reset at once.

    Raises:
        BadInput: one that the chip does not have.
        DoesNotFit: a delay that no synapse of the chip has.
    """
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
    programmable = any("programmable" in model for model in chip.neuron_models)
    for layer in lowered.layers:
        reset = layer.rule.reset
        if layer.rule.spiking and reset not in _RESETS and not programmable:
            raise BadInput(
                f"layer '{layer.name}': reset {reset}, the neurons of chip '{chip.key}' are "
                f"{', '.join(chip.neuron_models)} and reset at once; use loihi2, whose neurons are "
                "programs, or the nearest of --reset zero and --reset subtract"
            )
        if layer.drive is not None:
            raise BadInput(
                f"layer '{layer.name}': a bias enters its current, and v_leak or v_reset its "
                "membrane; a chip program holds one of the two. Train it with v_reset 0 and "
                "v_leak 0, or without a bias; `simulate --backend floatsim` and sinabs run it"
            )
        if layer.start is not None:
            raise BadInput(
                f"layer '{layer.name}': its membrane starts at v_leak - v_reset, up to "
                f"{float(abs(layer.start).max()):g}; on the chip a sample starts from its reset. "
                "Train it with v_leak as v_reset; `simulate --backend floatsim` runs it"
            )
        if layer.rule.max_spikes > 1 and payload is None:
            raise BadInput(
                f"layer '{layer.name}': up to {layer.rule.max_spikes} spikes a step need a "
                f"payload, chip '{chip.key}' has binary spikes; use loihi2 or one spike a step"
            )
    check_delays(
        ((x.name, s.source, s.link.delay) for x in lowered.layers for s in x.synapses), chip
    )


def _emulate(program: Program, chip_input: ChipInput, options: EmulatorOptions) -> Trace:
    from neurozsl.hardware.loihi.emulator import emulate  # imports torch and numba

    return emulate(program, chip_input, **vars(options))


def _notes(program: Program, chip: Chip) -> tuple[str, ...]:
    resets = {x.rule.reset for x in program.layers if x.rule.spiking} - set(_RESETS)
    return tuple(
        f"reset {reset} needs a neuron program of its own on {chip.name}; lava-nc has none"
        for reset in sorted(resets)
    )


LOIHI: Final = Arithmetic(
    key=ARITHMETIC,
    chips=("loihi1", "loihi2"),
    quantize=_quantize,
    emulate=_emulate,
    dequantize=dequantize,
    dequantize_input=dequantize_input,
    load=Program.load,
    notes=_notes,
)
