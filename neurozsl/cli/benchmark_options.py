"""What several of the small commands behind `neurozsl benchmark` take."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.option_values import Jobs, Json, Scheduler, listed
from neurozsl.cluster.tasks import Workers
from neurozsl.core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """How much is trained, and where it goes."""

    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 to N-1.")] = 3
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of stage 1; default 20, with --protocol avca 50, with --table as printed."
        ),
    ] = None
    jobs: Jobs = 1
    scheduler: Scheduler = ""
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder; default runs/benchmark-DATA, runs/tables-DATA, runs/ablation-STUDY, "
            "runs/pareto-MODEL or runs/frontier-MODEL."
        ),
    ] = None
    as_json: Json = False

    def workers(self) -> Workers:
        """Where its trainings run.

        Raises:
            BadInput: both processes and a scheduler, or too many processes.
        """
        return Workers(self.jobs, self.scheduler)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Your data, what is trained on them, and where it would run."""

    data: Annotated[Path | None, typer.Option(help="Data folder or benchmark root.")] = None
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Model option MODEL.key=value; repeatable.")
    ] = None
    targets: Annotated[
        str,
        typer.Option(
            help="Export the first seed to these targets, commas between: what runs where; with "
            "--pareto: whose integers, default lava."
        ),
    ] = ""

    def names(self) -> tuple[str, ...]:
        """The targets by their own names.

        Raises:
            BadInput: one is unknown.
        """
        from neurozsl.export.targets.names import target_called

        return tuple(target_called(name).name for name in listed(self.targets))


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """By which rules models are trained."""

    protocol: Annotated[
        str,
        typer.Option(
            help="Rules and sizes: ours, avca, or published (each model's own); default ours, with "
            "--table each row's own."
        ),
    ] = ""
    rule: Annotated[
        list[str] | None, typer.Option(help="Rule of the protocol key=value; repeatable.")
    ] = None
    label_alignment: Annotated[
        str, typer.Option(help="Class vectors: by_name, legacy, or both, commas between.")
    ] = "by_name"
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu"


@dataclass(frozen=True, kw_only=True)
class SyntheticOptions:
    """The synthetic set."""

    scene_bias: Annotated[
        list[float] | None,
        typer.Option(
            help="Scene bias of the synthetic set; repeatable. Default 0 and 0.9 for motion, 0.9 "
            "for quantisation."
        ),
    ] = None
    test_size: Annotated[
        int | None, typer.Option(help="Test samples per data set; default 2000.")
    ] = None

    def one(self, study: str, data: Path | None) -> dict[str, object]:
        """Those of a study of one bias, by the names of its settings; none where data are given.

        Raises:
            BadInput: several biases, or options of the synthetic set beside data.
        """
        if data is not None and (self.scene_bias or self.test_size is not None):
            wrong = "--scene-bias" if self.scene_bias else "--test-size"
            raise BadInput(f"{wrong}: belongs to the synthetic set; leave it or --data out")
        if len(self.scene_bias or ()) > 1:
            raise BadInput(f"benchmark --{study}: one --scene-bias, not several")
        given = {"test_size": self.test_size, "scene_bias": next(iter(self.scene_bias or ()), None)}
        return {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """One model, and how often it steps."""

    model: Annotated[str, typer.Option(help="The model.")] = "mdft"
    steps: Annotated[
        str,
        typer.Option(
            help="Time steps T, commas between. Default of --pareto: 5,10, or the steps of the "
            "data and half; of --frontier: 10, or the steps of the data."
        ),
    ] = ""

    def checked(self) -> str:
        """The model's name.

        Raises:
            BadInput: there is none of it.
        """
        from neurozsl import models

        if self.model not in models.names():
            raise BadInput(f"--model '{self.model}': choose one of {', '.join(models.names())}")
        return self.model
