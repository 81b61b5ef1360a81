"""`neurozsl train --resume RUN --qat CHIP`, `--sparsity S`, ...: train a finished run on."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import progress_bar, stages
from neurozsl.cli.train_options import EconomyOptions, LengthOptions, torch_and_chip
from neurozsl.cli.train_show import show
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.hardware.loihi.scales import ScaleRule


def train_on(
    *,
    resume: Annotated[
        Path | None, typer.Option(help="Run to go on with, or a finished one to train on.")
    ] = None,
    qat: Annotated[
        str | None,
        typer.Option(
            help="Fine-tune the finished run --resume in a chip's integers: loihi2 (or its target, "
            "lava), none."
        ),
    ] = None,
    threshold: Annotated[
        str, typer.Option(help="Threshold policy of --qat; one constant per layer: frozen.")
    ] = "frozen",
    bits: Annotated[
        int | None, typer.Option(help="Weight bits of --qat, 4 to 8; default 8.")
    ] = None,
    scale_rule: Annotated[
        ScaleRule | None,
        typer.Option(help="Of --qat: largest weight of a layer's grid; default max."),
    ] = None,
    length: LengthOptions,
    economy: EconomyOptions,
) -> None:
    """Make the folder of the new run, or find the one that was begun; train and score it.

    Raises:
        BadInput: the run is not finished or cannot be trained on so, or options contradict.
    """
    from neurozsl.deploy import finetune
    from neurozsl.export.targets.names import chip_called
    from neurozsl.runs import run as runs
    from neurozsl.training import crew
    from neurozsl.training.qat import rounding_from

    assert resume is not None  # what makes it this command
    if crew.by_torchrun() and crew.processes(1) > 1:
        raise BadInput("train: a finished run is trained on in one process; leave torchrun out")
    if qat is None and (bits is not None or scale_rule is not None):
        raise BadInput("--bits, --scale-rule: integers are those of --qat; give it, or leave out")
    if threshold != "frozen":
        raise BadInput(
            f"--threshold {threshold}: fine-tuning trains one constant per layer; use frozen"
        )
    check_place((length.out or resume.parent / "new") / "run.json", "run")
    torch_device, chip = torch_and_chip(length.device)
    rounding = None
    if qat is not None:
        name = qat if qat == "none" else chip_called(qat)
        rounding = rounding_from(name, 8 if bits is None else bits, scale_rule or "max")
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
            frozen=qat is not None,
            out=length.out,
            progress=stages(update),
        )
    with progress_bar("training") as update:
        run = runs.train(path, progress=every_epoch(update, path))
    show(run, path)
