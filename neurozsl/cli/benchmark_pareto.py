"""`neurozsl benchmark --pareto`: HM against energy of one model; one table, one plot, one JSON."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.option_values import listed, numbers, per_model
from neurozsl.core.errors import BadInput


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
    given: dict[str, Any] = {
        "steps": numbers("--steps", asked.steps),
        "bits": numbers("--bits", asked.bits),
        "policies": listed(asked.policies),
        "targets": listed(asked.targets),
        "scene_bias": next(iter(asked.scene_bias or ()), None),
        "test_size": test_size,
    }
    settings = study.ParetoSettings(
        model=asked.model,
        data=data,
        seeds=seeds,
        epochs=epochs,
        options=options.get(asked.model, {}),
        **{key: value for key, value in given.items() if value not in ((), None)},
    )
    folder = out or Path(f"runs/pareto-{asked.model.replace('+', 'p')}")
    with progress_bar("pareto") as update:
        result = study.run(settings, out=folder, jobs=jobs, progress=update)
    if not result["points"]:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in result["refused"]))
        raise BadInput(f"benchmark --pareto: no point can be made: {reasons}")
    from neurozsl.report.show.pareto_figure import write_pareto
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
    run = folder / f"run-T{first['steps']}-seed{first['seed']}"
    next_commands(f"neurozsl profile {shlex.quote(str(run))}")
