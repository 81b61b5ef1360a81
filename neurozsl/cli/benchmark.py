"""`neurozsl benchmark`: studies over several seeds, one table each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, progress_bar, say, show_table


def benchmark(
    study: Annotated[
        str, typer.Option("--study", "--ablation", help="Study to run: motion, quantisation.")
    ] = "motion",
    scene_bias: Annotated[
        list[float] | None,
        typer.Option(
            help="Scene bias of the synthetic set; repeatable. Default 0 and 0.9 for motion, 0.9 "
            "for quantisation."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 to N-1.")] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of stage 1.")] = 20,
    test_size: Annotated[int, typer.Option(help="Test samples per data set.")] = 2000,
    jobs: Annotated[int, typer.Option(help="Trainings at the same time, one thread each.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; default runs/ablation-STUDY.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Train every variant of a study on the synthetic set and compare mean and spread."""
    from neurozsl import studies

    chosen = studies.find(study)
    folder = out or Path(f"runs/ablation-{study}")
    settings = studies.Settings(
        name=study,
        scene_biases=tuple(scene_bias or chosen.scene_biases),
        seeds=seeds,
        epochs=epochs,
        test_size=test_size,
    )
    with progress_bar(f"study {study}") as update:
        result = studies.run(settings, out=folder, jobs=jobs, progress=update)
    if as_json:
        emit_json(result)
        return
    for table in chosen.tables(result):
        show_table(table.title, table.columns, table.rows)
    say(f"every run and {folder}/study.json are in {folder}")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(benchmark)
