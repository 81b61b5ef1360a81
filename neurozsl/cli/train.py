"""`neurozsl train`: two-stage training of a model into a run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.cli import ending
from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import next_commands, progress_bar, say, show_table, stages
from neurozsl.cli.option_values import parse_options
from neurozsl.core.errors import BadInput
from neurozsl.hardware.loihi.scales import ScaleRule

if TYPE_CHECKING:
    from neurozsl.runs.run import Run


def train(
    data: Annotated[Path | None, typer.Option(help="Data folder (`neurozsl data`).")] = None,
    model: Annotated[str, typer.Option(help="Model name.")] = "mdft",
    out: Annotated[Path | None, typer.Option(help="Run folder to create.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and dropout.")] = 0,
    preset: Annotated[
        str, typer.Option(help="Preset of the model: deploy or paper (mdft), ucf_main, ... (avca).")
    ] = "",
    motion_profile: Annotated[
        str, typer.Option(help="Motion branch for a chip: speck (no leak, nine cores).")
    ] = "",
    protocol: Annotated[
        str, typer.Option(help="Rules and sizes: ours, or avca (the public code's).")
    ] = "ours",
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Rule of the protocol key=value; repeatable (sampler=weighted)."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of stage 1 (default 20; avca 50), or of --qat (default 5)."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Samples per batch, of all processes together; default 64; avca 256."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate; default 3e-3; avca and --qat 1e-3.")
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
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    devices: Annotated[
        int, typer.Option(help="Processes on this machine (torchrun's number wins).")
    ] = 1,
    strategy: Annotated[
        str, typer.Option(help="How processes share a batch: ddp (auto is the same).")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="32, 64 or bf16-mixed.")] = "32",
    dropout: Annotated[
        str | None,
        typer.Option(help="Masks: torch, or counter (the same for any number of processes)."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Model option key=value; repeatable.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue this run; all other options come from it.")
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
    bits: Annotated[int, typer.Option(help="Weight bits of --qat, 4 to 8.")] = 8,
    scale_rule: Annotated[
        ScaleRule, typer.Option(help="Of --qat: largest weight of a layer's grid.")
    ] = "max",
) -> None:
    """Train a model in two stages and score it on the test splits.

    With --resume RUN --qat CHIP: fine-tune RUN into RUN-qatBITS (or --out), its branch in the
    integers of the chip; with --qat none in float, as a control.

    With --devices N --strategy ddp, or started by torchrun on one or several machines that share
    the folder --out: N processes train one model, to the scores of one process up to rounding.
    """
    if resume is None and (data is None or out is None):
        raise BadInput("train: give --data and --out for a new run, or --resume RUN")
    if qat is not None and resume is None:
        raise BadInput("train: --qat fine-tunes a finished run; give it with --resume RUN")

    from neurozsl.parallel.team import first_does
    from neurozsl.runs import run as runs
    from neurozsl.runs.settings import read_settings
    from neurozsl.training import crew
    from neurozsl.training.crew import resolve_device
    from neurozsl.training.protocol import train_config

    path = resume if resume is not None else out
    if qat is not None:
        assert resume is not None
        if crew.processes(devices) > 1:
            raise BadInput("train: --qat runs in one process; leave --devices and torchrun out")
        path = _fine_tuned(resume, qat, threshold, bits, scale_rule, epochs, lr, device, out)
    assert path is not None
    if resume is not None:
        config = read_settings(path).train
    else:
        config = train_config(
            protocol,
            rules=parse_options(rule or [], "--rule"),
            epochs=epochs,
            batch=batch,
            lr=lr,
            clip=clip,
            seed=seed,
            device=resolve_device(device),
            threads=threads,
            precision=precision,
            dropout=dropout or ("counter" if crew.processes(devices) > 1 else "torch"),
        )
    if crew.processes(devices) > 1:
        ending.at_once()
    at_work = crew.start(config, devices=devices, strategy=strategy)  # type: ignore[arg-type]  # checked there
    if resume is None:
        assert data is not None
        options = {
            **({"preset": preset} if preset else {}),
            **({"motion_profile": motion_profile} if motion_profile else {}),
            **parse_options(option or []),
        }
        first_does(
            at_work.team,
            lambda: runs.create(
                path,
                data_dir=data,
                model=model,
                options=options,
                train=config,
                label_alignment=label_alignment,  # type: ignore[arg-type]  # checked by the reader
                feature_name=features,  # type: ignore[arg-type]
            ),
        )
    if at_work.team.rank > 0:
        runs.train(path, crew=at_work)
        return
    with progress_bar("training") as update:
        run = runs.train(path, progress=every_epoch(update, path), crew=at_work)
    _show(run, path)


def _fine_tuned(
    parent: Path,
    chip: str,
    threshold: str,
    bits: int,
    scale: ScaleRule,
    epochs: int | None,
    lr: float | None,
    device: str,
    out: Path | None,
) -> Path:
    """Make the folder of a fine-tuning, or find the one that was begun."""
    from dataclasses import replace

    from neurozsl.deploy import finetune
    from neurozsl.export.targets.names import chip_called
    from neurozsl.runs import run as runs
    from neurozsl.training.crew import resolve_device
    from neurozsl.training.qat import rounding_from

    if threshold != "frozen":
        raise BadInput(
            f"--threshold {threshold}: fine-tuning trains one constant per layer; use frozen"
        )
    opened = runs.open_run(parent)
    train = replace(
        opened.settings.train,
        epochs=finetune.EPOCHS if epochs is None else epochs,
        lr=finetune.LR if lr is None else lr,
        device=resolve_device(device),
    )
    rounding = rounding_from(chip if chip == "none" else chip_called(chip), bits, scale)
    with progress_bar("scoring before") as update:
        return finetune.create(
            opened, rounding=rounding, train=train, out=out, progress=stages(update)
        )


def _show(run: Run, path: Path) -> None:
    """What was chosen, and the scores."""
    from neurozsl.export.targets import TARGETS
    from neurozsl.models.base import branch_of

    test = run.result["test"]
    rows = [*((step["step"], step) for step in run.result.get("before", ())), ("test", test)]
    say(
        f"stage 1 chose {run.selected.epochs} epochs, beta {run.selected.beta:.1f}, motion head "
        f"weight {run.selected.head_weight} (validation HM {run.selected.val_hm:.1f})"
    )
    for warning in run.result["warnings"]:
        say(f"warning: {warning}")
    show_table(
        f"{run.settings.model} on {run.data.name}, {test['samples']} test samples, percent",
        ("", "S", "U", "HM", "ZSL"),
        [(name, *(f"{row[k]:.2f}" for k in ("S", "U", "HM", "ZSL"))) for name, row in rows],
    )
    say(f"peak memory of this process: {peak_memory() / 1e6:,.0f} MB")
    if branch_of(run.model) is None:  # nothing to export
        next_commands(f"neurozsl evaluate {path}", f"neurozsl profile {path}")
        return
    profile = run.settings.options.get("motion_profile", "")
    target = profile if profile in TARGETS else "lava"
    next_commands(f"neurozsl evaluate {path}", f"neurozsl export {path} --target {target}")


def peak_memory() -> int:
    """Bytes that this process held at most, shared libraries included; 0 where it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(largest * (1 if sys.platform == "darwin" else 1024))
