"""What several of the small commands behind `neurozsl train` take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.core.errors import BadInput
from neurozsl.hardware.loihi.scales import ScaleRule

if TYPE_CHECKING:
    from neurozsl.training.economy import Budget, Distillation, Penalties, Sparsity
    from neurozsl.training.qat import Rounding

_RATE_TARGET, _TEACHER_WEIGHT, _TEMPERATURE = 0.05, 1.0, 0.5
_PREFIX = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}


@dataclass(frozen=True, kw_only=True)
class LengthOptions:
    """How long and where a model is trained."""

    out: Annotated[
        Path | None,
        typer.Option(help="Run folder to create; of a run that is trained on: default beside it."),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of stage 1 (default 20; avca 50), or of training on: 5, pruning 10."
        ),
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(help="Peak learning rate; default 3e-3; avca and training on 1e-3."),
    ] = None
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu, cuda or auto; and the chip that prices an --energy-budget."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """The processes at work."""

    devices: Annotated[
        int, typer.Option(help="Processes on this machine (torchrun's number wins).")
    ] = 1
    strategy: Annotated[
        str, typer.Option(help="How processes share a batch: ddp (auto is the same).")
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class PruningOptions:
    """How many weights are left; on a new run, or on a finished one with --resume."""

    sparsity: Annotated[
        float | None,
        typer.Option(help="Prune the spiking layers to this share of zeros; 0.95 keeps 5 %."),
    ] = None
    structure: Annotated[
        str, typer.Option(help="What is pruned: weights, inputs (whole channels) or neurons.")
    ] = "weights"
    sparsity_scope: Annotated[
        str,
        typer.Option(
            help="Shares of the layers: layer (the same), erk (small layers keep more), global."
        ),
    ] = "layer"

    @property
    def shaped(self) -> bool:
        """Whether it is said what is pruned, or where."""
        return (self.structure, self.sparsity_scope) != ("weights", "layer")

    def pruning(self) -> Sparsity | None:
        """The share that is asked for.

        Raises:
            BadInput: it is not allowed, or only what is pruned is said.
        """
        from neurozsl.training.economy import pruned

        if self.sparsity is None and self.shaped:
            raise BadInput("--structure, --sparsity-scope: say how much, with --sparsity")
        return pruned(self.sparsity, self.structure, self.sparsity_scope)


@dataclass(frozen=True, kw_only=True)
class EconomyOptions(PruningOptions):
    """Fewer operations, and who teaches; on a new run, or on a finished one with --resume."""

    synops_budget: Annotated[
        float | None,
        typer.Option(help="Synaptic operations of an inference; finds the sparsity for them."),
    ] = None
    energy_budget: Annotated[
        str | None,
        typer.Option(
            help="Joules of an inference (1.5uJ) by the figures and first method of a chip "
            "(--device loihi1); finds the sparsity for them."
        ),
    ] = None
    rate_loss: Annotated[
        float, typer.Option(help="Weight of (spike rate - --rate-target)^2 in the loss.")
    ] = 0.0
    rate_target: Annotated[float, typer.Option(help="Spikes per neuron and step.")] = _RATE_TARGET
    synops_loss: Annotated[
        float, typer.Option(help="Weight of the synaptic operations in the loss.")
    ] = 0.0
    synops_target: Annotated[
        float | None, typer.Option(help="Operations of an inference that --synops-loss allows.")
    ] = None
    teacher: Annotated[
        Path | None, typer.Option(help="Finished run on the same data that teaches this one.")
    ] = None
    teacher_weight: Annotated[float, typer.Option(help="Of the teacher in the loss.")] = (
        _TEACHER_WEIGHT
    )
    temperature: Annotated[
        float, typer.Option(help="Of the teacher: softmax of distances over it.")
    ] = _TEMPERATURE

    def settings(self, chip: str) -> dict[str, Any]:
        """The fields of `TrainConfig` that they are; chip: that prices a budget of energy.

        Raises:
            BadInput: values that are not allowed, or that contradict each other.
        """
        return {
            "sparsity": self._sparsity(),
            "budget": self._budget(chip),
            "penalties": self._penalties(),
            "distillation": self._distillation(),
        }

    def _sparsity(self) -> Sparsity | None:
        from neurozsl.training.economy import pruned

        budget = self.synops_budget is not None or self.energy_budget is not None
        if self.sparsity is not None and budget:
            raise BadInput(
                f"--sparsity {self.sparsity:g}: a budget finds the sparsity itself; leave one out"
            )
        if self.sparsity is None and not budget and self.shaped:
            raise BadInput(
                "--structure, --sparsity-scope: say how much, with --sparsity or a budget"
            )
        # The share is where a budget begins; it is found from there.
        return pruned(0.95 if budget else self.sparsity, self.structure, self.sparsity_scope)

    def _budget(self, chip: str) -> Budget | None:
        from neurozsl.training.economy import Budget

        if self.synops_budget is None and self.energy_budget is None:
            if chip:
                raise BadInput(f"--device {chip}: a chip prices an --energy-budget, give one")
            return None
        joules = None if self.energy_budget is None else in_joules(self.energy_budget)
        if joules is None and chip:
            raise BadInput(f"--device {chip}: a budget of SynOps needs no chip, leave it out")
        return Budget(self.synops_budget, joules, chip)

    def _penalties(self) -> Penalties | None:
        from neurozsl.training.economy import Penalties

        if self.synops_target is not None and not self.synops_loss:
            raise BadInput("--synops-target: give its weight, --synops-loss 1")
        if self.rate_target != _RATE_TARGET and not self.rate_loss:
            raise BadInput("--rate-target: give its weight, --rate-loss 1")
        if not self.rate_loss and not self.synops_loss:
            return None
        return Penalties(self.rate_loss, self.rate_target, self.synops_loss, self.synops_target)

    def _distillation(self) -> Distillation | None:
        from neurozsl.training.economy import Distillation

        if self.teacher is None:
            if (self.teacher_weight, self.temperature) != (_TEACHER_WEIGHT, _TEMPERATURE):
                raise BadInput(
                    "--teacher-weight, --temperature: say who teaches, with --teacher RUN"
                )
            return None
        return Distillation(str(self.teacher), self.teacher_weight, self.temperature)


@dataclass(frozen=True, kw_only=True)
class IntegerOptions:
    """The chip's integers."""

    qat: Annotated[
        str | None,
        typer.Option(
            help="Fine-tune the finished run --resume in a chip's integers: loihi2 (or its target, "
            "lava), of a network speck2f too; none."
        ),
    ] = None
    bits: Annotated[int | None, typer.Option(help="Weight bits of --qat, 4 to 8; default 8.")] = (
        None
    )
    scale_rule: Annotated[
        ScaleRule | None,
        typer.Option(help="Of --qat: largest weight of a layer's grid; default max."),
    ] = None

    def rounding(self) -> Rounding | None:
        """The integers that are asked for.

        Raises:
            BadInput: an unknown chip or rule, or bits without a chip.
        """
        from neurozsl.export.targets.names import chip_called
        from neurozsl.training.qat import rounding_from

        if self.qat is None:
            if self.bits is not None or self.scale_rule is not None:
                raise BadInput(
                    "--bits, --scale-rule: integers are those of --qat; give it, or leave out"
                )
            return None
        name = self.qat if self.qat == "none" else chip_called(self.qat)
        bits = 8 if self.bits is None else self.bits
        return rounding_from(name, bits, self.scale_rule or "max")


def in_joules(text: str) -> float:
    """Joules of a text such as 1.5uJ.

    Raises:
        BadInput: it is no amount of energy.

    >>> in_joules("1.5uJ"), in_joules("20 nJ"), in_joules("3e-6")
    (1.5e-06, 2e-08, 3e-06)
    """
    found = re.fullmatch(r"\s*([0-9.eE+-]+?)\s*([munpµ]?)J?\s*", text)
    try:
        assert found is not None
        return float(f"{float(found[1]) * _PREFIX[found[2]]:.12g}")
    except (AssertionError, ValueError) as error:
        raise BadInput(
            f"--energy-budget '{text}': expected joules, for example 1.5uJ, 200nJ or 1.5e-6"
        ) from error


def torch_and_chip(names: list[str] | None) -> tuple[str, str]:
    """The device of torch and the chip among the values of --device; "cpu" and "" where none is.

    Raises:
        BadInput: two of one kind.
    """
    from neurozsl.export.targets.names import chip_called
    from neurozsl.hardware.chips.chip import is_file_name

    torch, chips = [], []
    for name in names or ():
        if name == "auto" or name.partition(":")[0] in ("cpu", "cuda"):
            torch.append(name)
        else:
            other = ", cpu, cuda or auto, or a TOML file of your own"
            chips.append(name if is_file_name(name) else chip_called(name, other))
    for what, given in (("devices of torch", torch), ("chips", chips)):
        if len(given) > 1:
            raise BadInput(f"--device {', '.join(given)}: {len(given)} {what}, give one")
    return next(iter(torch), "cpu"), next(iter(chips), "")
