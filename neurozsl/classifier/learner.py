"""What is trained as a classifier: a Norse stack, or the twin of a lowered network.

In: frames `(batch, time, ...)`, integers in a float type. Out: `Seen`, what the classes are read
from and the spikes of every layer. Both are written as one flat NIR graph (`graph`).

A stack runs layer by layer, each over all steps at once: Norse's cell steps through time inside its
layer, modules without state see all steps of a batch as rows. BatchNorm therefore takes its
statistics over samples and steps, which is what is folded into the weights at export. IAF and LIF
box cells with the surrogate tanh run fused, to the same bits (`models.fused_neurons`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import nir
import torch
from torch import Tensor, nn

from neurozsl.classifier.twin import Twin
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.export.norse.graph import from_norse, modules_of
from neurozsl.models.fused_neurons import fits, fused
from neurozsl.norse import cells as norse


@dataclass(frozen=True)
class Seen:
    """What a network made of a batch.

    read: of the output layer, spikes or membranes, `(batch, time, class)`. spiking: which of the
    two. spikes: of every layer that sends some.
    """

    read: Tensor
    spiking: bool
    spikes: Mapping[str, Tensor]


class Learner(Protocol):
    """A module that is trained, pruned and written."""

    @property
    def module(self) -> nn.Module:
        """Holds the parameters."""

    @property
    def output(self) -> str:
        """The module whose weights make the classes, as `nn.Module` names it."""

    def see(self, frames: Tensor) -> Seen:
        """Run a batch."""

    def graph(self) -> nir.NIRGraph:
        """As a flat NIR graph with our metadata."""


class StackLearner:
    """A Norse stack; code: of its input, example: frames of one sample `(1, time, ...)`.

    step_s: what a step of the frames lasts, s, which the graph says; None: as the cells' dt.

    Raises:
        UnsupportedNode, BadInput: the stack cannot be written as NIR.
    """

    def __init__(
        self, stack: nn.Module, example: Tensor, code: InputCode, step_s: float | None = None
    ) -> None:
        self.module, self._example, self._code, self._step_s = stack, example, code, step_s
        self.parts = list(modules_of(stack))
        self.graph()  # what cannot be written is not trained
        weighted = [n for n, m in stack.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        self.output = weighted[-1]

    def graph(self) -> nir.NIRGraph:
        """Weights of the moment, BatchNorm folded."""
        training = self.module.training
        self.module.eval()
        made = from_norse(self.module, self._example, input_code=self._code, dt_s=self._step_s)
        self.module.train(training)
        return made

    def see(self, frames: Tensor) -> Seen:
        """Layer by layer, each over all steps."""
        x, spikes, spiking = frames, dict[str, Tensor](), False
        for name, module in self.parts:
            if isinstance(module, _CELLS):
                x = _over_time(module, x)
                spiking = not isinstance(module, norse.LICell | norse.LIBoxCell)
                if spiking:
                    spikes[name] = x
            else:
                rows = module(x.flatten(0, 1))
                x = rows.reshape(*x.shape[:2], *rows.shape[1:])
                spiking = spiking and not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
        return Seen(x.flatten(2), spiking, spikes)


class TwinLearner:
    """The twin of a lowered network."""

    def __init__(self, twin: Twin) -> None:
        self.module = twin
        last = twin.output
        self.output = f"weights.{twin.place[last.name][0]}.map"

    def graph(self) -> nir.NIRGraph:
        """Weights of the moment."""
        return self.module.graph()

    def see(self, frames: Tensor) -> Seen:
        """The lowered network on flat frames."""
        size = self.module.start.inputs[self.module.input].size
        flat = frames.flatten(2)
        if flat.shape[2] != size:
            raise BadInput(
                f"training: frames of {tuple(frames.shape[2:])} are {flat.shape[2]} values a step, "
                f"the network reads {size}; build the set with another --size"
            )
        found, last = self.module(flat), self.module.output
        spiking = {x.name for x in self.module.start.layers if x.rule.spiking}
        spikes = {name: x for name, x in found.items() if name in spiking}
        return Seen(found[last.name], last.rule.spiking, spikes)


_CELLS = (
    norse.IAFCell,
    norse.LIFBoxCell,
    norse.LIFCell,
    norse.LIFRecurrentCell,
    norse.LIBoxCell,
    norse.LICell,
)


def _over_time(cell: Any, x: Tensor) -> Tensor:
    """A cell over all steps, `(batch, time, ...)`, from rest."""
    quick = _fused(cell, x)
    if quick is not None:
        return quick
    state, found = None, []
    for t in range(x.shape[1]):
        z, state = cell(x[:, t], state)
        found.append(z)
    return torch.stack(found, 1)


def _fused(cell: Any, x: Tensor) -> Tensor | None:
    """The same in one pass, where the neurons can; None where they cannot."""
    if not isinstance(cell, norse.IAFCell | norse.LIFBoxCell) or not fits(x, cell.p.method):
        return None
    rest = [getattr(cell.p, key, None) for key in ("v_reset", "v_leak")]
    if any(value is not None and bool(torch.any(torch.as_tensor(value) != 0)) for value in rest):
        return None
    if getattr(cell.p, "reset_method", norse.reset_value) is not norse.reset_value:
        return None
    theta, kappa = torch.as_tensor(cell.p.v_th), None
    if isinstance(cell, norse.LIFBoxCell):
        decay = torch.as_tensor(cell.dt * cell.p.tau_mem_inv)
        if decay.numel() > 1:
            return None
        kappa = float(decay)
    if theta.numel() > 1 or theta.requires_grad:
        return None
    slope = float(torch.as_tensor(cell.p.alpha))
    spikes = fused(x.flatten(2), theta.to(x.dtype).reshape(()), kappa=kappa, slope=slope)
    return spikes.reshape(x.shape)
