"""Program + input -> the spikes that the chip would give, bit for bit, whatever its arithmetic.

Samples that the host stops (`ChipInput.lengths`) are run for as many steps as they have, those of
equal length together, and are silent afterwards: the bits of the steps that run are those of the
whole run, since no step depends on a later one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

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
        chip_input: codes `(samples, time, size)`; theta where the policy is dynamic; lengths where
            samples stop earlier.
        record: add "membrane" for v after each step `(samples, time, neuron)`.
        batch: samples that are held at once; None leaves it to the emulator.
        device: "cpu", "cuda", "cuda:1": where it runs.
        kernel: of Loihi's neurons, "numba" or "torch"; "auto" takes what the device has.
        progress: called with (samples done, samples in all) after each batch.

    Returns:
        Trace with uint8 spike counts; overflow and saturation count wraps and clips of the state,
        in the steps that run.

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
    if chip_input.lengths is None or not chip_input.batch:
        whole = replace(chip_input, lengths=None)
        return of_program(program).emulate(program, whole, options)
    return _emulate_stopped(program, program.check(chip_input), options)


def _emulate_stopped(
    program: ChipProgram, chip_input: ChipInput, options: EmulatorOptions
) -> Trace:
    """Samples of equal length together; zeros where nothing runs."""
    run, whole, done = of_program(program).emulate, chip_input.ran, 0
    found = _Gathered(chip_input.batch, chip_input.steps)
    for length in np.unique(whole):
        rows = np.flatnonzero(whole == length)
        part = replace(chip_input.take(rows).first_steps(int(length)), lengths=None)
        told = None if options.progress is None else _after(options.progress, done, len(whole))
        short = _with_steps(program, int(length))
        found.put(rows, run(short, part, replace(options, progress=told)))
        done += len(rows)
    return found.trace()


def _after(progress: Progress, done: int, samples: int) -> Progress:
    """Progress over all samples, `done` of which lie behind."""
    return lambda now, _of: progress(done + now, samples)


def _with_steps(program: ChipProgram, steps: int) -> ChipProgram:
    """The program for samples of fewer steps: the first of a table of thresholds."""
    if program.policy != "table":
        return program
    layers: tuple[Any, ...] = program.layers
    shorter = tuple(replace(layer, vth_table=layer.vth_table[:steps]) for layer in layers)
    return replace(program, layers=shorter, steps=steps)


class _Gathered:
    """A trace of all samples that is filled group by group."""

    def __init__(self, samples: int, steps: int) -> None:
        self.shape = (samples, steps)
        self.spikes: dict[str, npt.NDArray[Any]] = {}
        self.membrane: dict[str, npt.NDArray[Any]] = {}
        self.overflow: dict[str, int] = {}
        self.saturation: dict[str, int] = {}

    def put(self, rows: npt.NDArray[np.intp], part: Trace) -> None:
        """The trace of some samples, as long as they ran."""
        for into, arrays in ((self.spikes, part.spikes), (self.membrane, part.membrane)):
            for name, x in arrays.items():
                if name not in into:
                    into[name] = np.zeros((*self.shape, x.shape[2]), x.dtype)
                into[name][rows, : x.shape[1]] = x
        _add(self.overflow, part.overflow)
        _add(self.saturation, part.saturation)

    def trace(self) -> Trace:
        """What was found."""
        return Trace(self.spikes, self.overflow, self.saturation, self.membrane)


def _add(into: dict[str, int], counts: Mapping[str, int]) -> None:
    for name, number in counts.items():
        into[name] = into.get(name, 0) + number
