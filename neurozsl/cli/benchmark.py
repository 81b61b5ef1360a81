"""`neurozsl benchmark`: models on your data (`--data`), or a study on the synthetic set.

With --pareto: HM against energy of one model over weight bits, steps and thresholds, on either.
With --frontier: HM against energy of spiking and dense networks of the same layers.
"""

from typing import Annotated, Any, Final

import typer

from neurozsl.cli.benchmark_frontier import benchmark_frontier
from neurozsl.cli.benchmark_models import benchmark_models
from neurozsl.cli.benchmark_pareto import benchmark_pareto
from neurozsl.cli.benchmark_study import benchmark_study
from neurozsl.cli.kinds import Form, call, takes
from neurozsl.core.errors import BadInput

FORMS: Final = {
    "models": Form("--data DIR", benchmark_models),
    "pareto": Form("--pareto", benchmark_pareto),
    "frontier": Form("--frontier", benchmark_frontier),
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
    **options: Any,
) -> None:
    """Train and compare over several seeds: mean and spread in one table.

    With --data: every model of --models on that data set, next to published scores. Without: a
    study, every variant of one model on the synthetic set. With --pareto: one model, trained once
    per T and seed, deployed with every number of bits and every threshold policy, in the integers
    of --targets (default lava). With --frontier: one model as a spiking and as dense networks of
    several widths and densities. Finished runs are never trained again.
    """
    key, where = "study", "a study has its own models and data"
    if pareto and frontier:
        raise BadInput("benchmark: --pareto and --frontier are two studies; give one")
    if pareto:
        key, where = "pareto", "--pareto is given"
    elif frontier:
        key, where = "frontier", "--frontier is given"
    elif options["data"] is not None:
        key, where = "models", "--data is given"
    call(context, FORMS, key, options=options, where=where)
