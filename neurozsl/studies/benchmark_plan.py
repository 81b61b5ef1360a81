"""What a benchmark compares, and the training of every row of its table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import ZSLData
from neurozsl.data.index import Alignment
from neurozsl.studies.trainings import Job, new_run
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.published import ModelTraining, planned


@dataclass(frozen=True)
class BenchmarkSettings:
    """What is compared, on what, and how.

    options: model name -> options of that model, as in `train --set`. left_out: models that were
    asked for and cannot be compared here, with the reason.
    """

    data: Path
    models: tuple[str, ...]
    seeds: int = 3
    protocol: str = "ours"
    alignments: tuple[Alignment, ...] = ("by_name",)
    epochs: int | None = None
    device: str = "cpu"
    rules: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"benchmark: {self.seeds} seeds, expected at least 1")
        for what, chosen, known in (
            ("model", self.models, models.names()),
            ("label alignment", self.alignments, ("by_name", "legacy")),
            ("--set for model", tuple(self.options), self.models),
        ):
            unknown = [x for x in chosen if x not in known]
            if unknown or (not chosen and what != "--set for model"):
                raise BadInput(
                    f"benchmark: {what} {', '.join(unknown) or 'missing'}; choose from "
                    f"{', '.join(known)}"
                )
            if len(set(chosen)) < len(chosen):
                raise BadInput(f"benchmark: a {what} is named twice in {', '.join(chosen)}")
        for model in self.models:  # an unknown protocol or rule, or no recipe, is refused here
            self.planned(model, 0)

    def planned(self, model: str, seed: int, data: ZSLData | None = None) -> ModelTraining:
        """Options of a model, and how a run of this seed is trained; data: it is trained on."""
        return planned(
            self.protocol,
            model=model,
            data=data,
            options=self.options.get(model),
            rules=self.rules,
            epochs=self.epochs,
            seed=seed,
            device=self.device,
        )

    def train(self, seed: int) -> TrainConfig:
        """How a run of the first model and this seed is trained on any data."""
        return self.planned(self.models[0], seed).train


@dataclass(frozen=True)
class PlannedRun:
    """One training."""

    model: str
    alignment: Alignment
    seed: int
    job: Job


def plan(settings: BenchmarkSettings, out: Path) -> list[PlannedRun]:
    """All trainings, in the order of the table."""
    planned = []
    every = product(settings.models, settings.alignments, range(settings.seeds))
    for model, alignment, seed in every:
        job = new_run(
            f"{model} {alignment}, seed {seed}",
            out=out / f"{model.replace('+', 'p')}-{alignment}-seed{seed}",
            data=settings.data,
            model=model,
            seed=seed,
            protocol=settings.protocol,
            label_alignment=alignment,
            device=settings.device,
            epochs=settings.epochs,
            rules=settings.rules,
            options=settings.options.get(model),
        )
        planned.append(PlannedRun(model, alignment, seed, job))
    return planned
