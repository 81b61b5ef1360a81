"""`neurozsl benchmark --pareto`: HM against energy of one model; one table, one plot, one JSON."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli.benchmark_options import DataOptions, StudyOptions, SyntheticOptions
from neurozsl.cli.console import command, emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, numbers, per_model
from neurozsl.core.errors import BadInput


def benchmark_pareto(
    *,
    of: DataOptions,
    on: SyntheticOptions,
    model: Annotated[str, typer.Option(help="The model.")] = "mdft",
    steps: Annotated[
        str,
        typer.Option(
            help="Time steps T, commas between; default 5,10, or the steps of the data and half."
        ),
    ] = "",
    bits: Annotated[str, typer.Option(help="Weight bits, commas between; default 4,6,8.")] = "",
    policies: Annotated[
        str, typer.Option(help="Threshold policies, commas between; default dynamic,table,frozen.")
    ] = "",
    asked: StudyOptions,
) -> None:
    """Run the study, write its figure, print its table.

    Raises:
        BadInput: an option does not fit the others, or no point can be made.
    """
    from neurozsl import models
    from neurozsl.studies import pareto as study

    if of.data is not None and (on.scene_bias or on.test_size is not None):
        wrong = "--scene-bias" if on.scene_bias else "--test-size"
        raise BadInput(f"{wrong}: belongs to the synthetic set; leave it or --data out")
    if model not in models.names():
        raise BadInput(f"--model '{model}': choose one of {', '.join(models.names())}")
    if len(on.scene_bias or ()) > 1:
        raise BadInput("benchmark --pareto: one --scene-bias, not several")
    options = per_model(of.option or [])
    other = sorted(set(options) - {model})
    if other:
        raise BadInput(f"--set {other[0]}.*: the model is {model}")
    given: dict[str, Any] = {
        "steps": numbers("--steps", steps),
        "bits": numbers("--bits", bits),
        "policies": listed(policies),
        "targets": of.names(),
        "scene_bias": next(iter(on.scene_bias or ()), None),
        "test_size": on.test_size,
    }
    settings = study.ParetoSettings(
        model=model,
        data=of.data,
        seeds=asked.seeds,
        epochs=asked.epochs,
        options=options.get(model, {}),
        **{key: value for key, value in given.items() if value not in ((), None)},
    )
    folder = asked.out or Path(f"runs/pareto-{model.replace('+', 'p')}")
    with progress_bar("pareto") as update:
        result = study.run(settings, out=folder, jobs=asked.jobs, progress=update)
    if not result["points"]:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in result["refused"]))
        raise BadInput(f"benchmark --pareto: no point can be made: {reasons}")
    from neurozsl.report.show.pareto_figure import write_pareto
    from neurozsl.studies import pareto_table

    write_pareto(result, pareto_table.main_table(result), folder)
    if asked.as_json:
        emit_json(result)
        return
    table = pareto_table.table(result)
    show_table(table.title, table.columns, table.rows)
    for note in pareto_table.footnotes(result):
        say(note)
    say(f"figure in {folder}/pareto.svg and .png, every point in {folder}/pareto.json")
    first = result["trained"][0]
    run = folder / f"run-T{first['steps']}-seed{first['seed']}"
    next_commands(command("profile", run))
