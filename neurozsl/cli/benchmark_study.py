"""`neurozsl benchmark`: a study on the synthetic set, every variant of one model."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.benchmark_options import StudyOptions, SyntheticOptions
from neurozsl.cli.console import emit_json, progress_bar, say, show_table


def benchmark_study(
    *,
    study: Annotated[
        str,
        typer.Option(
            "--study",
            "--ablation",
            help="A study by its name (`studies.STUDIES`): motion, quantisation, ...",
            show_default=False,
        ),
    ] = "motion",
    of: SyntheticOptions,
    asked: StudyOptions,
) -> None:
    """Train all variants of the study and compare them."""
    from neurozsl import studies

    chosen = studies.find(study)
    folder = asked.out or Path(f"runs/ablation-{study}")
    settings = studies.StudySettings(
        name=study,
        scene_biases=tuple(of.scene_bias or chosen.scene_biases),
        seeds=asked.seeds,
        epochs=20 if asked.epochs is None else asked.epochs,
        test_size=2000 if of.test_size is None else of.test_size,
    )
    with progress_bar(f"study {study}") as update:
        result = studies.run(settings, out=folder, on=asked.workers(), progress=update)
    if asked.as_json:
        emit_json(result)
        return
    for table in chosen.tables(result):
        show_table(table.title, table.columns, table.rows)
    say(f"every run and {folder}/study.json are in {folder}")
