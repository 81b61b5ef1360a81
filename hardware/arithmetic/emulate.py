"""Program + input -> the spikes that the chip would give, bit for bit, whatever its arithmetic."""

from typing import get_args

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.arithmetic.base import EmulatorOptions
from neurozsl.hardware.arithmetic.registry import of_program
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.network.program import ChipProgram


def emulate(
    program: ChipProgram,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int | None = None,
    device: str = "cpu",
    kernel: str = "auto",
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer as the chip would give them.

    Args:
        program: integers of a network, from `quantize` or a file.
        chip_input: codes `(samples, time, size)`; theta where the policy is dynamic.
        record: add "membrane" for v after each step `(samples, time, neuron)`.
        batch: samples that are held at once; None leaves it to the emulator.
        device: "cpu", "cuda", "cuda:1": where it runs.
        kernel: of Loihi's neurons, "numba" or "torch"; "auto" takes what the device has.
        progress: called with (samples done, samples in all) after each batch.

    Returns:
        Trace with uint8 spike counts; overflow and saturation count wraps and clips of the state.

    Raises:
        BadInput: the input does not belong to the program, or an option that the emulator of this
            arithmetic does not have.

    Example::

        codes = np.random.default_rng(0).integers(0, 2, (16, 40, 64))  # (sample, time, input)
        trace = nz.emulate(program, nz.ChipInput({"input": codes}, network.inputs))
        trace.spikes["1"].shape, trace.rates()
    """
    if batch is not None and batch < 1:
        raise BadInput(f"emulate: batch={batch}, expected 1 or more samples at once, or None")
    if unknown := set(record) - set(get_args(Record)):
        known = " or ".join(get_args(Record))
        raise BadInput(f"emulate: record={record!r}, {unknown.pop()!r} is not known; use {known}")
    options = EmulatorOptions(record, batch, device, kernel, progress)
    return of_program(program).emulate(program, chip_input, options)
