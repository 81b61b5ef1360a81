"""What the Pareto study is asked for, and the trainings that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, get_args

from neurozsl.core.errors import BadInput
from neurozsl.export.bundle.policy import Wanted
from neurozsl.export.targets import target as find_target
from neurozsl.studies.trainings import Job

Policy = Literal["dynamic", "table", "frozen"]
# Models whose thresholds can follow the sample are trained so, or no policy could be chosen.
_FOLLOWING: Final = ("mdft", "mdst", "mdst++")


@dataclass(frozen=True)
class ParetoSettings:
    """What is trained and what is made of it.

    data: folder; None makes the synthetic set with `scene_bias` and `test_size`, one for each seed.
    steps: empty takes 5 and 10, of data with a time axis its own steps and half of them.
    options: of the model, as in `train --set`.
    """

    model: str = "mdft"
    data: Path | None = None
    steps: tuple[int, ...] = ()
    bits: tuple[int, ...] = (4, 6, 8)
    policies: tuple[Wanted, ...] = get_args(Policy)
    targets: tuple[str, ...] = ("lava",)
    seeds: int = 3
    epochs: int | None = None
    scene_bias: float = 0.9
    test_size: int = 2000
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"pareto: {self.seeds} seeds, expected at least 1")
        for what, chosen in (
            ("bits", self.bits),
            ("policies", self.policies),
            ("targets", self.targets),
            ("steps", self.steps),
        ):
            if len(set(chosen)) < len(chosen) or (not chosen and what != "steps"):
                found = ", ".join(map(str, chosen)) or "none"
                raise BadInput(f"pareto: {what} {found}; name each once, and at least one")
        unknown = [x for x in self.policies if x not in get_args(Policy)]
        if unknown:
            raise BadInput(
                f"pareto: policy {', '.join(unknown)}; choose from {', '.join(get_args(Policy))}"
            )
        for name in self.targets:
            if "fixed" not in find_target(name).fidelity:
                raise BadInput(f"pareto: target '{name}' has no integers; choose lava or speck")

    @property
    def trained_options(self) -> dict[str, Any]:
        """Options of the trained model."""
        following = {"threshold": "dynamic"} if self.model in _FOLLOWING else {}
        return {**following, **self.options}

    def deployments(self) -> list[tuple[str, str, int]]:
        """(target, policy, bits) of every point of one run, in the order of the table."""
        return list(product(self.targets, self.policies, self.bits))


@dataclass(frozen=True)
class PlannedPoint:
    """One training."""

    steps: int
    seed: int
    job: Job
