"""The emulator one time step at a time: for loops that are closed outside the network.

    stepper = Stepper(program, samples)
    for t in range(program.steps):
        spikes = stepper.step(codes_t, theta_t)      # theta_t may follow the spikes so far

Within a step every layer sees the spikes of its source from the same step, as in `emulate`; after T
steps the bits are those of `emulate` on the whole sample. A step costs more than a T-th of a batch:
its products have T times fewer rows, and every call of every layer has its own overhead (the bench
reports both as `emulator.vs_float32_dense` and `emulator.stepwise_vs_float32_dense`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from neurozsl.errors import BadInput
from neurozsl.hardware import kernels, kernels_torch
from neurozsl.hardware.emulator import (
    Kernel,
    choose_kernel,
    layer_constants,
    layer_runners,
    layer_thresholds,
)
from neurozsl.hardware.emulator_products import code_tensor
from neurozsl.hardware.program import Program, check_input
from neurozsl.signals import Array, ChipInput


class Stepper:
    """Neurons of a program at rest, then wherever the steps have taken them.

    overflow, saturation: counts per layer since the start, as in `Trace`. steps_done: how many.
    """

    def __init__(
        self, program: Program, samples: int, *, device: str = "cpu", kernel: Kernel = "auto"
    ) -> None:
        """Start `samples` samples from rest; device and kernel as in `emulate`.

        Raises:
            BadInput: the machine lacks the device, or the kernel cannot run there.
        """
        self.program, self.samples, self.device = program, samples, device
        self.steps_done = 0
        self.overflow = {layer.name: 0 for layer in program.layers}
        self.saturation = dict(self.overflow)
        self._runners = layer_runners(program, device, kernel)
        on_numba = choose_kernel(device, kernel) == "numba"
        self._states = {}
        for layer in program.layers:
            constants = layer_constants(layer, program.inputs.get(layer.source))
            self._states[layer.name] = (
                kernels.rest(constants, samples)
                if on_numba
                else kernels_torch.rest(constants, samples, device)
            )

    def step(
        self, codes: Mapping[str, Array], theta: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """One time step of all layers.

        Args:
            codes: per input `(samples, size)`.
            theta: per layer `(samples,)` in units of the float model, where the policy is dynamic.

        Returns:
            uint8 spikes `(samples, out)` per layer: arrays, or tensors on a device.

        Raises:
            BadInput: as `Program.check`; the threshold table has no further step.
        """
        program = self.program
        table = program.policy == "table"
        if table and self.steps_done >= program.steps:
            raise BadInput(
                f"stepper: step {self.steps_done + 1}, the threshold table has {program.steps}; "
                "start a new Stepper for each sample"
            )
        checked = self._check(codes, theta)
        values = {
            name: code_tensor(x, program.inputs[name]).to(self.device)
            for name, x in checked.codes.items()
        }
        for layer in program.layers:
            name = layer.name
            run = self._runners[name](
                values[layer.source],
                layer_thresholds(program, layer, checked, first_step=self.steps_done),
                keep_membrane=False,
                state=self._states[name],
            )
            values[name] = run.spikes
            self.overflow[name] += run.overflow
            self.saturation[name] += run.saturation
        self.steps_done += 1
        spikes = {layer.name: values[layer.name][:, 0] for layer in program.layers}
        return {k: v.numpy() if self.device == "cpu" else v for k, v in spikes.items()}

    def membrane(self) -> dict[str, Array]:
        """Membrane v of every layer after the last step, int32 `(samples, out)`."""
        states = {name: torch.as_tensor(state.v).cpu() for name, state in self._states.items()}
        return {name: v.numpy().astype(np.int32) for name, v in states.items()}

    def _check(self, codes: Mapping[str, Array], theta: Mapping[str, Array] | None) -> ChipInput:
        """The step as a sample of length 1, in the integers and thresholds of the program."""
        program = self.program
        row = None if theta is None else {name: x[:, None] for name, x in theta.items()}
        step = ChipInput({name: x[:, None] for name, x in codes.items()}, program.inputs, row)
        checked = check_input(program.inputs, program.layers, 1, program.policy, step)
        if checked.batch != self.samples:
            raise BadInput(
                f"stepper: {checked.batch} samples in this step, it was started with {self.samples}"
            )
        return checked
