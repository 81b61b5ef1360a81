"""`neurozsl export RUN`: the branch of a trained run as a checked and scored bundle."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import progress_bar, say, stages
from neurozsl.cli.export_options import Exported, ExportOptions
from neurozsl.cli.option_values import Data
from neurozsl.core.places import check_place
from neurozsl.core.shell import command, words
from neurozsl.export.bundle.policy import Wanted


def export_run(
    run: Path,
    *,
    asked: ExportOptions,
    threshold: Annotated[
        Wanted | None, typer.Option(help="Threshold policy; default: as trained.")
    ] = None,
    bias_correction: Annotated[
        bool, typer.Option(help="Fold the mean change of each neuron's drive into its bias.")
    ] = False,
    keep_dead_neurons: Annotated[
        bool,
        typer.Option(
            "--keep-dead-neurons", help="Ship neurons that never spike or that nobody reads too."
        ),
    ] = False,
    max_hm_drop: Annotated[
        float, typer.Option(help="Largest loss of HM, in points, that passes.")
    ] = 2.0,
    data: Data = None,
) -> Exported:
    """Export the run's branch, verify it, score the deployed model where the data set is here."""
    from neurozsl.deploy import deploy
    from neurozsl.models.base import host_parts
    from neurozsl.runs import run as runs
    from neurozsl.runs.kept import KeptData

    bundle = asked.out or run / "deploy" / asked.target
    opened = runs.open_run(run, data=data)
    check_place(bundle, "bundle")
    with progress_bar(f"exporting to {asked.target}") as update:
        manifest = deploy.deploy(
            opened,
            target=asked.target,
            out=asked.out,
            threshold=threshold,
            bits=asked.bits,
            scale=asked.scale_rule,
            correct_bias=bias_correction,
            keep_dead_neurons=keep_dead_neurons,
            samples=asked.samples,
            max_hm_drop=max_hm_drop,
            progress=stages(update),
        )
    if isinstance(opened.data, KeptData):
        say(
            "warning: calibrated and verified on what the run kept of its data set; no step is "
            f"scored and --max-hm-drop not asked, which takes the test splits: {opened.data.why}"
        )
        return Exported(bundle, manifest, (command("simulate", bundle),), host_parts(opened.model))
    with_it, page = words({"bundle": bundle}), words({"report": run / "report.html"})
    commands = (command("evaluate", run, with_it), command("profile", run, with_it + page))
    return Exported(bundle, manifest, commands, host_parts(opened.model))
