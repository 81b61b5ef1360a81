"""`neurozsl benchmark`: models on your data (`--data`), or a study on the synthetic set.

With --pareto: HM against energy of one model over weight bits, steps and thresholds, on either.
With --frontier: HM against energy of spiking and dense networks of the same layers. With --table:
rows of the papers' tables; --list-tables names them.
"""

from typing import Annotated, Any, Final

import typer

from neurozsl.cli.benchmark_frontier import benchmark_frontier
from neurozsl.cli.benchmark_models import benchmark_models
from neurozsl.cli.benchmark_pareto import benchmark_pareto
from neurozsl.cli.benchmark_study import benchmark_study
from neurozsl.cli.benchmark_table import benchmark_table, list_tables
from neurozsl.cli.kinds import Form, call, takes
from neurozsl.core.errors import BadInput

FORMS: Final = {
    "models": Form("--data DIR", benchmark_models),
    "pareto": Form("--pareto", benchmark_pareto),
    "frontier": Form("--frontier", benchmark_frontier),
    "table": Form("--table", benchmark_table),
    "list": Form("--list-tables", list_tables),
    "study": Form("a study on the synthetic set", benchmark_study),
}


@takes(FORMS)
def benchmark(
    context: typer.Context,
    *,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="One model over weight bits, steps and threshold policies: HM against energy.",
        ),
    ] = False,
    frontier: Annotated[
        bool,
        typer.Option(
            "--frontier",
            help="Spiking and dense networks, pruned or not: from which HM on which is cheaper.",
        ),
    ] = False,
    table: Annotated[
        str,
        typer.Option(
            help="Rows of a table or figure of the papers on --data: mdft.2, stft.V, avca.fig3; "
            "commas between; a paper's name for all of it."
        ),
    ] = "",
    listed: Annotated[
        bool, typer.Option("--list-tables", help="Every table of the papers, and what is missing.")
    ] = False,
    **options: Any,
) -> None:
    """Train and compare over several seeds: mean and spread in one table.

    With --data: every model of --models on that data set, next to published scores; with --table
    the rows of a paper's table instead. Without: a study, every variant of one model on the
    synthetic set. With --pareto: one model, trained once per T and seed, deployed with every number
    of bits and every threshold policy, in the integers of --targets (default lava). With
    --frontier: one model as a spiking and as dense networks of several widths and densities.
    Finished runs are never trained again.
    """
    asked = {"pareto": pareto, "frontier": frontier, "table": table, "list-tables": listed}
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) > 1:
        raise BadInput(f"benchmark: --{' and --'.join(chosen)} are {len(chosen)} studies; give one")
    if chosen == ["table"]:
        call(context, FORMS, "table", table, options=options, where="--table is given")
    elif chosen == ["list-tables"]:
        call(context, FORMS, "list", options=options, where="--list-tables is given")
    elif chosen:
        call(context, FORMS, chosen[0], options=options, where=f"--{chosen[0]} is given")
    elif options["data"] is not None:
        call(context, FORMS, "models", options=options, where="--data is given")
    else:
        where = "a study has its own models and data"
        call(context, FORMS, "study", options=options, where=where)
