"""`neurozsl benchmark`: models on your data (`--data`), or a study on the synthetic set.

With --pareto: HM against energy of one model over weight bits, steps and thresholds, on either.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.cli import benchmark_pareto
from neurozsl.cli.benchmark_pareto import Asked
from neurozsl.cli.console import emit, emit_json, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, parse_options, per_model
from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.studies.benchmark import BenchmarkSettings

_DATA, _STUDY = "Models on your data", "A study on the synthetic set"
_PARETO = "HM against energy, on your data or on the synthetic set"


def benchmark(
    data: Annotated[
        Path | None, typer.Option(help="Data folder or benchmark root.", rich_help_panel=_DATA)
    ] = None,
    models: Annotated[
        str,
        typer.Option(help="Models to compare, commas between.", rich_help_panel=_DATA),
    ] = "",
    protocol: Annotated[
        str, typer.Option(help="Rules and sizes: ours or avca.", rich_help_panel=_DATA)
    ] = "",
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Rule of the protocol key=value; repeatable.", rich_help_panel=_DATA),
    ] = None,
    label_alignment: Annotated[
        str,
        typer.Option(
            help="Class vectors: by_name, legacy, or both, commas between.", rich_help_panel=_DATA
        ),
    ] = "",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Model option MODEL.key=value; repeatable.", rich_help_panel=_DATA
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto; default cpu.", rich_help_panel=_DATA)
    ] = "",
    targets: Annotated[
        str,
        typer.Option(
            help="Export the first seed to these targets, commas between: what runs where; with "
            "--pareto: whose integers, default lava.",
            rich_help_panel=_DATA,
        ),
    ] = "",
    as_markdown: Annotated[
        bool,
        typer.Option("--markdown", help="What runs where as Markdown.", rich_help_panel=_DATA),
    ] = False,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            "--ablation",
            help="motion (default without --data) or quantisation.",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    scene_bias: Annotated[
        list[float] | None,
        typer.Option(
            help="Scene bias of the synthetic set; repeatable. Default 0 and 0.9 for motion, 0.9 "
            "for quantisation.",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    test_size: Annotated[
        int | None,
        typer.Option(
            help="Test samples per data set; default 2000.",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="One model over weight bits, steps and threshold policies: HM against energy.",
            rich_help_panel=_PARETO,
        ),
    ] = False,
    model: Annotated[
        str, typer.Option(help="The model; default mdft.", rich_help_panel=_PARETO)
    ] = "",
    steps: Annotated[
        str,
        typer.Option(
            help="Time steps T, commas between; default 5,10, or the steps of the data and half.",
            rich_help_panel=_PARETO,
        ),
    ] = "",
    bits: Annotated[
        str,
        typer.Option(help="Weight bits, commas between; default 4,6,8.", rich_help_panel=_PARETO),
    ] = "",
    policies: Annotated[
        str,
        typer.Option(
            help="Threshold policies, commas between; default dynamic,table,frozen.",
            rich_help_panel=_PARETO,
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 to N-1.")] = 3,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of stage 1; default 20, with --protocol avca 50."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Trainings at the same time, one thread each.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder; default runs/benchmark-DATA, runs/ablation-STUDY or runs/pareto-MODEL."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Train and compare over several seeds: mean and spread in one table.

    With --data: every model of --models on that data set, next to published scores. Without: a
    study, every variant of one model on the synthetic set. With --pareto: one model, trained once
    per T and seed, deployed with every number of bits and every threshold policy, in the integers
    of --targets (default lava). Finished runs are never trained again.
    """
    of_pareto = {"--model": model, "--steps": steps, "--bits": bits, "--policies": policies}
    if pareto:
        wrong: dict[str, Any] = {
            "--models": models,
            "--protocol": protocol,
            "--rule": rule,
            "--label-alignment": label_alignment,
            "--device": device,
            "--markdown": as_markdown,
            "--study": study,
        }
        _refuse(wrong, "does not go with --pareto")
        if data is not None:
            wrong = {"--scene-bias": scene_bias, "--test-size": test_size}
            _refuse(wrong, "belongs to the synthetic set; leave it or --data out")
        benchmark_pareto.pareto(
            Asked(model or "mdft", steps, bits, policies, targets, option or [], scene_bias),
            data=data,
            seeds=seeds,
            epochs=epochs,
            test_size=test_size,
            jobs=jobs,
            out=out,
            as_json=as_json,
        )
        return
    _refuse(of_pareto, "needs --pareto")
    if data is None:
        wrong = {
            "--models": models,
            "--protocol": protocol,
            "--rule": rule,
            "--label-alignment": label_alignment,
            "--set": option,
            "--device": device,
            "--targets": targets,
            "--markdown": as_markdown,
        }
        _refuse(wrong, "needs --data DIR; a study has its own models and data")
        _study(study or "motion", scene_bias, seeds, epochs, test_size, jobs, out, as_json)
        return
    wrong = {"--study": study, "--scene-bias": scene_bias, "--test-size": test_size}
    _refuse(wrong, "belongs to a study on the synthetic set; leave it or --data out")
    from neurozsl.studies import benchmark as task
    from neurozsl.training.train import resolve_device

    settings = task.BenchmarkSettings(
        data=data,
        models=listed(models or "mdft"),
        seeds=seeds,
        protocol=protocol or "ours",
        alignments=listed(label_alignment or "by_name"),  # type: ignore[arg-type]  # checked there
        epochs=epochs,
        device=resolve_device(device or "cpu"),
        rules=parse_options(rule or [], "--rule"),
        options=per_model(option or []),
    )
    if as_markdown and (not targets or as_json):
        raise BadInput("benchmark: --markdown is the table of --targets, without --json")
    folder = out or Path(f"runs/benchmark-{data.resolve().name}")
    _compare(settings, folder, jobs, listed(targets), as_json, as_markdown)


def _compare(
    settings: BenchmarkSettings,
    out: Path,
    jobs: int,
    targets: tuple[str, ...],
    as_json: bool,
    as_markdown: bool,
) -> None:
    from neurozsl.export.targets import target as find_target
    from neurozsl.studies import benchmark as task
    from neurozsl.studies import deployments

    for name in targets:  # an unknown one is refused before hours of training
        find_target(name)
    with progress_bar("benchmark") as update:
        result = task.run(settings, out=out, jobs=jobs, progress=update)
    placed = []
    if targets:
        with progress_bar("exporting") as update:
            placed = deployments.deploy_all(
                task.first_runs(settings, out), targets, progress=update
            )
    if as_json:
        emit_json({**result, "deployments": placed} if targets else result)
        return
    if as_markdown:
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


def _study(
    name: str,
    scene_bias: list[float] | None,
    seeds: int,
    epochs: int | None,
    test_size: int | None,
    jobs: int,
    out: Path | None,
    as_json: bool,
) -> None:
    from neurozsl import studies

    chosen = studies.find(name)
    folder = out or Path(f"runs/ablation-{name}")
    settings = studies.StudySettings(
        name=name,
        scene_biases=tuple(scene_bias or chosen.scene_biases),
        seeds=seeds,
        epochs=20 if epochs is None else epochs,
        test_size=2000 if test_size is None else test_size,
    )
    with progress_bar(f"study {name}") as update:
        result = studies.run(settings, out=folder, jobs=jobs, progress=update)
    if as_json:
        emit_json(result)
        return
    for table in chosen.tables(result):
        show_table(table.title, table.columns, table.rows)
    say(f"every run and {folder}/study.json are in {folder}")


def _refuse(options: dict[str, Any], why: str) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise BadInput(f"benchmark: {', '.join(given)} {why}")
