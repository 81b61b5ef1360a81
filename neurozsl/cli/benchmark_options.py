"""What several of the small commands behind `neurozsl benchmark` take."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.option_values import Json, listed


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """How much is trained, and where it goes."""

    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 to N-1.")] = 3
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of stage 1; default 20, with --protocol avca 50.")
    ] = None
    jobs: Annotated[int, typer.Option(help="Trainings at the same time, one thread each.")] = 1
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder; default runs/benchmark-DATA, runs/ablation-STUDY or runs/pareto-MODEL."
        ),
    ] = None
    as_json: Json = False


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
