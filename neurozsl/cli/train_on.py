"""`neurozsl train --resume RUN --qat CHIP`, `--sparsity S`, ...: train a finished run on."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import progress_bar, stages
from neurozsl.cli.train_options import EconomyOptions, IntegerOptions, LengthOptions, torch_and_chip
from neurozsl.cli.train_show import show
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place


def train_on(
    *,
    resume: Annotated[
        Path | None, typer.Option(help="Run to go on with, or a finished one to train on.")
    ] = None,
    threshold: Annotated[
        str, typer.Option(help="Threshold policy of --qat; one constant per layer: frozen.")
    ] = "frozen",
    integers: IntegerOptions,
    length: LengthOptions,
    economy: EconomyOptions,
) -> None:
    """Make the folder of the new run, or find the one that was begun; train and score it.

    Raises:
        BadInput: the run is not finished or cannot be trained on so, or options contradict.
    """
    from neurozsl.deploy import finetune
    from neurozsl.runs import run as runs
    from neurozsl.training import crew

    assert resume is not None  # what makes it this command
    if crew.by_torchrun() and crew.processes(1) > 1:
        raise BadInput("train: a finished run is trained on in one process; leave torchrun out")
    if threshold != "frozen":
        raise BadInput(
            f"--threshold {threshold}: fine-tuning trains one constant per layer; use frozen"
        )
    check_place((length.out or resume.parent / "new") / "run.json", "run")
    torch_device, chip = torch_and_chip(length.device)
    rounding = integers.rounding()
    opened = runs.open_run(resume)
    asked = economy.settings(chip)
    pruned = asked["sparsity"] is not None or asked["budget"] is not None
    usual = finetune.PRUNING_EPOCHS if pruned else finetune.EPOCHS
    train = replace(
        opened.settings.train,
        epochs=usual if length.epochs is None else length.epochs,
        lr=finetune.LR if length.lr is None else length.lr,
        device=crew.resolve_device(torch_device),
        **asked,
    )
    with progress_bar("scoring before") as update:
        path = finetune.create(
            opened,
            rounding=rounding,
            train=train,
            frozen=integers.qat is not None,
            out=length.out,
            progress=stages(update),
        )
    with progress_bar("training") as update:
        run = runs.train(path, progress=every_epoch(update, path))
    show(run, path)
