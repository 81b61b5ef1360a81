"""`neurozsl benchmark --pareto`: HM against energy of one model; one table, one plot, one JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, numbers, per_model
from neurozsl.errors import BadInput


@dataclass(frozen=True)
class Asked:
    """The points of the Pareto study as they stand on the command line."""

    model: str
    steps: str
    bits: str
    policies: str
    targets: str
    option: list[str]
    scene_bias: list[float] | None


def pareto(
    asked: Asked,
    *,
    data: Path | None,
    seeds: int,
    epochs: int | None,
    test_size: int | None,
    jobs: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the study, write its figure, print its table.

    Raises:
        BadInput: an option does not fit the others, or no point can be made.
    """
    from neurozsl import models
    from neurozsl.studies import pareto as study

    if asked.model not in models.names():
        raise BadInput(f"--model '{asked.model}': choose one of {', '.join(models.names())}")
    if len(asked.scene_bias or ()) > 1:
        raise BadInput("benchmark --pareto: one --scene-bias, not several")
    options = per_model(asked.option)
    other = sorted(set(options) - {asked.model})
    if other:
        raise BadInput(f"--set {other[0]}.*: the model is {asked.model}")
    settings = study.Settings(
        model=asked.model,
        data=data,
        steps=numbers("--steps", asked.steps),
        bits=numbers("--bits", asked.bits or "4,6,8"),
        policies=listed(asked.policies or "dynamic,table,frozen"),  # type: ignore[arg-type]  # checked there
        targets=listed(asked.targets or "lava"),
        seeds=seeds,
        epochs=epochs,
        scene_bias=asked.scene_bias[0] if asked.scene_bias else 0.9,
        test_size=2000 if test_size is None else test_size,
        options=options.get(asked.model, {}),
    )
    folder = out or Path(f"runs/pareto-{asked.model.replace('+', 'p')}")
    with progress_bar("pareto") as update:
        result = study.run(settings, out=folder, jobs=jobs, progress=update)
    if not result["points"]:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in result["refused"]))
        raise BadInput(f"benchmark --pareto: no point can be made: {reasons}")
    from neurozsl.report.pareto_figure import write_pareto
    from neurozsl.studies import pareto_table

    write_pareto(result, pareto_table.main_table(result), folder)
    if as_json:
        emit_json(result)
        return
    table = pareto_table.table(result)
    show_table(table.title, table.columns, table.rows)
    for note in pareto_table.footnotes(result):
        say(note)
    say(f"figure in {folder}/pareto.svg and .png, every point in {folder}/pareto.json")
    first = result["trained"][0]
    next_commands(f"neurozsl profile {folder}/run-T{first['steps']}-seed{first['seed']}")
