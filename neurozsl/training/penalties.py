"""What a loss can say of spikes: their rate, and the synaptic operations that they cause.

In: the branch, what it read and spiked in a batch. Out: terms that are added to the model's loss::

    rate     sum over layers of (mean spike rate - rate_target)^2          of neurons and steps
    synops   ((S - synops_target) / synops_target)^2 where S is above it   with a target (sinabs'
             S / S_dense                                                   without one)

S is the number of synaptic operations of an inference: every nonzero code or spike times the
nonzero weights behind it (`hardware.count`; Sorbaro et al. 2020, arXiv:2003.01250, penalise it so).
S_dense is what events on every channel in every step would cost the unpruned layers. The gradient
reaches spikes by the neurons' surrogate and codes by the straight-through gradient of their
encoder, weights only through the spikes that they cause.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.models.base import Prepared, ZSLModel
from neurozsl.training.economy import Penalties
from neurozsl.training.sparsity import Prunable, prunable

Mean = Callable[[Tensor], Tensor]
"""Of a value per sample `(batch,)`, over the whole batch; several processes share one."""


def of_spikes(
    model: ZSLModel, prepared: Prepared, trace: Trace | None, asked: Penalties | None, mean: Mean
) -> dict[str, Tensor]:
    """The terms of a model's branch; none where nothing is asked for or nothing spikes."""
    if asked is None or prepared.chip_input is None or trace is None:
        return {}
    return penalties(prunable(model), prepared.chip_input, trace, asked, mean)


def penalties(
    branch: Prunable, chip_input: ChipInput, trace: Trace, asked: Penalties, mean: Mean = torch.mean
) -> dict[str, Tensor]:
    """The terms by name, with their weights."""
    found: dict[str, Tensor] = {}
    if asked.rate:
        each = [mean(trace.spikes[name].mean((1, 2))) for name in branch.spiking_layers()]
        found["rate"] = asked.rate * (torch.stack(each) - asked.rate_target).square().sum()
    if asked.synops:
        total = mean(torch.stack(list(synops(branch, chip_input, trace).values())).sum(0))
        if asked.synops_target is None:
            share = total / (chip_input.steps * _weights(branch))
            found["synops"] = asked.synops * share
        else:
            above = (total / asked.synops_target - 1).clamp_min(0)
            found["synops"] = asked.synops * above.square()
    return found


def synops(branch: Prunable, chip_input: ChipInput, trace: Trace) -> Mapping[str, Tensor]:
    """Synaptic operations of every layer in the inference of each sample, `(batch,)`."""
    found: dict[str, Tensor] = {}
    for name, source, layer in branch.wired_layers():
        values = chip_input.codes[source] if source in chip_input.codes else trace.spikes[source]
        events = torch.as_tensor(values).abs().clamp_max(1).sum(1)  # (batch, inputs)
        found[name] = events.double() @ layer.fan_out().double()
    return found


def _weights(branch: Prunable) -> int:
    """Connections of all layers, without pruning: those that events go through in a step."""
    return sum(layer.connections for _, _, layer in branch.wired_layers())
