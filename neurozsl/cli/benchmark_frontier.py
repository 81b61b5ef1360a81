"""`neurozsl benchmark --frontier`: which of spiking and dense networks is cheaper at equal HM."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neurozsl.cli.benchmark_options import DataOptions, ModelOptions, StudyOptions, SyntheticOptions
from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.option_values import decimals, listed, numbers, per_model
from neurozsl.cli.option_values import widths as networks
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command


def benchmark_frontier(
    *,
    of: DataOptions,
    on: SyntheticOptions,
    of_model: ModelOptions,
    families: Annotated[
        str,
        typer.Option(
            help="Kinds of networks, commas between; default snn,ann-steps (a dense pass per "
            "step),ann-pooled (one pass). --set FAMILY.key=value is an option of one of them."
        ),
    ] = "",
    widths: Annotated[
        str, typer.Option(help="Widths of the layers, commas between; default 256-128-64.")
    ] = "",
    densities: Annotated[
        str, typer.Option(help="Shares of weights kept, commas between; default 1,0.1,0.05,0.03.")
    ] = "",
    sparsity_scope: Annotated[
        str, typer.Option(help="Shares of the layers, as in `train`: layer, erk or global.")
    ] = "layer",
    unbiased_val: Annotated[
        bool, typer.Option("--unbiased-val", help="Synthetic validation splits without scene bias.")
    ] = False,
    deployed: Annotated[
        bool, typer.Option("--deployed", help="Count and score the spikes of Loihi 2's integers.")
    ] = False,
    asked: StudyOptions,
) -> None:
    """Run the study, write its figure, print its table and one sentence per pair of cost tables.

    Raises:
        BadInput: an option does not fit the others.
    """
    from neurozsl.studies import frontier as study
    from neurozsl.studies.frontier_settings import FAMILIES, FrontierSettings

    synthetic, model = on.one("frontier", of.data), of_model.checked()
    if of.targets:
        raise BadInput("--targets: --frontier has its own cost tables; leave it out")
    if of.data is not None and unbiased_val:
        raise BadInput("--unbiased-val: belongs to the synthetic set; leave it or --data out")
    options = per_model(of.option or [])
    other = sorted(set(options) - {model, *FAMILIES})
    if other:
        raise BadInput(
            f"--set {other[0]}.*: the model is {model}, the families are {', '.join(FAMILIES)}"
        )
    given: dict[str, Any] = {
        "steps": numbers("--steps", of_model.steps),
        "families": listed(families),
        "widths": networks("--widths", widths),
        "densities": decimals("--densities", densities),
        **synthetic,
    }
    settings = FrontierSettings(
        model=model,
        data=of.data,
        seeds=asked.seeds,
        epochs=asked.epochs,
        unbiased_val=unbiased_val,
        options=options.get(model, {}),
        family_options={name: x for name, x in options.items() if name != model},
        sparsity_scope=sparsity_scope,
        deployed=deployed,
        **{key: value for key, value in given.items() if value != ()},
    )
    folder = asked.out or Path(f"runs/frontier-{model.replace('+', 'p')}")
    with progress_bar("frontier") as update:
        result = study.run(settings, out=folder, on=asked.workers(), progress=update)
    from neurozsl.report.show.frontier_figure import write_frontier
    from neurozsl.studies import frontier_table

    write_frontier(result, result["main"], folder)
    if asked.as_json:
        emit_json(result)
        return
    table = frontier_table.table(result)
    show_table(table.title, table.columns, table.rows)
    for line in (*frontier_table.sentences(result), *frontier_table.footnotes(result)):
        say(line)
    say(f"figure in {folder}/frontier.svg and .png, every point and pair in {folder}/frontier.json")
    next_commands(command("profile", folder / result["points"][0]["run"]))
