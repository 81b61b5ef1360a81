"""What is trained as a classifier: a Norse stack, or the twin of a lowered network.

In: frames `(batch, time, ...)`, integers in a float type. Out: `Seen`, what the classes are read
from and the spikes of every layer. Both are written as one flat NIR graph (`graph`).

A stack runs layer by layer, each over all steps at once: Norse's cell steps through time inside its
layer, modules without state see all steps of a batch as rows. BatchNorm therefore takes its
statistics over samples and steps, which is what is folded into the weights at export. IAF and LIF
box cells with the surrogate tanh run fused, to the same bits (`models.fused_neurons`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import nir
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.classifier.crossings import DRAWN_FROM, RULE, counted
from neurozsl.classifier.twin import Twin
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.export.nir.graph_reading import graph_inputs
from neurozsl.export.nir.lowered_graph import lowered_graph
from neurozsl.export.norse.graph import from_norse, modules_of
from neurozsl.hardware.lower.lower import lower
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

    draws: bool
    """Whether it draws the paths of membranes inside a step, in training (`crossings`)."""

    @property
    def draws_from(self) -> float:
        """Share of the epochs from which on it is asked to draw them, if at all."""

    def see(self, frames: Tensor) -> Seen:
        """Run a batch."""

    def graph(self) -> nir.NIRGraph:
        """As a flat NIR graph with our metadata."""


class StackLearner:
    """A Norse stack; code: of its input, example: frames of one sample `(1, time, ...)`.

    step_s: what a step of the frames lasts, s, which the graph says; None: as the cells' dt.
    without_clock: the cells count as `crossings` says, whatever Norse's own reset is.

    Raises:
        UnsupportedNode, BadInput: the stack cannot be written as NIR, or has neurons that need a
            clock.
    """

    def __init__(
        self,
        stack: nn.Module,
        example: Tensor,
        code: InputCode,
        step_s: float | None = None,
        *,
        without_clock: bool = False,
    ) -> None:
        self.module, self._example, self._code, self._step_s = stack, example, code, step_s
        self.parts, self.draws_from = list(modules_of(stack)), DRAWN_FROM
        self.without_clock, self.draws = without_clock, False
        if without_clock:
            _refuse_clocks(self.parts)
        self.graph()  # what cannot be written is not trained
        weighted = [n for n, m in stack.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        self.output = weighted[-1]

    def graph(self) -> nir.NIRGraph:
        """Weights of the moment, BatchNorm folded."""
        training = self.module.training
        self.module.eval()
        made = from_norse(self.module, self._example, input_code=self._code, dt_s=self._step_s)
        self.module.train(training)
        if not self.without_clock:
            return made
        lowered, shapes = lower(made), graph_inputs(made)
        counting = tuple(replace(layer, rule=RULE) for layer in lowered.layers)
        return lowered_graph(replace(lowered, layers=counting), shapes)

    def see(self, frames: Tensor) -> Seen:
        """Layer by layer, each over all steps."""
        if self.without_clock:
            return self._counted(frames)
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

    def _counted(self, frames: Tensor) -> Seen:
        """The same with neurons that spike inside a step."""
        x, spikes, arrived = frames, dict[str, Tensor](), _Arrived()
        for name, module in self.parts:
            if isinstance(module, norse.IAFCell):
                theta = torch.as_tensor(module.p.v_th, dtype=x.dtype, device=x.device)
                x = counted(x, theta, spread=arrived.spread, bias=arrived.bias)
                spikes[name], arrived = x, _Arrived()
                continue
            rows = x.flatten(0, 1)
            made = module(rows)
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                arrived = _Arrived.behind(module, rows, made, x.shape[:2], self.draws)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                arrived = arrived.normed(module, rows)
            elif not isinstance(module, nn.Flatten | nn.Identity | nn.Dropout | nn.Dropout2d):
                arrived = _Arrived()  # a pool behind weights: its events come as their sum
            x = made.reshape(*x.shape[:2], *made.shape[1:])
        return Seen(x.flatten(2), True, spikes)


@dataclass(frozen=True)
class _Arrived:
    """What `counted` needs to know of a drive; see there."""

    spread: Tensor | None = None
    bias: Tensor | None = None

    @staticmethod
    def behind(
        module: Any, rows: Tensor, made: Tensor, steps: torch.Size, draws: bool
    ) -> "_Arrived":
        """Of weights; rows: what they read, made: what they gave."""
        if not draws:
            return _Arrived()
        with torch.no_grad():
            squares = module.weight**2
            if isinstance(module, nn.Linear):
                spread = functional.linear(rows, squares)
            else:
                conv = functional.conv2d if isinstance(module, nn.Conv2d) else functional.conv1d
                how = (module.stride, module.padding, module.dilation, module.groups)
                spread = conv(rows, squares, None, *how)
        shift = None if module.bias is None else _along(module.bias, made)
        return _Arrived(spread.reshape(*steps, *made.shape[1:]), shift)

    def normed(self, norm: Any, rows: Tensor) -> "_Arrived":
        """Behind the BatchNorm that reads `rows`."""
        if self.spread is None:
            return self
        if norm.training:
            over = [d for d in range(rows.dim()) if d != 1]
            fixed = rows.detach()
            mean, var = fixed.mean(over), fixed.var(over, unbiased=False)
        else:
            mean, var = norm.running_mean, norm.running_var
        gain = torch.rsqrt(var + norm.eps) * (1.0 if norm.weight is None else norm.weight)
        shift = -mean * gain + (0.0 if norm.bias is None else norm.bias)
        gain, shift = _along(gain, rows), _along(shift, rows)
        if self.bias is not None:
            shift = shift + self.bias * gain
        return _Arrived(self.spread * gain.detach() ** 2, shift)


def _along(values: Tensor, rows: Tensor) -> Tensor:
    """One value a channel, so that it broadcasts over `(..., channel, ...)`."""
    return values.reshape(-1, *(1,) * (rows.dim() - 2))


def _refuse_clocks(parts: list[tuple[str, nn.Module]]) -> None:
    for name, module in parts:
        if isinstance(module, _CELLS) and not isinstance(module, norse.IAFCell):
            raise BadInput(
                f"without a clock: layer '{name}' is a {type(module).__name__}, whose leak needs "
                "one; use IAFCell, as conv-if does"
            )
        theta = torch.as_tensor(module.p.v_th) if isinstance(module, norse.IAFCell) else None
        if theta is not None and (theta.numel() > 1 or theta.requires_grad or float(theta) <= 0):
            raise BadInput(
                f"without a clock: layer '{name}' has thresholds of shape {tuple(theta.shape)}; "
                "one number above 0 that does not learn is needed, scale the weights in its place"
            )
    if not isinstance(parts[-1][1], norse.IAFCell):
        raise BadInput(
            f"without a clock: the network ends with {type(parts[-1][1]).__name__}; spikes are "
            "what leaves such a chip, end it with an IAFCell"
        )


class TwinLearner:
    """The twin of a lowered network."""

    def __init__(self, twin: Twin) -> None:
        self.module = twin
        last = twin.output
        self.output = f"weights.{twin.place[last.name][0]}.map"

    draws_from = 0.0  # what it begins with has learned already

    @property
    def draws(self) -> bool:
        """Whether paths inside a step are drawn."""
        return self.module.draws

    @draws.setter
    def draws(self, on: bool) -> None:
        self.module.draws = on

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
