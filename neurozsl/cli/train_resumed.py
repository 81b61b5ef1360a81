"""`neurozsl train --resume RUN`: go on with a run that was interrupted."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli import ending
from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import progress_bar
from neurozsl.cli.train_options import ProcessOptions
from neurozsl.cli.train_show import show


def train_resumed(
    *,
    resume: Annotated[
        Path | None, typer.Option(help="Run to go on with, or a finished one to train on.")
    ] = None,
    processes: ProcessOptions,
) -> None:
    """Train the rest and score the test splits; a finished run is shown.

    Raises:
        BadInput: there is no run, or a checkpoint of it is damaged.
    """
    from neurozsl.runs import run as runs
    from neurozsl.runs.settings import read_settings
    from neurozsl.training import crew, log

    assert resume is not None  # what makes it this command
    config = read_settings(resume).train
    log.read(resume)  # the bar reads it; a damaged one is refused before
    if crew.processes(processes.devices) > 1:
        ending.at_once()
    at_work = crew.start(config, devices=processes.devices, strategy=processes.strategy)  # type: ignore[arg-type]  # checked there
    if at_work.team.rank > 0:
        runs.train(resume, crew=at_work)
        return
    with progress_bar("training") as update:
        run = runs.train(resume, progress=every_epoch(update, resume), crew=at_work)
    show(run, resume)
