"""Training with a chip's integers: the forward of the branch is the emulator, bit for bit.

`IntegerForward` takes the place of Norse's forward in a `SpikingBranch`. At every call the float32
weights of the moment become a `Program` by the same functions that export uses, and the emulator's
integer kernel gives the spikes; so what was trained and what is deployed are the same integers.

Only the backward is an approximation (straight-through): rounding has the gradient 1, and the
gradient runs through the neuron that the integers stand for, on the membrane that they had::

    v*_t = (1 - kappa) v_{t-1} + W' x_t + b'       v_{t-1}: integer membrane x unit / 64
    z_t  = v*_t > theta,   v_t = (1 - z_t) v*_t    dz/dv*: the branch's surrogate in Norse

with W', b', theta of the dequantised layer (gain kappa folded). Where no weight is lost to rounding
this is Norse's own gradient (tested). Weights that a scale rule clips keep their gradient.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.lower.lower import LoweredLayer, lower
from neurozsl.models.base import Branch
from neurozsl.models.motion import SpikingBranch
from neurozsl.norse.cells import threshold
from neurozsl.training.protocol import TrainConfig


@dataclass(frozen=True)
class Rounding:
    """Which integers: key of the chip, weight bits 4..8, and the rule of the weight scale."""

    chip: str = "loihi2"
    bits: int = 8
    scale: ScaleRule = "max"


@dataclass(frozen=True)
class FineTuning:
    """What a fine-tuned run was made from (`run.json`, key `qat`).

    rounding: None trains on in float: as a control, or to prune.
    threshold: `frozen`: BatchNorm folded and one constant per layer, as the chip's stock neuron has
        it; `trained`: the model as it was.
    parent: the run it started from, relative to its own folder.
    """

    rounding: Rounding | None
    parent: str
    threshold: Literal["frozen", "trained"] = "frozen"


def fine_tuning_from(raw: Mapping[str, Any]) -> FineTuning:
    """Read what `dataclasses.asdict` wrote.

    Raises:
        TypeError: keys are missing or unknown.
    """
    rounding = raw["rounding"]
    return FineTuning(**{**raw, "rounding": None if rounding is None else Rounding(**rounding)})


def rounding_from(chip: str, bits: int, scale: str) -> Rounding | None:
    """The rounding that is named on a command line; None for the chip `none`.

    Raises:
        BadInput: the rule of the scale is not known (chip and bits are checked by the quantiser).

    >>> rounding_from("none", 8, "max")
    """
    if chip == "none":
        return None
    if scale not in get_args(ScaleRule):
        known = ", ".join(get_args(ScaleRule))
        raise BadInput(f"scale rule '{scale}' is not known; choose {known}")
    return Rounding(chip, bits, cast(ScaleRule, scale))


def default_folder(parent: Path, rounding: Rounding | None) -> Path:
    """Where the fine-tuned run goes: RUN-qat8, or RUN-qat-none for the control.

    >>> default_folder(Path("runs/demo"), Rounding(bits=4)).as_posix()
    'runs/demo-qat4'
    """
    suffix = "-none" if rounding is None else str(rounding.bits)
    return parent.with_name(f"{parent.name}-qat{suffix}")


def tuned_folder(parent: Path, tuning: FineTuning, train: TrainConfig) -> Path:
    """Where a fine-tuned run goes: `default_folder`, and what is pruned or taught in its name.

    >>> from neurozsl.training.economy import Sparsity
    >>> how = TrainConfig(sparsity=Sparsity(0.05))
    >>> tuned_folder(Path("runs/a"), FineTuning(None, "", "trained"), how).as_posix()
    'runs/a-sparse95'
    """
    base = default_folder(parent, tuning.rounding) if tuning.threshold == "frozen" else parent
    name = base.name
    if train.budget is not None:
        name += f"-budget{train.budget.limit:g}{train.budget.unit}"
    elif train.sparsity is not None:
        name += f"-sparse{100 * (1 - train.sparsity.density):g}"
    elif base == parent:
        name += "-tuned" if train.distillation is None else "-taught"
    return parent.with_name(name)


def program_of(spec: BranchSpec, rounding: Rounding) -> Program:
    """The integers of a branch; the same call in training and at export.

    Raises:
        BadInput: the branch cannot be written in this chip's integers.
    """
    if any(layer.conv is not None or layer.pools for layer in spec.layers):
        raise BadInput(
            "fine-tuning in integers: the branch has convolutions, which have no backward pass in "
            "integers here; export it without, or fine-tune in float (--qat none)"
        )
    lowered = lower(to_nir(spec))
    program = quantize(lowered, rounding.chip, bits=rounding.bits, scale=rounding.scale)
    if not isinstance(program, Program):
        raise BadInput(
            f"fine-tuning in integers: chip '{rounding.chip}' has another arithmetic than Loihi's, "
            "the only one that has a backward pass here; use --qat loihi2"
        )
    return program


def same_integers(first: Program, second: Program) -> bool:
    """Whether two programs hold the same integers, units included; the loss report is left out."""
    if len(first.layers) != len(second.layers) or first.inputs != second.inputs:
        return False
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name))
        for a, b in zip(first.layers, second.layers, strict=True)
        for field in fields(ProgramLayer)
    )


class IntegerForward:
    """Forward of a branch in a chip's integers, with a straight-through backward."""

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding

    def program_of(self, branch: SpikingBranch) -> Program:
        """The integers of the weights as they are now."""
        return program_of(branch.spec(), self.rounding)

    def __call__(self, branch: SpikingBranch, chip_input: ChipInput) -> Trace:
        """Spikes of every layer, `(batch, time, neuron)` in the type of the weights."""
        program = self.program_of(branch)
        _check(program)
        layers = branch.named_layers()
        first = next(iter(layers.values()))
        run = _Run(
            program=program,
            chip_input=chip_input.to_numpy(),
            surrogate=(first.config.surrogate, first.config.slope),
            learning=torch.is_grad_enabled(),
            like=first.synapse.weight,
        )
        real = [chip_input.codes[name] * code.scale for name, code in program.inputs.items()]
        weights = [layers[x.name].synapse.weight for x in program.layers]
        biases = [layers[x.name].synapse.bias for x in program.layers]
        spikes = _Emulated.apply(run, *real, *weights, *biases)  # type: ignore[no-untyped-call]
        return Trace(dict(zip(layers, spikes, strict=True)))


def learning(branch: Branch) -> SpikingBranch:
    """The branch, as one that can learn in a chip's integers.

    Raises:
        BadInput: it is another kind than the backward knows.
    """
    if isinstance(branch, SpikingBranch):
        return branch
    raise BadInput(
        f"fine-tuning in integers: branch {type(branch).__name__} has no backward pass in "
        "integers here, models.motion.SpikingBranch has; fine-tune in float (--qat none)"
    )


@dataclass(frozen=True)
class _Run:
    """What the autograd function needs beside its tensors."""

    program: Program
    chip_input: ChipInput
    surrogate: tuple[str, float]
    learning: bool
    like: Tensor


class _Emulated(torch.autograd.Function):
    """(inputs, weights, biases) -> spikes of every layer: emulator forward, surrogate backward."""

    @staticmethod
    def forward(ctx: Any, run: _Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        """All layers at once on the emulator's integer kernel."""
        trace = emulate(
            run.program,
            run.chip_input,
            record=("spikes", "membrane") if run.learning else ("spikes",),
            device=str(run.like.device),
        )
        spikes = tuple(_like(trace.spikes[x.name], run.like) for x in run.program.layers)
        ctx.run, ctx.membrane = run, trace.membrane
        ctx.save_for_backward(*tensors[: len(run.program.inputs)], *spikes)
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Back through the layers in reverse order."""
        run: _Run = ctx.run
        program = run.program
        names = [*program.inputs, *(x.name for x in program.layers)]
        values = dict(zip(names, ctx.saved_tensors, strict=True))
        gradient = {name: torch.zeros_like(value) for name, value in values.items()}
        for layer, given in zip(program.layers, grads, strict=True):
            gradient[layer.name] = given
        weights, biases = dict[str, Tensor](), dict[str, Tensor]()
        pairs = list(zip(program.layers, dequantize(program).layers, strict=True))
        for layer, twin in reversed(pairs):
            unit = layer.unit / (1 << fp.ALIGN_BITS)
            membrane = _like(ctx.membrane[layer.name], run.like) * unit
            x, spikes, given = values[layer.source], values[layer.name], gradient[layer.name]
            drive = _layer_backward(twin, x, spikes, membrane, given, run.surrogate)
            flat, x = drive.flatten(0, 1), x.flatten(0, 1)
            # d W' / d W: the input gain that lowering folded; kappa, 1 for a neuron without leak
            gain = float(twin.leak[0]) or 1.0
            weights[layer.name] = gain * (flat.t() @ x)
            biases[layer.name] = gain * flat.sum(0)
            back = drive @ _like(twin.weight, run.like)
            gradient[layer.source] = gradient[layer.source] + back
        inputs = [gradient[name] for name in program.inputs]
        order = [layer.name for layer in program.layers]
        return None, *inputs, *(weights[x] for x in order), *(biases[x] for x in order)


def _layer_backward(
    twin: LoweredLayer,
    x: Tensor,
    spikes: Tensor,
    membrane: Tensor,
    gradient: Tensor,
    surrogate: tuple[str, float],
) -> Tensor:
    """Gradient with respect to the drive W' x + b', `(batch, time, out)`.

    twin: the dequantised layer. x: its input `(batch, time, in)`. spikes: `(batch, time, out)`.
    membrane: v after each step, real. gradient: with respect to the spikes. surrogate: Norse's
    name and slope.
    """
    keep = 1.0 - float(twin.leak[0])
    before = torch.cat([torch.zeros_like(membrane[:, :1]), membrane[:, :-1]], 1)
    potential = keep * before + x @ _like(twin.weight, x).t() + _like(twin.bias, x)
    slope = _slope(potential - float(twin.threshold[0]), surrogate)
    drive = torch.empty_like(potential)
    later = torch.zeros_like(potential[:, 0])  # gradient with respect to v_t
    for t in reversed(range(potential.shape[1])):
        to_spike = gradient[:, t] - later * potential[:, t]
        drive[:, t] = later * (1 - spikes[:, t]) + to_spike * slope[:, t]
        later = keep * drive[:, t]
    return drive


def _slope(x: Tensor, surrogate: tuple[str, float]) -> Tensor:
    """Derivative that Norse's surrogate gives to the step at x."""
    method, alpha = surrogate
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        fired = threshold(x, method, x.new_tensor(alpha))
        (found,) = torch.autograd.grad(fired.sum(), x)
    return found


def _like(array: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(array).to(device=like.device, dtype=like.dtype)


def _check(program: Program) -> None:
    """The backward knows constant thresholds and neurons without synaptic memory."""
    if program.policy not in ("frozen", "fixed"):
        raise BadInput(
            f"integer training: the policy is '{program.policy}', the backward knows constant "
            "thresholds; freeze them first (--threshold frozen)"
        )
    slow = [layer.name for layer in program.layers if layer.du != fp.DECAY_MAX]
    if slow:
        raise BadInput(
            f"integer training: layers {', '.join(slow)} have a synaptic current, the backward "
            "knows neurons without one"
        )
