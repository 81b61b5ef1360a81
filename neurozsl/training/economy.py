"""What a training may be asked beside accuracy: zeros, a budget, few spikes, a teacher.

Values of `TrainConfig` alone, without torch; `sparsity`, `budget`, `penalties` and `teacher` beside
this file say what each does.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from neurozsl.core import quantities as q
from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import find_chip

Structure = Literal["weights", "inputs", "neurons"]
Scope = Literal["layer", "erk", "global"]


@dataclass(frozen=True)
class Sparsity:
    """How a branch is pruned, see `training.sparsity`.

    density: share of the weights (inputs, neurons) that is kept at the end of a stage, 0..1.
    start, end: shares of the steps of a stage between which it falls to that.
    """

    density: float = 0.05
    structure: Structure = "weights"
    scope: Scope = "layer"
    start: float = 0.1
    end: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.density <= 1:
            raise BadInput(
                f"sparsity: a density of {self.density:g} is kept, expected more than 0 and at "
                "most 1 (--sparsity below 1)"
            )
        for what, value, allowed in (
            ("structure", self.structure, get_args(Structure)),
            ("scope", self.scope, get_args(Scope)),
        ):
            if value not in allowed:
                raise BadInput(f"sparsity: {what}={value!r}, expected one of {', '.join(allowed)}")
        if not 0 <= self.start < self.end < 1:
            raise BadInput(
                f"sparsity: start={self.start:g}, end={self.end:g}; expected shares of the steps, "
                "0 <= start < end < 1"
            )

    def at(self, done: float, density: float | None = None) -> float:
        """The density when this share of the steps of a stage is done.

        density: the final one, where a budget steers it.

        >>> [round(Sparsity(0.1).at(p), 4) for p in (0.0, 0.1, 0.4, 0.7, 1.0)]
        [1.0, 1.0, 0.2125, 0.1, 0.1]
        """
        final = self.density if density is None else density
        if done >= self.end:
            return final
        left = 1 - max(0.0, done - self.start) / (self.end - self.start)
        return final + (1 - final) * left**3


def pruned(
    sparsity: float | None, structure: str = "weights", scope: str = "layer"
) -> Sparsity | None:
    """The pruning that is named on a command line: a share of zeros; None: nothing is pruned.

    Raises:
        BadInput: the share, the structure or the scope is not allowed.

    >>> pruned(0.9).density
    0.1
    """
    if sparsity is None:
        return None
    if not 0 <= sparsity < 1:
        raise BadInput(
            f"sparsity {sparsity:g}: expected the share of zeros, at least 0 and below 1 (0.95 "
            "keeps 5 %)"
        )
    return Sparsity(round(1 - sparsity, 12), cast(Structure, structure), cast(Scope, scope))


@dataclass(frozen=True)
class Budget:
    """What an inference may cost: synaptic operations, or joules on a chip (`training.budget`)."""

    synops: float | None = None
    joules: float | None = None
    device: str = ""

    def __post_init__(self) -> None:
        if (self.synops is None) == (self.joules is None):
            raise BadInput("budget: give SynOps or joules, one of the two")
        if not 0 < self.limit < float("inf"):
            raise BadInput(f"budget: {self.limit:g} {self.unit}, expected a number above 0")
        if self.joules is not None and not self.device:
            raise BadInput(
                "budget: joules need the chip whose figures price the operations; add --device "
                "loihi1 (or another chip, or a file of your own)"
            )
        if self.joules is not None and not find_chip(self.device).energy_methods:
            raise BadInput(
                f"budget: '{self.device}' has no published energy per operation; take loihi1, or "
                "a file of your own"
            )

    @property
    def limit(self) -> float:
        """The number that is kept."""
        value = self.synops if self.joules is None else self.joules
        assert value is not None
        return value

    @property
    def unit(self) -> str:
        """Of the number."""
        return "SynOps" if self.joules is None else "J"

    def said(self, value: float) -> str:
        """A cost for people.

        >>> Budget(synops=40000.0).said(41234.4)
        '41,234 SynOps'
        """
        return f"{q.count(value)} SynOps" if self.joules is None else q.si(value, "J")


@dataclass(frozen=True)
class Penalties:
    """Weights of the terms of `training.penalties` (0 leaves one out), and what they pull to.

    rate_target: spikes per neuron and step. synops_target: operations per inference.
    """

    rate: float = 0.0
    rate_target: float = 0.05
    synops: float = 0.0
    synops_target: float | None = None

    def __post_init__(self) -> None:
        for name in ("rate", "synops"):
            if not 0 <= getattr(self, name) < 1e6:
                raise BadInput(
                    f"{name} loss: a weight of {getattr(self, name):g}, expected 0 or more"
                )
        if not 0 <= self.rate_target <= 1:
            raise BadInput(f"rate loss: a target of {self.rate_target:g}, expected a share 0..1")
        if self.synops_target is not None and not self.synops_target > 0:
            raise BadInput(
                f"SynOps loss: a target of {self.synops_target:g}, expected operations above 0"
            )


@dataclass(frozen=True)
class Distillation:
    """A run that teaches this one, see `training.teacher`.

    teacher: its folder, relative to that of the student. temperature: tau.
    """

    teacher: str
    weight: float = 1.0
    temperature: float = 0.5

    def __post_init__(self) -> None:
        for name in ("weight", "temperature"):
            if not 0 < getattr(self, name) < 1e6:
                raise BadInput(
                    f"teacher: {name} {getattr(self, name):g}, expected a number above 0"
                )
