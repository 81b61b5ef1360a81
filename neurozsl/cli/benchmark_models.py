"""`neurozsl benchmark --data DIR`: models on your data, next to published scores."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.benchmark_options import DataOptions, StudyOptions
from neurozsl.cli.console import emit, emit_json, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, parse_options, per_model
from neurozsl.core.errors import BadInput


def benchmark_models(
    *,
    of: DataOptions,
    models: Annotated[str, typer.Option(help="Models to compare, commas between.")] = "mdft",
    protocol: Annotated[
        str, typer.Option(help="Rules and sizes: ours, avca, or published (each model's own).")
    ] = "ours",
    rule: Annotated[
        list[str] | None, typer.Option(help="Rule of the protocol key=value; repeatable.")
    ] = None,
    label_alignment: Annotated[
        str, typer.Option(help="Class vectors: by_name, legacy, or both, commas between.")
    ] = "by_name",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="What runs where as Markdown.")
    ] = False,
    asked: StudyOptions,
) -> None:
    """Train every model with every seed, export the first one where targets are named."""
    from neurozsl.studies import benchmark as task
    from neurozsl.studies import deployments
    from neurozsl.studies.base import sole_writer
    from neurozsl.training.crew import resolve_device

    assert of.data is not None  # what makes it this command
    settings = task.BenchmarkSettings(
        data=of.data,
        models=listed(models),
        seeds=asked.seeds,
        protocol=protocol,
        alignments=listed(label_alignment),  # type: ignore[arg-type]  # checked there
        epochs=asked.epochs,
        device=resolve_device(device),
        rules=parse_options(rule or [], "--rule"),
        options=per_model(of.option or []),
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
