"""`neurozsl benchmark --data DIR`: models on your data, next to published scores."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.benchmark_options import DataOptions, StudyOptions, TrainingOptions
from neurozsl.cli.console import emit, emit_json, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, parse_options, per_model
from neurozsl.core.errors import BadInput


def benchmark_models(
    *,
    of: DataOptions,
    models: Annotated[
        str, typer.Option(help="Models to compare, commas between; or all.")
    ] = "mdft",
    by: TrainingOptions,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="What runs where as Markdown.")
    ] = False,
    asked: StudyOptions,
) -> None:
    """Train every model with every seed, export the first one where targets are named."""
    from neurozsl.studies import benchmark as task
    from neurozsl.studies import deployments
    from neurozsl.studies.base import sole_writer
    from neurozsl.studies.benchmark_all import ALL, Every, every_model
    from neurozsl.training.crew import resolve_device

    assert of.data is not None  # what makes it this command
    options, protocol = per_model(of.option or []), by.protocol or "ours"
    every = Every(listed(models), {})
    if every.models == (ALL,):
        every = every_model(of.data, protocol=protocol, options=options)
    settings = task.BenchmarkSettings(
        data=of.data,
        models=every.models,
        seeds=asked.seeds,
        protocol=protocol,
        alignments=listed(by.label_alignment),  # type: ignore[arg-type]  # checked there
        epochs=asked.epochs,
        device=resolve_device(by.device),
        rules=parse_options(by.rule or [], "--rule"),
        options=options,
        left_out=every.left_out,
    )
    targets = of.names()  # an unknown one is refused before hours of training
    if markdown and (not targets or asked.as_json):
        raise BadInput("benchmark: --markdown is the table of --targets, without --json")
    out = asked.out or Path(f"runs/benchmark-{of.data.resolve().name}")
    with progress_bar("benchmark") as update:
        result = task.run(settings, out=out, on=asked.workers(), progress=update)
    placed = []
    if targets:
        with sole_writer(out), progress_bar("exporting") as update:
            placed = deployments.deploy_all(
                task.first_runs(settings, out), targets, progress=update
            )
    if asked.as_json:
        emit_json({**result, "deployments": placed} if targets else result)
        return
    if markdown:
        emit(deployments.markdown(placed, targets) + "\n")
        return
    table = task.table(result)
    show_table(table.title, table.columns, table.rows)
    for note in task.footnotes(result):
        say(note)
    if targets:
        header, *rows = deployments.table(placed, targets)
        show_table("what runs where (first seed)", header, rows)
        for line in deployments.reasons(placed):
            say(line)
    say(f"every run and {out}/benchmark.json are in {out}")
