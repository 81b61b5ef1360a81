"""Multiply-accumulates of a dense branch, counted where it runs: all of them, and without zeros.

    macs       passes x weights, pruned ones too: what hardware for dense products does
    nonzero    pairs of a nonzero value and a nonzero weight: the fewest that any hardware must do

A branch that pools over time (`models.pooling`) passes once and adds up its inputs before; these
`adds` are counted apart, all of them and those of values that are not 0. Biases, ReLU and BatchNorm
(which folds into the weights) are not counted, as in a spiking branch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.pooling import over_time


@dataclass(frozen=True)
class DenseWork:
    """Operations of `samples` inferences, summed; by layer where a mapping."""

    samples: int
    macs: Mapping[str, int]
    nonzero: Mapping[str, int]
    adds: int
    nonzero_adds: int

    @property
    def macs_each(self) -> float:
        """Per inference."""
        return sum(self.macs.values()) / self.samples

    @property
    def nonzero_each(self) -> float:
        """Per inference."""
        return sum(self.nonzero.values()) / self.samples


def work_of(
    branch: SpikingBranch, chip_input: ChipInput, mask: Tensor | None, trace: Trace
) -> DenseWork:
    """The work of one batch.

    chip_input: what the branch read. trace: what it gave, in float.
    """
    read, answers, adds = chip_input, trace, {name: torch.zeros(1) for name in chip_input.codes}
    if branch.pool_time:  # every step of the trace is the same pass
        adds = {name: torch.as_tensor(x) for name, x in chip_input.codes.items()}
        read = over_time(chip_input, mask)
        answers = Trace({name: torch.as_tensor(x)[:, :1] for name, x in trace.spikes.items()})
    values = {**read.codes, **answers.spikes}
    macs, nonzero = dict[str, int](), dict[str, int]()
    for name, source, layer in branch.wired_layers():
        heard = torch.as_tensor(values[source])  # (sample, pass, value)
        macs[name] = layer.connections * heard.shape[0] * heard.shape[1]
        events = torch.count_nonzero(heard, (0, 1))
        nonzero[name] = int((events * layer.fan_out()).sum())
    return DenseWork(
        samples=chip_input.batch,
        macs=macs,
        nonzero=nonzero,
        adds=sum(x.numel() for x in adds.values()) if branch.pool_time else 0,
        nonzero_adds=sum(int(torch.count_nonzero(x)) for x in adds.values()),
    )


def together(parts: Iterable[DenseWork]) -> DenseWork:
    """The work of several batches, at least one."""
    parts = tuple(parts)
    return DenseWork(
        samples=sum(x.samples for x in parts),
        macs={name: sum(x.macs[name] for x in parts) for name in parts[0].macs},
        nonzero={name: sum(x.nonzero[name] for x in parts) for name in parts[0].nonzero},
        adds=sum(x.adds for x in parts),
        nonzero_adds=sum(x.nonzero_adds for x in parts),
    )
