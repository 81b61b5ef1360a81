"""One pass for all steps: the mean of the coded inputs over time, and its answer in every step.

A network without a state needs no steps. It may read each input's mean over the real steps of a
sample once; what it answers then stands for every step, so that whatever reads a branch finds the
shape that it knows. This is the dense rival of a spiking branch at one pass per sample.
"""

import torch
from torch import Tensor

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.models.blocks import masked_mean


def over_time(chip_input: ChipInput, mask: Tensor | None) -> ChipInput:
    """The codes' means over the real steps, `(batch, 1, size)`; floats in the units of the codes.

    chip_input: without thresholds, which belong to steps. mask: `(batch, time)`, True where a step
    is real; None: all are.
    """
    codes = {
        name: masked_mean(torch.as_tensor(value), mask).unsqueeze(1)
        for name, value in chip_input.codes.items()
    }
    return ChipInput(codes, chip_input.code)


def in_every_step(trace: Trace, steps: int) -> Trace:
    """What one pass gave, `(batch, 1, neuron)`, in each of `steps` steps."""
    return Trace(
        {name: torch.as_tensor(x).expand(-1, steps, -1) for name, x in trace.spikes.items()}
    )
