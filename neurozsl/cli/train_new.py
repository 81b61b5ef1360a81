"""`neurozsl train --data DIR --out RUN`: a new model, in two stages."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli import ending
from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import progress_bar
from neurozsl.cli.option_values import parse_options
from neurozsl.cli.train_options import EconomyOptions, LengthOptions, ProcessOptions, torch_and_chip
from neurozsl.cli.train_show import show
from neurozsl.core.places import check_place


def train_new(
    *,
    data: Annotated[Path | None, typer.Option(help="Data folder (`neurozsl data`).")] = None,
    model: Annotated[str, typer.Option(help="Model name.")] = "mdft",
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and dropout.")] = 0,
    preset: Annotated[
        str,
        typer.Option(
            help="Preset of the model: deploy, sparse, paper, paper-wide; ucf_main (avca, tcaf)."
        ),
    ] = "",
    motion: Annotated[
        str,
        typer.Option(
            help="What moves: feature (changes of features), or pixel (mdft: convolutions on ON "
            "and OFF frames of the set's pixel events)."
        ),
    ] = "",
    motion_profile: Annotated[
        str, typer.Option(help="Motion branch for a chip: speck (no leak, nine cores).")
    ] = "",
    protocol: Annotated[
        str,
        typer.Option(
            help="Rules and sizes: ours, avca (the benchmark's), or published (the model's own)."
        ),
    ] = "ours",
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Rule of the protocol key=value; repeatable (sampler=weighted)."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Samples per batch, of all processes together; default 64; avca 256."),
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="Bound of the gradient norm, 0: none; default 5; avca 0.")
    ] = None,
    label_alignment: Annotated[
        str, typer.Option(help="Benchmark data: by_name, or legacy (vectors as published).")
    ] = "by_name",
    features: Annotated[
        str | None, typer.Option(help="Benchmark data: main or cls, where both are there.")
    ] = None,
    processes: ProcessOptions,
    precision: Annotated[str, typer.Option(help="32, 64 or bf16-mixed.")] = "32",
    dropout: Annotated[
        str | None,
        typer.Option(help="Masks: torch, or counter (the same for any number of processes)."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Model option key=value; repeatable.")
    ] = None,
    length: LengthOptions,
    economy: EconomyOptions,
) -> None:
    """Make the folder, train both stages, score the test splits.

    Raises:
        BadInput: an option is not allowed, the data cannot be read, or the folder holds a run.
    """
    from neurozsl.data.sets.load import load
    from neurozsl.models.profiles import motion_options
    from neurozsl.parallel.team import first_does
    from neurozsl.runs import run as runs
    from neurozsl.training import crew
    from neurozsl.training.protocol import PUBLISHED
    from neurozsl.training.published import planned

    out = length.out
    assert data is not None and out is not None  # what makes it this command
    check_place(out / "run.json", "run")
    torch_device, chip = torch_and_chip(length.device)
    several = crew.processes(processes.devices) > 1
    read_as: Any = {"label_alignment": label_alignment, "feature_name": features}
    options, config = planned(
        protocol,
        model=model,
        data=load(data, **read_as) if protocol == PUBLISHED else None,
        options={
            **({"preset": preset} if preset else {}),
            **motion_options(motion, model),
            **({"motion_profile": motion_profile} if motion_profile else {}),
            **parse_options(option or []),
        },
        rules=parse_options(rule or [], "--rule"),
        epochs=length.epochs,
        batch=batch,
        lr=length.lr,
        clip=clip,
        seed=seed,
        device=crew.resolve_device(torch_device),
        threads=threads,
        precision=precision,
        dropout=dropout or ("counter" if several else "torch"),
        **economy.settings(chip),
    )
    if several:
        ending.at_once()
    at_work = crew.start(config, devices=processes.devices, strategy=processes.strategy)  # type: ignore[arg-type]  # checked there
    first_does(
        at_work.team,
        lambda: runs.create(
            out,
            data_dir=data,
            model=model,
            options=options,
            train=config,
            **read_as,  # checked by the reader
        ),
    )
    if at_work.team.rank > 0:
        runs.train(out, crew=at_work)
        return
    with progress_bar("training") as update:
        run = runs.train(out, progress=every_epoch(update, out), crew=at_work)
    show(run, out)
