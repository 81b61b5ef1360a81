"""The emulator one time step at a time: for loops that are closed outside the network.

    stepper = Stepper(program, samples)
    for t in range(program.steps):
        spikes = stepper.step(codes_t, theta_t)      # theta_t may follow the spikes so far

Within a step every layer sees the spikes of its source from the same step, or, over a synapse with
a delay, from as many steps before, as in `emulate`; after T
steps the bits are those of `emulate` on the whole sample. A step costs more than a T-th of a batch:
its products have T times fewer rows, and every call of every layer has its own overhead (the bench
reports both as `emulator.vs_float32_dense` and `emulator.stepwise_vs_float32_dense`).
"""

from collections import deque
from collections.abc import Mapping

import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Array, ChipInput
from neurozsl.hardware.loihi.emulator.layers import Kernel, layer_runs, layer_thresholds
from neurozsl.hardware.loihi.emulator.maps import Sent
from neurozsl.hardware.loihi.emulator.products import code_tensor
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.synapse import Synapse


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
        self._runs = layer_runs(program, device, kernel)
        self._states = {name: run.rest(samples) for name, run in self._runs.items()}
        # What every delayed source sent, the last step first.
        longest: dict[str, int] = {}
        for synapse in (s for layer in program.layers for s in layer.synapses):
            if synapse.link.delay:
                longest[synapse.source] = max(longest.get(synapse.source, 0), synapse.link.delay)
        self._past = {name: deque[Sent](maxlen=delay) for name, delay in longest.items()}

    def step(
        self, codes: Mapping[str, Array], theta: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """One time step of all layers: spike counts uint8 `(samples, out)`, tensors on a device.

        codes: per input `(samples, size)`. theta: per layer `(samples,)` in units of the float
        model, where the policy is dynamic.

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
        sent = {
            name: Sent(code_tensor(x, program.inputs[name]).to(self.device), {})
            for name, x in checked.codes.items()
        }

        def seen(synapse: Synapse) -> Sent:
            delay = synapse.link.delay
            if not delay:
                return sent[synapse.source]
            past = self._past[synapse.source]
            if delay <= len(past):
                return past[delay - 1]
            shape = (self.samples, 1, synapse.size_in)
            return Sent(torch.zeros(shape, dtype=torch.uint8, device=self.device), {})

        for layer in program.layers:
            name, run = layer.name, self._runs[layer.name]
            sent[name], ran = run.neurons(
                run.sums(seen),
                layer_thresholds(program, layer, checked, first_step=self.steps_done),
                keep_membrane=False,
                state=self._states[name],
            )
            self.overflow[name] += ran.overflow
            self.saturation[name] += ran.saturation
        for name, past in self._past.items():
            past.appendleft(sent[name])
        self.steps_done += 1
        spikes = {layer.name: sent[layer.name].flat[:, 0] for layer in program.layers}
        return {k: v.numpy() if self.device == "cpu" else v for k, v in spikes.items()}

    def membrane(self) -> dict[str, Array]:
        """Membrane v of every layer after the last step, int32 `(samples, out)`."""
        return {name: run.membrane(self._states[name]) for name, run in self._runs.items()}

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
