"""`neurozsl train`: two-stage training of a model into a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli.console import next_commands, progress_bar, say, show_table
from neurozsl.errors import BadInput


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """Read `key=value` pairs; values are JSON where they parse as JSON, text otherwise.

    >>> parse_options(["heads=4", "gate=tokens", "motion=false", "motion_widths=[128,64]"])
    {'heads': 4, 'gate': 'tokens', 'motion': False, 'motion_widths': [128, 64]}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise BadInput(f"--set '{pair}': expected key=value, for example --set motion=false")
        try:
            options[key] = json.loads(text)
        except json.JSONDecodeError:
            options[key] = text
    return options


def train(
    data: Annotated[Path | None, typer.Option(help="Data folder (`neurozsl data`).")] = None,
    model: Annotated[str, typer.Option(help="Model name.")] = "mdft",
    out: Annotated[Path | None, typer.Option(help="Run folder to create.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and dropout.")] = 0,
    preset: Annotated[str, typer.Option(help="Preset of the model: deploy or paper.")] = "deploy",
    epochs: Annotated[int, typer.Option(help="Epochs of stage 1.")] = 20,
    batch: Annotated[int, typer.Option(help="Samples per batch.")] = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-3,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Model option key=value; repeatable.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue this run; all other options come from it.")
    ] = None,
) -> None:
    """Train a model in two stages and score it on the test splits."""
    if resume is None and (data is None or out is None):
        raise BadInput("train: give --data and --out for a new run, or --resume RUN")

    from neurozsl import runs
    from neurozsl.training import TrainConfig, resolve_device

    if resume is None:
        assert data is not None and out is not None
        runs.create(
            out,
            data_dir=data,
            model=model,
            options={"preset": preset, **parse_options(option or [])},
            train=TrainConfig(
                epochs=epochs,
                batch=batch,
                lr=lr,
                seed=seed,
                device=resolve_device(device),
                threads=threads,
            ),
        )
    path = resume if resume is not None else out
    assert path is not None
    with progress_bar("training") as update:
        run = runs.train(path, progress=update)
    test = run.result["test"]
    say(
        f"stage 1 chose {run.selected.epochs} epochs, beta {run.selected.beta:.1f}, motion head "
        f"weight {run.selected.head_weight} (validation HM {run.selected.val_hm:.1f})"
    )
    for warning in run.result["warnings"]:
        say(f"warning: {warning}")
    show_table(
        f"{run.settings.model} on {run.data.name}, {test['samples']} test samples, percent",
        ("", "S", "U", "HM", "ZSL"),
        [("test", *(f"{test[k]:.2f}" for k in ("S", "U", "HM", "ZSL")))],
    )
    next_commands(f"neurozsl evaluate {path}", f"neurozsl export {path} --target lava")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(train)
