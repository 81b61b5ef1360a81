"""`neurozsl benchmark --pareto`: HM against energy of one model; one table, one plot, one JSON."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli.benchmark_options import DataOptions, ModelOptions, StudyOptions, SyntheticOptions
from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, numbers, per_model
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command


def benchmark_pareto(
    *,
    of: DataOptions,
    on: SyntheticOptions,
    of_model: ModelOptions,
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
    from neurozsl.studies import pareto as study

    synthetic, model = on.one("pareto", of.data), of_model.checked()
    options = per_model(of.option or [])
    other = sorted(set(options) - {model})
    if other:
        raise BadInput(f"--set {other[0]}.*: the model is {model}")
    given: dict[str, Any] = {
        "steps": numbers("--steps", of_model.steps),
        "bits": numbers("--bits", bits),
        "policies": listed(policies),
        "targets": of.names(),
        **synthetic,
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
        result = study.run(settings, out=folder, on=asked.workers(), progress=update)
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
